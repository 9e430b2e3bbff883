"""People and their sign-ins: each change decides and writes in one statement."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CursorResult, delete, select, update
from sqlmodel import Session, col

from backend.db.tables.people import Person, SignIn, SigninCode, SigninQuota
from backend.db.upsert import upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class Guessable:
    """A code that a try was just spent on."""

    code_id: str
    code_hash: str
    tries: int
    """Tries spent, this one included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A signed-in device that is good now, and whose it is."""

    sign_in_id: str
    person_id: str
    is_operator: bool


def person_for_phone(session: Session, *, phone: str, new_id: str, now: datetime) -> Person:
    """Find the person with this phone; the first time, make them, with id ``new_id``."""
    session.execute(
        upsert(session, Person)
        .values(id=new_id, phone=phone, created_at=now)
        .on_conflict_do_nothing(index_elements=["phone"])
    )
    return session.scalars(select(Person).where(col(Person.phone) == phone)).one()


def person(session: Session, person_id: str) -> Person | None:
    """Read a person."""
    return session.get(Person, person_id)


def spend_send(session: Session, *, subject: str, hour: datetime, sends_max: int) -> bool:
    """Count one code sent to this subject in this hour; False if it has had its share."""
    insert = upsert(session, SigninQuota).values(subject=subject, hour=hour, sent=1)
    spent = session.execute(
        insert.on_conflict_do_update(
            index_elements=["subject", "hour"],
            set_={"sent": SigninQuota.sent + 1},
            where=col(SigninQuota.sent) < sends_max,
        ).returning(col(SigninQuota.sent))
    ).scalar()
    return spent is not None


def spend_guess(session: Session, *, phone: str, tries_max: int, now: datetime) -> Guessable | None:
    """Spend one try on the phone's newest code; None if that one is used, old or locked.

    Counted in the UPDATE that checks the count: however many guess at once, no code is
    compared more than ``tries_max`` times.
    """
    newest = (
        select(col(SigninCode.id))
        .where(col(SigninCode.phone) == phone)
        .order_by(col(SigninCode.created_at).desc(), col(SigninCode.id).desc())
        .limit(1)
        .scalar_subquery()
    )
    row = session.execute(
        update(SigninCode)
        .where(
            col(SigninCode.id) == newest,
            col(SigninCode.tries) < tries_max,
            col(SigninCode.used_at).is_(None),
            col(SigninCode.expires_at) > now,
        )
        .values(tries=SigninCode.tries + 1)
        .returning(col(SigninCode.id), col(SigninCode.code_hash), col(SigninCode.tries))
        .execution_options(synchronize_session=False)
    ).first()
    if row is None:
        return None
    return Guessable(code_id=row.id, code_hash=row.code_hash, tries=row.tries)


def use_code(session: Session, *, code_id: str, now: datetime) -> bool:
    """Use a code up; False if somebody just did."""
    used = session.execute(
        update(SigninCode)
        .where(col(SigninCode.id) == code_id, col(SigninCode.used_at).is_(None))
        .values(used_at=now)
    )
    return _rows(used) == 1


def rotate(
    session: Session,
    *,
    sign_in_id: str,
    old_hash: str,
    new_hash: str,
    now: datetime,
    expires_at: datetime,
) -> str | None:
    """Put a new refresh token in the place of the old; gives the person's id, None if unfit."""
    return session.execute(
        update(SignIn)
        .where(
            col(SignIn.id) == sign_in_id,
            col(SignIn.refresh_hash) == old_hash,
            col(SignIn.revoked_at).is_(None),
            col(SignIn.expires_at) > now,
        )
        .values(refresh_hash=new_hash, refreshed_at=now, expires_at=expires_at)
        .returning(col(SignIn.person_id))
    ).scalar()


def revoke(session: Session, *, sign_in_id: str, now: datetime) -> bool:
    """Sign a device out; False if there was nothing to do."""
    gone = session.execute(
        update(SignIn)
        .where(col(SignIn.id) == sign_in_id, col(SignIn.revoked_at).is_(None))
        .values(revoked_at=now)
    )
    return _rows(gone) == 1


def signed_in(session: Session, *, sign_in_id: str, now: datetime) -> Device | None:
    """Read a device with its person; None once it was signed out or has lapsed."""
    row = session.execute(
        select(
            col(SignIn.id),
            col(Person.id).label("person_id"),
            (col(Person.is_operator) & col(Person.suspended_at).is_(None)).label("is_operator"),
        )
        .join(Person, col(Person.id) == col(SignIn.person_id))
        .where(
            col(SignIn.id) == sign_in_id,
            col(SignIn.revoked_at).is_(None),
            col(SignIn.expires_at) > now,
        )
    ).first()
    if row is None:
        return None
    return Device(sign_in_id=row.id, person_id=row.person_id, is_operator=row.is_operator)


def dismiss_operators(session: Session, *, but: Collection[str]) -> None:
    """Take an operator's rights from everybody but those with these phones."""
    gone = col(Person.is_operator) & col(Person.phone).not_in(but)
    session.execute(update(Person).where(gone).values(is_operator=False))


def prune(session: Session, *, before: datetime) -> None:
    """Forget codes, counts and ended sign-ins older than ``before``."""
    session.execute(delete(SigninCode).where(col(SigninCode.expires_at) < before))
    session.execute(delete(SigninQuota).where(col(SigninQuota.hour) < before))
    session.execute(
        delete(SignIn).where((col(SignIn.expires_at) < before) | (col(SignIn.revoked_at) < before))
    )


def _rows(result: object) -> int:
    assert isinstance(result, CursorResult)  # noqa: S101 - a narrowing for the type checker
    return result.rowcount
