"""Many banks reported at once, from a file: each row by itself, the same file harmlessly again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session

from backend.db import market
from backend.db.tables.market import MerchantRow
from backend.domain.bank_list import Fault, Row, read
from backend.domain.errors import Code, Refusal
from backend.limits import BANKS_PER_MERCHANT_MAX, IMPORT_ROWS_MAX
from backend.principal import Principal
from backend.services import stock
from backend.services.stock import New, Registered


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
            CSV_TOO_MANY_ROWS; TRY_AGAIN. Then nothing of the file was taken in.
    """
    merchant = stock.lender(session, who, merchant_id)
    rows = read(body, most=IMPORT_ROWS_MAX)
    sound = [row for row in rows if not row.faults]
    owners = market.merchants_of_banks(session, [row.bank_id for row in sound])
    room = BANKS_PER_MERCHANT_MAX - market.count_banks(session, merchant.id)
    wanted = [
        New(bank_id=row.bank_id, model=row.model, batch=row.batch)
        for row in sound
        if row.bank_id not in owners
    ]
    made = {each.bank.id: each for each in stock.add(session, merchant, wanted[:room], now=now)}
    return [_outcome(row, merchant, owners, made) for row in rows]


def _outcome(
    row: Row, merchant: MerchantRow, owners: Mapping[str, str], made: Mapping[str, Registered]
) -> Imported:
    if row.faults:
        return _refused(row, row.faults)
    owner_id = owners.get(row.bank_id)
    if owner_id == merchant.id:
        return Imported(line=row.line, bank_id=row.bank_id, outcome=Outcome.KNOWN)
    if owner_id is not None:
        why = Refusal(Code.BANK_ALREADY_REGISTERED, bank=row.bank_id)
        return _refused(row, (Fault(column="bank_id", why=why),))
    if row.bank_id not in made:
        return _refused(row, (Fault(column="", why=Refusal(Code.TOO_LARGE)),))
    return Imported(
        line=row.line,
        bank_id=row.bank_id,
        outcome=Outcome.REGISTERED,
        made=made[row.bank_id],
    )


def _refused(row: Row, faults: tuple[Fault, ...]) -> Imported:
    return Imported(line=row.line, bank_id=row.bank_id, outcome=Outcome.REFUSED, faults=faults)
