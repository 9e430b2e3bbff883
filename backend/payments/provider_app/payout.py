"""A payout's life: asked for by the payee, ended by time.

Where it goes decides how it ends, so that each end can be tried: money for ``sandbox:closed``
comes back, ``sandbox:slow`` takes its time, and every other ``sandbox:`` account is paid soon.
Until then a payout is pending; paid and failed are final. Accounts of other kinds are somebody
else's: no sandbox pays there.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from backend.payments.provider_app.problems import Code, Refused

ACCOUNTS: Final = "sandbox:"
CLOSED: Final = "sandbox:closed"
SLOW: Final = "sandbox:slow"


class PayoutStatus(StrEnum):
    """Where a payout stands."""

    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutOrder:
    """What the payee wants sent."""

    reference: str
    """The payee's own id of the payout; no other has it."""
    amount_minor: int
    currency: str
    account: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """A payout. Times are aware UTC."""

    id: str
    order: PayoutOrder
    status: PayoutStatus
    failure: str | None
    """Why it came back, in a sentence; None unless it did."""
    created_at: datetime
    due_at: datetime
    """When it ends."""


def sent(
    order: PayoutOrder, *, payout_id: str, now: datetime, soon: timedelta, late: timedelta
) -> Payout:
    """A new payout, on its way.

    Raises:
        Refused: there is no such account here.
    """
    if not order.account.startswith(ACCOUNTS) or order.account == ACCOUNTS:
        raise Refused(Code.UNKNOWN_ACCOUNT, "a sandbox pays to 'sandbox:<name>' only")
    return Payout(
        id=payout_id,
        order=order,
        status=PayoutStatus.PENDING,
        failure=None,
        created_at=now,
        due_at=now + (late if order.account == SLOW else soon),
    )


def payout_as_of(payout: Payout, now: datetime) -> Payout:
    """The payout with what time did to it."""
    if payout.status is not PayoutStatus.PENDING or now < payout.due_at:
        return payout
    if payout.order.account == CLOSED:
        return replace(payout, status=PayoutStatus.FAILED, failure="the account is closed")
    return replace(payout, status=PayoutStatus.PAID)
