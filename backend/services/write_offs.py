"""Bills that nobody pays any more, given up by an operator.

The bill was right, so its merchant gets their part of all of it; the renter was not made to pay, so
the platform gives what is still owed. That is a credit note like any other (``credits``).
"""

from datetime import datetime

from sqlmodel import Session

from backend.db import audit
from backend.db import deposits as dues
from backend.db.tables.credits import CreditNoteRow
from backend.domain.credit import CreditKind
from backend.domain.errors import Code, Refusal
from backend.principal import Principal
from backend.services.credits import bill_of, credit
from backend.services.rentals import find_locked


def write_off(
    session: Session, *, who: Principal, rental_id: str, reason: str, now: datetime
) -> CreditNoteRow:
    """Give what is still owed on a bill, and so end its rental.

    Args:
        session: a writing transaction.
        who: the operator.
        rental_id: a rental whose bill is owed.
        reason: why, for the trace; and for its renter to read.
        now: the time.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE, also while it is disputed, is being paid, or may be taken
            from the deposit.
    """
    rental = find_locked(session, rental_id)
    if not dues.is_uncollectable(session, rental.id):
        raise Refusal(Code.WRONG_STATE, state=rental.state, event="write_off")
    before = rental.state
    note = credit(
        session,
        rental,
        amount_minor=bill_of(session, rental).owed_minor,
        kind=CreditKind.GOODWILL,
        why=reason,
        by_id=who.person_id,
        evidence="",
        now=now,
    )
    audit.write(
        session,
        by_id=who.person_id,
        action="bill.write_off",
        subject="rental",
        subject_id=rental.id,
        before={"state": before},
        after={"state": rental.state, "given_minor": str(note.amount_minor)},
        why=reason,
        now=now,
    )
    return note
