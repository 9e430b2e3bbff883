"""What a merchant says of a bank that is not where it should be: not back, gone, found again."""

from typing import Annotated, Self

from fastapi import APIRouter
from pydantic import Field, model_validator

from backend.api.deps import CurrentPrincipal, DbSession, Now
from backend.api.idempotency import IdempotentRoute
from backend.api.schemas import BankId, Id, In, Out
from backend.api.shapes import QrToken, Reader, RentalOut
from backend.db.tables.market import BankRow
from backend.domain.custody import Holder
from backend.services import losses, rentals, returns

router = APIRouter(prefix="/merchants", tags=["merchant"], route_class=IdempotentRoute)


class DenyIn(In):
    """Why the bank is not back."""

    reason: str = Field(min_length=1, max_length=200, examples=["it is not on the shelf"])


class LoseIn(In):
    """How the bank was lost."""

    reason: str = Field(min_length=1, max_length=200, examples=["not there when we counted"])


class FindIn(In):
    """The bank's label, or in words how it turned up."""

    qr_token: QrToken | None = None
    reason: Annotated[str, Field(max_length=200, examples=["a passenger brought it"])] = ""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.qr_token is None and not self.reason:
            msg = "give qr_token or reason"
            raise ValueError(msg)
        return self


class WhereaboutsOut(Out):
    """Where a bank is now, in whose hands."""

    id: str = Field(examples=["LW-000123"])
    holder: Holder = Field(examples=[Holder.MERCHANT])
    is_offered: bool = Field(description="Whether it is for rent again.", examples=[False])
    is_to_inspect: bool = Field(
        description="Look it over, and offer it again yourself.", examples=[True]
    )

    @classmethod
    def of(cls, bank: BankRow) -> "WhereaboutsOut":
        """Show a bank."""
        return cls.model_validate(bank)


@router.post("/{merchant_id}/rentals/{rental_id}/deny-return")
def deny_return(
    *,
    merchant_id: Id,
    rental_id: Id,
    body: DenyIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
) -> RentalOut:
    """Say that a bank is not back, whatever its renter claims: the meter was never stopped.

    It can be denied three times; then the platform decides.
    """
    rental = returns.deny(
        session,
        who=who,
        merchant_id=merchant_id,
        rental_id=rental_id,
        reason=body.reason,
        now=now,
    )
    return RentalOut.of(rentals.view(session, rental, now=now), lang, for_renter=False)


@router.post("/{merchant_id}/banks/{bank_id}/lost")
def lose(
    *,
    merchant_id: Id,
    bank_id: BankId,
    body: LoseIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
) -> WhereaboutsOut:
    """Say that a bank of mine is gone. Whoever waits for it gets another, or hears it at once."""
    bank = losses.lose(
        session, who=who, merchant_id=merchant_id, bank_id=bank_id, reason=body.reason, now=now
    )
    return WhereaboutsOut.of(bank)


@router.post("/{merchant_id}/banks/{bank_id}/found")
def find(
    *,
    merchant_id: Id,
    bank_id: BankId,
    body: FindIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
) -> WhereaboutsOut:
    """Say that a lost or bought bank turned up. What a renter paid for it goes back to them."""
    bank = losses.find(
        session,
        who=who,
        merchant_id=merchant_id,
        bank_id=bank_id,
        qr_token=body.qr_token,
        reason=body.reason,
        now=now,
    )
    return WhereaboutsOut.of(bank)
