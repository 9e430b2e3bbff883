"""Settling: the merchant's part of a paid bill becomes theirs, once the dispute window is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from backend.db import disputes, market, money
from backend.db import settlement as queries
from backend.db.credits import standing_minor
from backend.db.notifications import notify
from backend.db.rentals import rental as locked
from backend.db.tables.market import MerchantRow
from backend.db.tables.money import PostingRow, TransferRow
from backend.db.tables.rentals import RentalRow
from backend.domain import ledger
from backend.domain.ledger import AccountKind
from backend.domain.money import ZERO, Currency, Minor
from backend.domain.rental import RentalState
from backend.domain.settlement import due, frozen_share, is_due
from backend.principal import Principal
from backend.services import billing
from backend.services.credits import bill_of, lock_accounts, repay_debt
from backend.services.market import own

# -- settling -------------------------------------------------------------------------------


def settle(session: Session, rental: RentalRow, *, now: datetime) -> Minor:
    """Let the merchant have what of a rental is theirs by now; again, it is the rest or nothing.

    There is a first part when the dispute window is over, and a rest if a dispute froze something
    then: whoever looks again after it has ended finds that.

    Args:
        session: a writing transaction.
        rental: the rental; it is locked and read anew.
        now: the time.

    Returns:
        What became theirs.
    """
    rental = locked(session, rental.id)
    is_paid = rental.state is RentalState.COMPLETED
    if rental.settled_at is not None or not is_due(
        is_paid=is_paid, settle_at=rental.settle_at, now=now
    ):
        return ZERO
    currency = billing.terms_of(rental).currency
    lock_accounts(session, merchant_id=rental.merchant_id, currency=currency)
    share = due(
        bill_of(session, rental),
        pending_minor=_pending(session, rental),
        frozen_minor=disputes.frozen_minor(session, rental.id),
    )
    moved = _move(session, rental, share.amount_minor, is_all=share.is_all, now=now)
    if share.is_all:
        rental.settled_at = now
        session.add(rental)
    if moved > 0:
        _follow(session, rental, moved, now=now)
    return moved


def _pending(session: Session, rental: RentalRow) -> Minor:
    return standing_minor(session, rental.id, ledger.merchant_pending(rental.merchant_id))


def _move(
    session: Session, rental: RentalRow, amount: Minor, *, is_all: bool, now: datetime
) -> Minor:
    """Write the first of the two steps, or the second if that was written."""
    if amount == 0:
        return ZERO
    for is_rest in (False, True) if is_all else (False,):
        transfer = ledger.rental_settled(
            rental_id=rental.id,
            merchant=rental.merchant_id,
            currency=billing.terms_of(rental).currency,
            amount_minor=amount,
            is_rest=is_rest,
        )
        if money.write(session, transfer, rental_id=rental.id, now=now):
            return amount
    return ZERO


def _follow(session: Session, rental: RentalRow, amount: Minor, *, now: datetime) -> None:
    """Have what was laid out for the merchant repaid first, and tell them."""
    currency = billing.terms_of(rental).currency
    repaid = repay_debt(session, merchant_id=rental.merchant_id, currency=currency, now=now)
    data = {
        "rental_id": rental.id,
        "merchant_id": rental.merchant_id,
        "amount_minor": amount,
        "repaid_minor": repaid,
        "currency": currency,
    }
    owner_id = market.merchant(session, rental.merchant_id).owner_id
    notify(session, person_ids=[owner_id], kind="rental.settled", data=data, now=now)


# -- what a merchant sees -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a merchant has earned, and where it is."""

    merchant: MerchantRow
    totals: queries.Totals
    pending_minor: Minor
    """Within dispute windows, or not paid yet."""
    frozen_minor: Minor
    """The part of that which open disputes keep back."""
    withdrawable_minor: Minor
    in_payout_minor: Minor
    """On its way to them."""
    debt_minor: Minor
    """Laid out for them: repaid from what becomes theirs next."""


def standing(session: Session, *, who: Principal, merchant_id: str) -> Standing:
    """Tell a merchant what they have earned.

    Raises:
        Refusal: NOT_FOUND.
    """
    return standing_of(session, own(session, who, merchant_id))


def standing_of(session: Session, merchant: MerchantRow) -> Standing:
    """Tell what a merchant has earned, whoever may hear it."""
    merchant_id = merchant.id

    def there(account: ledger.AccountCode) -> Minor:
        return ledger.natural(account, money.balance(session, account, merchant.currency))

    return Standing(
        merchant=merchant,
        totals=queries.totals(session, merchant_id),
        pending_minor=there(ledger.merchant_pending(merchant_id)),
        frozen_minor=_frozen(session, merchant_id),
        withdrawable_minor=there(ledger.merchant_available(merchant_id)),
        in_payout_minor=there(ledger.payout_in_flight(merchant_id)),
        debt_minor=there(ledger.merchant_debt(merchant_id)),
    )


def _frozen(session: Session, merchant_id: str) -> Minor:
    return Minor(
        sum(
            frozen_share(
                bill_of(session, rental),
                frozen_minor=disputes.frozen_minor(session, rental.id),
            )
            for rental in queries.disputed(session, merchant_id)
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a merchant's statement, from the merchant's side: what comes in is positive."""

    number: int
    at: datetime
    kind: ledger.TransferKind
    key: str
    rental_id: str | None
    amount_minor: Minor
    balance_minor: Minor
    currency: Currency


STATEMENTS = (
    AccountKind.MERCHANT_PENDING,
    AccountKind.MERCHANT_AVAILABLE,
    AccountKind.PAYOUT_IN_FLIGHT,
    AccountKind.MERCHANT_DEBT,
)
"""The accounts that are a merchant's own."""


def statement(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    of: AccountKind,
    before: int | None,
    limit: int,
) -> Sequence[Line]:
    """Read a merchant's account, line by line, newest first.

    Raises:
        Refusal: NOT_FOUND.
    """
    merchant = own(session, who, merchant_id)
    return statement_of(session, merchant, of=of, before=before, limit=limit)


def statement_of(
    session: Session, merchant: MerchantRow, *, of: AccountKind, before: int | None, limit: int
) -> Sequence[Line]:
    """Read a merchant's account, whoever may see it."""
    account = ledger.AccountCode(f"{of}:{merchant.id}")
    rows = queries.lines(session, account, merchant.currency, before=before, limit=limit)
    return [_line(posting, transfer) for posting, transfer in rows]


def _line(posting: PostingRow, transfer: TransferRow) -> Line:
    account = ledger.AccountCode(posting.account)
    return Line(
        number=posting.number,
        at=transfer.at,
        kind=ledger.TransferKind(transfer.kind),
        key=transfer.key,
        rental_id=transfer.rental_id,
        amount_minor=ledger.natural(account, posting.amount_minor),
        balance_minor=ledger.natural(account, posting.balance_minor),
        currency=Currency(posting.currency),
    )
