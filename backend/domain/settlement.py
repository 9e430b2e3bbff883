"""What of a rental's takings is the merchant's to withdraw, and when.

The theory
----------
A bill is divided the moment it is made, and the merchant's part waits: until the bill is paid, and
then until the dispute window is over. At its end all of it becomes theirs but what a dispute
freezes, which is what they would give up if the dispute were granted whole. When the dispute has
ended, the rest follows, less what was credited to the renter meanwhile.

So there are at most two steps, and they sum to exactly what the books hold as pending for this
rental: nothing here divides a bill a second time, and a dispute that is granted finds its part
still there.

Not modelled: what a merchant owes back after they had it; that is their debt (``ledger``).
"""

from dataclasses import dataclass, replace
from datetime import datetime

from backend.domain.credit import Bill
from backend.domain.money import ZERO, Minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What one look at a rental's takings comes to."""

    amount_minor: Minor
    """Becomes the merchant's now."""
    is_all: bool
    """Nothing of this rental stays behind."""


def is_due(*, is_paid: bool, settle_at: datetime | None, now: datetime) -> bool:
    """Whether a rental's dispute window is over.

    Args:
        is_paid: it is completed.
        settle_at: the end of the window; None: none was set, and nothing is due.
        now: the time.
    """
    return is_paid and settle_at is not None and settle_at <= now


def due(bill: Bill, *, pending_minor: Minor, frozen_minor: Minor) -> Due:
    """Say what of a rental's pending takings becomes the merchant's now.

    Args:
        bill: the rental's, less its credit notes.
        pending_minor: what the books hold as pending for it: billed, less credited, less settled.
        frozen_minor: what of the bill is disputed; 0 if nothing is.
    """
    kept = frozen_share(bill, frozen_minor=frozen_minor)
    return Due(amount_minor=max(ZERO, Minor(pending_minor - kept)), is_all=frozen_minor == 0)


def frozen_share(bill: Bill, *, frozen_minor: Minor) -> Minor:
    """What the merchant would give up if what is frozen were credited to the renter."""
    granted = replace(bill, credited_minor=Minor(bill.credited_minor + frozen_minor))
    return Minor(bill.shares.merchant_minor - granted.shares.merchant_minor)
