"""What a renter reads of where their rental stands: a heading, and what it means for them.

A state has both in ``names``; where its deposit, or who has it in hand, makes another sentence
true, it is that one.
"""

from typing import Final

from backend.api.shapes import RentalOut
from backend.domain.deposit import DepositState
from backend.domain.lang import Lang
from backend.domain.rental import RentalEvent, RentalState
from backend.web.names import AND_NOW, RENTALS, named

_CALLED_OFF: Final = frozenset({RentalEvent.CANCEL, RentalEvent.CANCEL_FOR_FEE})
_RETURNING: Final = named(
    {
        "claimed": ("您說已經歸還", "You said that it is back"),
        "waiting": ("等待取回", "Waiting to be fetched"),
    }
)
_RETURNING_NOW: Final = named(
    {
        "claimed": (
            "已停止計費，商戶正在確認。",
            "Billing stands still while its merchant goes and looks.",
        ),
        "waiting": (
            "已停止計費。有人接單後會來取，您會在這裡看到是誰。",
            "Billing has stopped. Once somebody takes the job, you see here who comes.",
        ),
    }
)
_OWED: Final = named(
    {
        DepositState.SECURED: (
            "付款後退回押金。",
            "Your deposit goes back as soon as you have paid.",
        ),
        DepositState.CAPTURED: (
            "押金已用來付款，請付清餘額。",
            "Your deposit went into it; please pay what is left.",
        ),
        "none": ("請付款。", "Please pay."),
        "cancelled": ("這是取消派送的費用。", "This is what calling it off costs."),
    }
)
_DONE: Final = named(
    {
        DepositState.CAPTURED: (
            "已從押金扣款。收據如下。",
            "It was paid out of your deposit. The receipt is below.",
        ),
        "none": ("收據如下。", "The receipt is below."),
    }
)


def heading(rental: RentalOut, lang: Lang) -> str:
    """Say in a few words where a rental stands."""
    if rental.state is RentalState.RETURNING and (how := _returning(rental)):
        return _RETURNING[how][lang]
    return RENTALS[rental.state][lang]


def meaning(rental: RentalOut, lang: Lang) -> str:
    """Say what that means for its renter, and what comes next."""
    deposit = None if rental.deposit is None else rental.deposit.state
    if rental.state is RentalState.RETURNING and (how := _returning(rental)):
        return _RETURNING_NOW[how][lang]
    if rental.state is RentalState.PAYMENT_DUE and deposit is not DepositState.HELD:
        default = "cancelled" if rental.cancelled_at else "none"
        return _OWED.get(deposit or default, _OWED[default])[lang]
    if rental.state is RentalState.COMPLETED and deposit is not DepositState.RELEASED:
        return _DONE.get(deposit or "none", _DONE["none"])[lang]
    return AND_NOW[rental.state][lang]


def called_off_because(rental: RentalOut) -> str | None:
    """Give what staff or the operator said who called a delivery off; None of the renter's own."""
    return next((step.why for step in rental.steps if step.event in _CALLED_OFF), None)


def _returning(rental: RentalOut) -> str | None:
    if rental.claimed_returned_at is not None:
        return "claimed"
    return None if rental.collector else "waiting"
