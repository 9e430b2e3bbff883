"""Queries on merchants' records and the scores worked out from them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, case, func
from sqlmodel import Session, col, select, update

from backend.db import seam
from backend.db.tables.market import BankRow
from backend.db.tables.rentals import JobKind, JobRow, JobState, RentalRow
from backend.db.tables.scores import MerchantScoreRow
from backend.db.upsert import upsert
from backend.domain.custody import Holder
from backend.domain.dispatch import FAILED, EndedWhy
from backend.domain.scoring import UNKNOWN, Record, score

NOT_BROUGHT: Final = tuple(
    sorted({*FAILED, EndedWhy.OFF_SHIFT, EndedWhy.BANK_LOST, EndedWhy.GIVEN_UP})
)
"""Ends of a delivery that are its merchant's. Any other counts only if it was late by then."""


def record(session: Session, merchant_id: str, *, since: datetime) -> Record:
    """Count a merchant's deliveries that ended since then, and look at its banks."""
    counts = select(func.count(), func.coalesce(func.sum(case((_in_time(), 1), else_=0)), 0))
    counts = counts.where(
        JobRow.merchant_id == merchant_id, JobRow.rental_id == RentalRow.id, _counts(since=since)
    )
    deliveries, on_time = session.exec(counts).one()
    at_home = select(BankRow.id).where(
        BankRow.merchant_id == merchant_id,
        BankRow.holder == Holder.MERCHANT,
        col(BankRow.is_recalled).is_(False),
    )
    return Record(
        deliveries=deliveries,
        on_time=on_time,
        average_charge_pct=seam.average_charge_pct(session, at_home),
    )


def ended(session: Session, *, since: datetime, limit: int) -> Sequence[tuple[datetime, bool]]:
    """When deliveries ended since then, and whether each was in time; of all merchants.

    Of more than the limit, those of the newest jobs.
    """
    newest = select(JobRow.id).order_by(col(JobRow.id).desc()).limit(limit)
    found = select(JobRow.done_at, case((_in_time(), 1), else_=0)).where(
        JobRow.rental_id == RentalRow.id, col(JobRow.id).in_(newest), _counts(since=since)
    )
    return [(at, bool(is_so)) for at, is_so in session.exec(found) if at is not None]


def _in_time() -> ColumnElement[bool]:
    """Whether a delivery was handed over by when it was promised."""
    return (col(JobRow.state) == JobState.DONE) & func.coalesce(
        col(JobRow.done_at) <= func.coalesce(JobRow.deliver_by, RentalRow.promised_at), True
    )


def _counts(*, since: datetime) -> ColumnElement[bool]:
    """Whether a job is a delivery that ended since then, and says something of its merchant."""
    return (
        (col(JobRow.kind) == JobKind.DELIVERY)
        & (col(JobRow.done_at) >= since)
        & (
            (col(JobRow.state) == JobState.DONE)
            | (col(JobRow.state) == JobState.CANCELLED)
            & (_late() | col(JobRow.ended_why).in_(NOT_BROUGHT))
        )
    )


def _late() -> ColumnElement[bool]:
    """Whether a delivery that was not handed over was late; one to an absent renter, on arrival."""
    was_awaited = (col(JobRow.ended_why) == EndedWhy.RENTER_ABSENT) & (
        col(JobRow.at_door_at) < col(JobRow.late_at)
    )
    return col(JobRow.late_at).is_not(None) & ~was_awaited


def stored(session: Session, merchant_ids: Sequence[str]) -> dict[str, Record]:
    """The records by which these merchants were last scored; newcomers have none."""
    rows = session.exec(
        select(MerchantScoreRow).where(col(MerchantScoreRow.merchant_id).in_(merchant_ids))
    )
    return {
        row.merchant_id: Record(
            deliveries=row.deliveries,
            on_time=row.on_time,
            average_charge_pct=row.average_charge_pct,
        )
        for row in rows
    }


def row_of(
    merchant_id: str, of: Record, *, counted_at: datetime, due_at: datetime
) -> MerchantScoreRow:
    """A record as it is stored, with the score that it makes."""
    return MerchantScoreRow(
        merchant_id=merchant_id,
        deliveries=of.deliveries,
        on_time=of.on_time,
        average_charge_pct=of.average_charge_pct,
        score=score(of).score,
        counted_at=counted_at,
        due_at=due_at,
    )


def keep(session: Session, row: MerchantScoreRow) -> None:
    """Store a score in the place of the one before."""
    values = row.model_dump()
    adding = upsert(session, MerchantScoreRow).values(values)
    session.exec(adding.on_conflict_do_update(index_elements=["merchant_id"], set_=values))


def look_again(session: Session, merchant_id: str, *, now: datetime) -> None:
    """Have a merchant's score worked out soon: one cheap write. A newcomer begins with one."""
    adding = upsert(session, MerchantScoreRow).values(
        row_of(merchant_id, UNKNOWN, counted_at=now, due_at=now).model_dump()
    )
    session.exec(adding.on_conflict_do_update(index_elements=["merchant_id"], set_={"due_at": now}))


def due(session: Session, *, now: datetime, limit: int) -> Sequence[str]:
    """Merchants whose scores are to be worked out again, the longest waiting first."""
    return session.exec(
        select(MerchantScoreRow.merchant_id)
        .where(col(MerchantScoreRow.due_at) <= now)
        .order_by(col(MerchantScoreRow.due_at))
        .limit(limit)
    ).all()


def take(session: Session, merchant_id: str, *, now: datetime, until: datetime) -> bool:
    """Claim a score that is due; False if somebody else has it."""
    taken = session.exec(
        update(MerchantScoreRow)
        .where(
            col(MerchantScoreRow.merchant_id) == merchant_id, col(MerchantScoreRow.due_at) <= now
        )
        .values(due_at=until)
    )
    return taken.rowcount == 1
