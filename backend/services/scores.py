"""Merchants' scores: shown to their owners with the reasons, kept for dispatch to rank by."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Session

from backend.db import scores
from backend.domain import scoring
from backend.domain.scoring import UNKNOWN, WINDOW, Score
from backend.principal import Principal
from backend.services import market

EVERY: Final = timedelta(minutes=15)
"""How old a kept score may be: charges change, and deliveries leave the window."""


def of(session: Session, merchant_ids: Sequence[str]) -> dict[str, Score]:
    """Give the kept scores of these merchants, each with its parts; newcomers have one too."""
    records = scores.stored(session, merchant_ids)
    return {each: scoring.score(records.get(each, UNKNOWN)) for each in merchant_ids}


def show(session: Session, *, who: Principal, merchant_id: str, now: datetime) -> Score:
    """Work out a merchant's score as it is now, for its owner.

    Raises:
        Refusal: NOT_FOUND.
    """
    merchant = market.own(session, who, merchant_id)
    return scoring.score(scores.record(session, merchant.id, since=now - WINDOW))


def work_out(session: Session, merchant_id: str, *, now: datetime) -> bool:
    """Work a due score out and keep it; False if somebody else does."""
    if not scores.take(session, merchant_id, now=now, until=now + EVERY):
        return False
    record = scores.record(session, merchant_id, since=now - WINDOW)
    row = scores.row_of(merchant_id, record, counted_at=now, due_at=now + EVERY)
    scores.keep(session, row)
    return True
