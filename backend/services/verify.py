"""Do the books balance, and do they say what everything else says? Only read, never mended.

Three looks, in one snapshot. *The books by themselves*: each transfer sums to zero and is as it
was written (its digest); each account is the sum of its postings, on its side, and its postings
follow one from the other. *The books and the rest*: of each rental, payment, hold, credit note,
refund and withdrawal they say what must be said of it in its state (``services.expected``), and
of nothing else. *Hands*: each bank is where its rental says, by the last proof that there is.

A row that was changed by hand shows at the row itself, and mostly at its account and its subject
too: each is a break of its own. What cannot show: a hand that changed everything to fit, digests
and balances too; for that, ``services.reconcile`` asks the provider.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlmodel import Session

from backend.db import books
from backend.db.books import Written
from backend.db.tables.credits import CreditNoteRow
from backend.db.tables.rentals import RentalRow
from backend.domain import ledger
from backend.domain.credit import CreditKind
from backend.domain.custody import Holder, agrees
from backend.domain.ledger import AccountCode, TransferKind
from backend.domain.money import Minor
from backend.domain.rental import RentalState
from backend.services import expected
from backend.services.credits import bill as bill_from
from backend.services.expected import Expected, net


class Check(StrEnum):
    """What a break is about."""

    UNBALANCED = "unbalanced"
    ALTERED = "altered"
    ORPHAN = "orphan"
    WRONG_BALANCE = "wrong_balance"
    GAP = "gap"
    WRONG_SIDE = "wrong_side"
    MISSING = "missing"
    UNEXPLAINED = "unexplained"
    DISAGREES = "disagrees"
    CUSTODY = "custody"
    CROWDED = "crowded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """One thing that is not as it must be."""

    check: Check
    row: str
    """The row's table and id, as ``transfer 01K…``."""
    says: str
    """What is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What the look came to."""

    transfers: int
    accounts: int
    rentals: int
    breaks: tuple[Break, ...]
    topups: Mapping[str, int]
    """By currency, what the platform had to pay in at providers, where that is anything."""

    @property
    def is_sound(self) -> bool:
        """Nothing is broken."""
        return not self.breaks


def verify(session: Session) -> Verified:
    """Check everything, in the snapshot that this session reads."""
    look = _Look(session)
    breaks = (
        *look.transfers_by_themselves(),
        *look.accounts_by_themselves(),
        *look.rentals_and_books(),
        *look.withdrawals_and_books(),
        *look.rest_of_the_books(),
        *look.hands(),
    )
    return Verified(
        transfers=look.transfers,
        accounts=look.accounts,
        rentals=look.rentals,
        topups=look.topups,
        breaks=tuple(sorted(set(breaks), key=lambda each: (each.row, each.check, each.says))),
    )


def of_the_books(session: Session) -> Iterator[Break]:
    """Check the books by themselves, whatever they are about."""
    look = _Look(session)
    yield from look.transfers_by_themselves()
    yield from look.accounts_by_themselves()


class _Look:
    """One look at everything; it counts what it saw."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.transfers = 0
        self.accounts = 0
        self.rentals = 0
        self.topups: dict[str, int] = {}
        self._apart: dict[str, list[Written]] = {}
        """Transfers that belong to no rental, by subject: withdrawals, and the rest."""

    # -- the books by themselves

    def transfers_by_themselves(self) -> Iterator[Break]:
        for written in books.transfers(self._session):
            self.transfers += 1
            if written.rental_id is None:
                self._apart.setdefault(written.subject, []).append(written)
            yield from _of_transfer(written)
        for transfer_id, line, account in books.orphans(self._session):
            yield Break(
                check=Check.ORPHAN,
                row=f"posting {transfer_id}/{line}",
                says=f"on {account}: its transfer or its account is gone",
            )

    def accounts_by_themselves(self) -> Iterator[Break]:
        for account in books.accounts(self._session):
            self.accounts += 1
            row = f"account {account.code} {account.currency}"
            if account.code == ledger.PROVIDER_TOPUPS:
                self.topups[account.currency] = -account.balance_minor
            if (account.balance_minor, account.postings) != (account.sum_minor, account.count):
                says = (
                    f"says {account.balance_minor} after {account.postings} postings; "
                    f"there are {account.count}, and they sum to {account.sum_minor}"
                )
                yield Break(check=Check.WRONG_BALANCE, row=row, says=says)
            if not _is_on_its_side(account.code, account.sum_minor):
                says = f"its postings sum to {account.sum_minor}, which it must never come to"
                yield Break(check=Check.WRONG_SIDE, row=row, says=says)
        for step in books.broken_steps(self._session):
            yield _of_step(step)

    # -- the books and the rest

    def rentals_and_books(self) -> Iterator[Break]:
        for page in books.rentals(self._session):
            self.rentals += len(page)
            ids = [rental.id for rental in page]
            written, facts = books.transfers_of(self._session, ids), books.facts(self._session, ids)
            for rental in page:
                there = written.get(rental.id, [])
                yield from _compare(list(_expected_of(rental, facts, there)), there)
                yield from _of_bill(rental, facts.credits.get(rental.id, ()), there)

    def withdrawals_and_books(self) -> Iterator[Break]:
        for page in books.withdrawals(self._session):
            wanted = [expected.of_withdrawal(row) for row in page]
            there = [each for want in wanted for each in self._apart.pop(want.subject, ())]
            yield from _compare(wanted, there)

    def rest_of_the_books(self) -> Iterator[Break]:
        """Money that fits nothing of ours, and merchants' debts; all else needs a reason."""
        wanted = [
            expected.of_refund(refund, renter_id=None) for refund in books.unclaimed(self._session)
        ]
        rest = (each for there in self._apart.values() for each in there)
        yield from _compare(
            wanted, [each for each in rest if each.kind != TransferKind.DEBT_REPAID]
        )

    # -- hands

    def hands(self) -> Iterator[Break]:
        for bank_id, count in books.crowded_banks(self._session):
            says = f"{count} rentals need it at once"
            yield Break(check=Check.CROWDED, row=f"bank {bank_id}", says=says)
        for rental, bank in books.occupied(self._session):
            if not agrees(rental.state, bank.holder):
                says = f"is with {bank.holder}, while rental {rental.id} is {rental.state}"
                yield Break(check=Check.CUSTODY, row=f"bank {bank.id}", says=says)
            elif bank.holder is Holder.RENTER and bank.holder_id != rental.renter_id:
                says = f"is with another renter than that of rental {rental.id}"
                yield Break(check=Check.CUSTODY, row=f"bank {bank.id}", says=says)
        for bank, move in books.last_moves(self._session):
            if (bank.holder, bank.holder_id) != (move.taker, move.taker_id):
                says = f"is with {bank.holder}; by the last proof ({move.id}), with {move.taker}"
                yield Break(check=Check.CUSTODY, row=f"bank {bank.id}", says=says)


# -- one row at a time -----------------------------------------------------------------------


def _of_transfer(written: Written) -> Iterator[Break]:
    row = f"transfer {written.id}"
    named = f"({written.key})"
    if not written.postings:
        yield Break(check=Check.UNBALANCED, row=row, says=f"{named} has no postings")
    for currency in sorted({currency for _, currency, _ in written.postings}):
        total = sum(amount for _, of, amount in written.postings if of == currency)
        if total != 0:
            says = f"{named} sums to {total} {currency}, not to zero"
            yield Break(check=Check.UNBALANCED, row=row, says=says)
        if currency != written.currency:
            says = f"{named} is in {written.currency} and has postings in {currency}"
            yield Break(check=Check.ALTERED, row=row, says=says)
    digest = ledger.digest(
        key=written.key,
        kind=written.kind,
        currency=written.currency,
        rental_id=written.rental_id,
        at=written.at,
        postings=[(account, amount) for account, _, amount in written.postings],
    )
    if digest != written.digest:
        says = f"{named} is not as it was written: it, or one of its postings, was changed"
        yield Break(check=Check.ALTERED, row=row, says=says)


def _of_step(step: books.Step) -> Break:
    row = f"account {step.account} {step.currency}"
    if step.number != step.number_before + 1:
        says = (
            f"no posting between number {step.number_before} and {step.number} "
            f"(transfer {step.transfer_id})"
        )
        return Break(check=Check.GAP, row=row, says=says)
    says = (
        f"posting {step.number} (transfer {step.transfer_id}) is {step.amount_minor} after "
        f"{step.balance_before_minor} and led to {step.balance_minor}"
    )
    return Break(check=Check.WRONG_BALANCE, row=row, says=says)


def _is_on_its_side(code: str, balance_minor: int) -> bool:
    try:
        account = AccountCode(code)
        short = ledger.natural(account, balance_minor) < 0
    except ValueError:  # no account of ours is called so
        return False
    return not short or ledger.may_go_negative(account)


def _expected_of(
    rental: RentalRow, facts: books.Facts, written: Sequence[Written]
) -> Iterator[Expected]:
    """All that the books must say because of one rental."""
    renter, merchant = rental.renter_id, rental.merchant_id
    available = ledger.merchant_available(merchant)
    settled = -sum(
        amount
        for each in written
        if each.kind == TransferKind.RENTAL_SETTLED
        for account, _, amount in each.postings
        if account == available
    )
    yield expected.of_rental(rental, settled_minor=settled)
    for payment in facts.payments.get(rental.id, ()):
        yield expected.of_payment(payment)
    for hold in facts.deposits.get(rental.id, ()):
        yield expected.of_deposit(hold, renter_id=renter)
    for note in facts.credits.get(rental.id, ()):
        yield expected.of_credit(note, renter_id=renter, merchant_id=merchant)
    for refund in facts.refunds.get(rental.id, ()):
        yield expected.of_refund(refund, renter_id=renter)


def _of_bill(
    rental: RentalRow, notes: Sequence[CreditNoteRow], written: Sequence[Written]
) -> Iterator[Break]:
    """What is owed, and what still waits for the merchant, by the rental and by the books."""
    found = net((account, amount) for each in written for account, _, amount in each.postings)
    given = sum(note.amount_minor for note in notes if note.kind is CreditKind.GOODWILL)
    bill = bill_from(rental, given_minor=Minor(given))
    owed = found.get(ledger.receivable(rental.renter_id), 0)
    pending = -found.get(ledger.merchant_pending(rental.merchant_id), 0)
    is_settled = any(each.kind == TransferKind.RENTAL_SETTLED for each in written)
    row = f"rental {rental.id}"
    if owed != bill.owed_minor:
        says = f"{bill.owed_minor} is owed by the rental, {owed} by the books"
        yield Break(check=Check.DISAGREES, row=row, says=says)
    if rental.state is RentalState.COMPLETED and owed != 0:
        says = f"it is completed, and {owed} of it was never paid"
        yield Break(check=Check.DISAGREES, row=row, says=says)
    if rental.settled_at is not None and pending != 0:
        says = f"it is settled, and {pending} of it is still pending"
        yield Break(check=Check.DISAGREES, row=row, says=says)
    if not is_settled and pending != bill.shares.merchant_minor:
        says = f"the merchant's part is {bill.shares.merchant_minor}, and {pending} is pending"
        yield Break(check=Check.DISAGREES, row=row, says=says)


def _compare(wanted: Sequence[Expected], written: Iterable[Written]) -> Iterator[Break]:
    """What the books must say, against what they say."""
    by_subject: dict[str, list[Written]] = {}
    for each in written:
        by_subject.setdefault(each.subject, []).append(each)
    for want in wanted:
        there = by_subject.pop(want.subject, [])
        row = want.subject.replace(":", " ", 1)
        for key in sorted(want.keys - {each.key for each in there}):
            says = f"its transfer {key} is not in the books"
            yield Break(check=Check.MISSING, row=row, says=says)
        found = net((account, amount) for each in there for account, _, amount in each.postings)
        if not want.fits(found):
            says = f"the books say {_shown(found)}; by its state it is {_shown(want.net)}"
            yield Break(check=Check.DISAGREES, row=row, says=says)
    for there in by_subject.values():
        for each in there:
            says = f"({each.key}) belongs to nothing that is there"
            yield Break(check=Check.UNEXPLAINED, row=f"transfer {each.id}", says=says)


def _shown(amounts: expected.Net) -> str:
    return ", ".join(f"{account} {amount:+}" for account, amount in sorted(amounts.items())) or "0"
