"""Many banks reported at once, from a file: each row by itself, the same file harmlessly again."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session

from backend.db import market, seam
from backend.db.tables.market import MerchantRow
from backend.domain.bank_list import Fault, Row, harmless, read
from backend.domain.errors import Code, Refusal
from backend.limits import BANKS_PER_MERCHANT_MAX, IMPORT_ROWS_MAX
from backend.principal import Principal
from backend.services import stock
from backend.services.stock import Registered


class Outcome(StrEnum):
    """What became of a row."""

    REGISTERED = "registered"
    KNOWN = "known"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A row, and what became of it."""

    line: int
    bank_id: str
    outcome: Outcome
    made: Registered | None = None
    """With the secret, which is shown this once; only of what was registered."""
    faults: tuple[Fault, ...] = ()


def take_in(
    session: Session, *, who: Principal, merchant_id: str, body: bytes, now: datetime
) -> list[Imported]:
    """Report every bank of a file that can be; say of each row what became of it.

    A bank that this merchant reported before is known and left as it is, so a file that is
    sent again registers nothing twice.

    Raises:
        Refusal: NOT_FOUND, MERCHANT_NOT_APPROVED; CSV_UNREADABLE, CSV_BAD_HEADER or
            CSV_TOO_MANY_ROWS, and then nothing of the file was taken in.
    """
    merchant = stock.lender(session, who, merchant_id)
    room = BANKS_PER_MERCHANT_MAX - market.count_banks(session, merchant.id)
    rows = read(body, most=IMPORT_ROWS_MAX)
    return list(_take_in(session, merchant, rows, room=room, now=now))


def _take_in(
    session: Session, merchant: MerchantRow, rows: tuple[Row, ...], *, room: int, now: datetime
) -> Iterator[Imported]:
    for row in rows:
        done = _refused(row, row.faults) if row.faults else _add(session, merchant, row, room, now)
        room -= done.outcome is Outcome.REGISTERED
        yield done


def _add(session: Session, merchant: MerchantRow, row: Row, room: int, now: datetime) -> Imported:
    here = market.find_bank(session, row.bank_id)
    if here is not None and here.merchant_id == merchant.id:
        return Imported(line=row.line, bank_id=row.bank_id, outcome=Outcome.KNOWN)
    if room <= 0:
        return _refused(row, (Fault(column="", why=Refusal(Code.TOO_LARGE)),))
    try:
        made = stock.add(
            session, merchant, bank_id=row.bank_id, model=row.model, batch=row.batch, now=now
        )
    except Refusal as taken:
        return _refused(row, (Fault(column="bank_id", why=taken),))
    return Imported(
        line=row.line,
        bank_id=row.bank_id,
        outcome=Outcome.REGISTERED,
        made=_with_writable_secret(session, made, now=now),
    )


def _with_writable_secret(session: Session, made: Registered, *, now: datetime) -> Registered:
    """See that the secret goes into a spreadsheet as it is: one in 64 begins with a hyphen."""
    secret = made.secret
    while harmless(secret) != secret:
        secret = seam.rotate_secret(session, made.bank.id, now=now)
    return Registered(bank=made.bank, secret=secret)


def _refused(row: Row, faults: tuple[Fault, ...]) -> Imported:
    return Imported(line=row.line, bank_id=row.bank_id, outcome=Outcome.REFUSED, faults=faults)
