"""What the books must say of each thing that money has to do with, whatever way it came about.

One function for each kind of row gives the sum of all its transfers' postings by account, as it
must be in the row's present state. They know nothing of how services write transfers: what both
say independently is compared by ``services.verify``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from backend.db.tables.credits import CreditNoteRow, RefundRow, RefundWhy
from backend.db.tables.money import DepositRow, PaymentRow, PaymentState, Purpose
from backend.db.tables.rentals import RentalRow
from backend.db.tables.withdrawals import WithdrawalRow
from backend.domain import ledger
from backend.domain.deposit import DepositState
from backend.domain.ledger import AccountCode
from backend.domain.withdrawal import WithdrawalState

_CASH: Final = (ledger.PROVIDER_CASH, ledger.PROVIDER_TOPUPS)
"""What was sent left our cash, or was paid in for it by the platform."""

Net = Mapping[AccountCode, int]
"""By account: debit is positive, and what is zero is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What all transfers of one subject must come to."""

    subject: str
    """As the transfers' keys begin: ``payment:01K…``."""
    net: Net
    free: frozenset[AccountCode] = frozenset()
    """Accounts among which the rest may be divided in any way: what is over sums to zero."""
    keys: frozenset[str] = frozenset()
    """Transfers that must be there, also where they cancel each other out."""

    def fits(self, found: Net) -> bool:
        """Whether what the books say is what they must say."""
        fixed = {account: sum_ for account, sum_ in found.items() if account not in self.free}
        return fixed == dict(self.net)


def net(amounts: Iterable[tuple[str, int]]) -> Net:
    """Sum amounts by account."""
    total: dict[AccountCode, int] = {}
    for account, amount in amounts:
        code = AccountCode(account)
        total[code] = total.get(code, 0) + amount
    return {account: amount for account, amount in total.items() if amount != 0}


def _expected(
    subject: str,
    amounts: Iterable[tuple[AccountCode, int]],
    *,
    free: Iterable[AccountCode] = (),
    keys: Iterable[str] = (),
) -> Expected:
    return Expected(
        subject=subject,
        net=net(amounts),
        free=frozenset(free),
        keys=frozenset(f"{subject}:{key}" for key in keys),
    )


def of_rental(rental: RentalRow, *, settled_minor: int) -> Expected:
    """A bill is owed and divided; what was settled of it has moved on.

    Args:
        rental: the rental.
        settled_minor: what its settlements say; whether it may be that is another question.
    """
    subject = f"rental:{rental.id}"
    if not rental.amount_minor:
        return _expected(subject, ())
    merchant, platform = rental.merchant_minor or 0, rental.platform_minor or 0
    amounts = (
        (ledger.receivable(rental.renter_id), rental.amount_minor),
        (ledger.merchant_pending(rental.merchant_id), settled_minor - merchant),
        (ledger.merchant_available(rental.merchant_id), -settled_minor),
        (ledger.PLATFORM_REVENUE, -platform),
    )
    return _expected(subject, amounts, keys=("billed",))


def of_payment(payment: PaymentRow) -> Expected:
    """A paid bill is cash, for the bill, or to go back as far as it is too much."""
    subject = f"payment:{payment.id}"
    if payment.purpose is Purpose.DEPOSIT or payment.state is not PaymentState.PAID:
        return _expected(subject, ())
    theirs = {ledger.refund_due(payment.renter_id), ledger.receivable(payment.renter_id)}
    cash = ((ledger.PROVIDER_CASH, payment.amount_minor),)
    return _expected(subject, cash, free=theirs, keys=("paid",))


def of_deposit(hold: DepositRow, *, renter_id: str) -> Expected:
    """A hold is the renter's while it is held; what was taken is cash, for bills or to go back."""
    subject = f"deposit:{hold.payment_id}"
    theirs, taken = ledger.deposit_liability(renter_id), hold.captured_minor
    match hold.state:
        case DepositState.PENDING | DepositState.UNKNOWN | DepositState.DECLINED:
            return _expected(subject, ())
        case DepositState.HELD:
            held = ((ledger.PROVIDER_HOLDS, hold.amount_minor), (theirs, -hold.amount_minor))
            return _expected(subject, held, keys=("held",))
        case DepositState.RELEASED:
            return _expected(subject, (), keys=("held", "ended"))
        case DepositState.EXPIRED:  # also one that was never held
            return _expected(subject, ())
        case DepositState.SECURED | DepositState.CAPTURED:
            spent = hold.billed_minor + hold.returned_minor
            amounts = (
                (ledger.PROVIDER_CASH, taken),
                (ledger.receivable(renter_id), -hold.billed_minor),
                (ledger.refund_due(renter_id), -hold.returned_minor),
                (theirs, spent - taken),
            )
            return _expected(subject, amounts, keys=("held", "ended"))


def of_credit(note: CreditNoteRow, *, renter_id: str, merchant_id: str) -> Expected:
    """A credit note is less to pay, or owed back; the merchant gives up their part of it."""
    amounts = (
        (ledger.receivable(renter_id), note.refunded_minor - note.amount_minor),
        (ledger.refund_due(renter_id), -note.refunded_minor),
        (ledger.PLATFORM_REVENUE, note.platform_minor),
    )
    theirs = (
        ledger.merchant_pending(merchant_id),
        ledger.merchant_available(merchant_id),
        ledger.merchant_debt(merchant_id),
    )
    return _expected(f"credit:{note.id}", amounts, free=theirs)


def of_refund(refund: RefundRow, *, renter_id: str | None) -> Expected:
    """A refund that went is not owed any more; what fits nothing came in first.

    Args:
        refund: the refund.
        renter_id: whose payment it was; None: it fits none of ours.
    """
    subject = f"refund:{refund.id}"
    owed = ledger.UNCLAIMED if renter_id is None else ledger.refund_due(renter_id)
    is_unclaimed = refund.why is RefundWhy.UNCLAIMED
    has_gone = refund.refunded_at is not None
    keys = ledger.refund_keys(refund.id, returns=refund.returns, is_gone=has_gone)
    return _expected(
        subject,
        ((owed, refund.amount_minor * (has_gone - is_unclaimed)),),
        free=_CASH,
        keys=[key.split(":", 2)[2] for key in keys] + (["received"] if is_unclaimed else []),
    )


def of_withdrawal(withdrawal: WithdrawalRow) -> Expected:
    """A withdrawal is out of the merchant's reach, then gone or theirs again, also after."""
    amount = withdrawal.amount_minor
    subject = f"withdrawal:{withdrawal.id}"
    available = (ledger.merchant_available(withdrawal.merchant_id), amount)
    match withdrawal.state:
        case WithdrawalState.PAID:
            return _expected(subject, (available,), free=_CASH, keys=("asked", "ended"))
        case WithdrawalState.FAILED:
            return _expected(subject, (), free=_CASH, keys=("asked", "ended"))
        case _:
            under_way = (ledger.payout_in_flight(withdrawal.merchant_id), -amount)
            return _expected(subject, (available, under_way), keys=("asked",))
