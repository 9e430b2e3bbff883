"""A bill put right: what a credit note takes back, and who gives it up.

The theory
----------
A bill is never changed. What was wrong with it is taken back by **credit notes**, each with its
kind and its reason, and all of them together never more than the bill. At any moment::

    bill = credited + paid + owed

A credit note first lowers what is still owed; what it takes back beyond that was paid, and goes
back to the renter (:func:`take_back`).

Who gives it up: merchant and platform divide **what is left** of the bill by the rule snapshotted
on the rental, so after any number of credit notes each has the share of a bill that had been
right from the start, to the cent. GOODWILL is other: the bill was right, and the platform gives
of its own; the merchant's share stays.

What must always hold: no part is negative; the parts sum to the credit note.
"""

from dataclasses import dataclass
from enum import StrEnum

from backend.domain.errors import Code, Refusal
from backend.domain.ledger import Split, share_out
from backend.domain.money import ZERO, Minor


class CreditKind(StrEnum):
    """Why a bill is put right."""

    LATE_OUTPUT_OFF = "late_output_off"
    """The bank told late that it had stopped earlier."""
    FOUND_AGAIN = "found_again"
    """A bank that counted as bought came back."""
    DISPUTE = "dispute"
    """The renter was right."""
    GOODWILL = "goodwill"
    """The bill was right; the platform gives of its own."""
    CORRECTION = "correction"
    """An operator found a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A bill, and what became of it so far."""

    amount_minor: Minor
    commission_bp: int
    credited_minor: Minor = ZERO
    """Taken back by credit notes, of all kinds."""
    given_minor: Minor = ZERO
    """The part of that which the platform gave of its own."""
    paid_minor: Minor = ZERO
    """Paid or captured, less what went back."""

    @property
    def owed_minor(self) -> Minor:
        """What is still to be paid."""
        return Minor(self.amount_minor - self.credited_minor - self.paid_minor)

    @property
    def left_minor(self) -> Minor:
        """What credit notes may still take back."""
        return Minor(self.amount_minor - self.credited_minor)

    @property
    def shares(self) -> Split:
        """What merchant and platform have of it now."""
        rightful = Minor(self.left_minor + self.given_minor)
        shares = share_out(rightful, commission_bp=self.commission_bp)
        return Split(
            merchant_minor=shares.merchant_minor,
            platform_minor=Minor(shares.platform_minor - self.given_minor),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """A credit note's amount, divided twice: by what becomes of it, and by who gives it up."""

    reduced_minor: Minor
    """Need not be paid any more."""
    refunded_minor: Minor
    """Was paid, and goes back."""
    reduced: Split
    """Who gives up the first."""
    refunded: Split
    """Who gives up the second."""


def take_back(bill: Bill, *, amount_minor: Minor, kind: CreditKind) -> TakenBack:
    """Divide a credit note.

    Args:
        bill: as it is before.
        amount_minor: above zero.
        kind: decides who gives it up.

    Raises:
        Refusal: MORE_THAN_BILLED, with what is left of the bill.
    """
    if not 0 < amount_minor <= bill.left_minor:
        raise Refusal(Code.MORE_THAN_BILLED, left_minor=bill.left_minor)
    reduced = Minor(min(amount_minor, bill.owed_minor))
    first = _given_up(bill, reduced, kind)
    whole = _given_up(bill, amount_minor, kind)
    return TakenBack(
        reduced_minor=reduced,
        refunded_minor=Minor(amount_minor - reduced),
        reduced=first,
        refunded=Split(
            merchant_minor=Minor(whole.merchant_minor - first.merchant_minor),
            platform_minor=Minor(whole.platform_minor - first.platform_minor),
        ),
    )


def too_much(bill: Bill, *, rightful_minor: Minor) -> Minor:
    """What a bill still is above what it should be, whatever took back a part of it before.

    What the platform gave of its own made the bill no smaller; but never more than is left.

    Args:
        bill: as it is.
        rightful_minor: what it should have been from the start.
    """
    above = bill.left_minor + bill.given_minor - rightful_minor
    return Minor(max(ZERO, min(above, bill.left_minor)))


def _given_up(bill: Bill, amount_minor: Minor, kind: CreditKind) -> Split:
    """What each has now, less what each has afterwards."""
    if kind is CreditKind.GOODWILL:
        return Split(merchant_minor=ZERO, platform_minor=amount_minor)
    rightful = Minor(bill.left_minor + bill.given_minor)
    before = share_out(rightful, commission_bp=bill.commission_bp)
    after = share_out(Minor(rightful - amount_minor), commission_bp=bill.commission_bp)
    return Split(
        merchant_minor=Minor(before.merchant_minor - after.merchant_minor),
        platform_minor=Minor(before.platform_minor - after.platform_minor),
    )
