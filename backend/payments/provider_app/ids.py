"""New ids: unguessable, because whoever knows one can open its page."""

import secrets


def new_payment_id() -> str:
    """An id for a payment."""
    return f"pay_{secrets.token_hex(16)}"


def new_payout_id() -> str:
    """An id for a payout."""
    return f"po_{secrets.token_hex(16)}"


def new_notice_id() -> str:
    """An id for a notice: the ``webhook-id`` of each of its deliveries."""
    return f"msg_{secrets.token_hex(16)}"
