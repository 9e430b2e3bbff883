"""Once a day, compare everything with the providers, and keep the breaks for the operator."""

from collections.abc import Mapping
from datetime import UTC, datetime

from backend.db import reconcile as queries
from backend.db.engine import Database
from backend.db.tables.reconciliation import BreakRow
from backend.ids import new_id
from backend.limits import ReconcileLimits
from backend.payments.port import Provider
from backend.services.reconcile import Looked, look


def reconcile(
    database: Database,
    providers: Mapping[str, Provider],
    *,
    limits: ReconcileLimits,
    now: datetime,
) -> Looked | None:
    """Take today's look, unless it was taken.

    Returns:
        What it came to; None: it was taken already.
    """
    day = now.astimezone(UTC).date().isoformat()
    with database.writing() as session:
        if not queries.begin(session, day=day, now=now, lease=limits.lease):
            return None
    looked = look(database, providers, ended_after=now - limits.look_back, limits=limits)
    with database.writing() as session:
        for found in looked.breaks:
            difference = found.difference
            row = BreakRow(
                id=new_id(),
                kind=difference.kind,
                subject=found.subject,
                subject_id=found.subject_id,
                rental_id=found.rental_id,
                ours=difference.ours[:200],
                theirs=difference.theirs[:200],
                first_seen_at=now,
                last_seen_at=now,
            )
            queries.saw(session, row)
        queries.resolve_unseen(session, since=now, but=looked.unasked)
        queries.end(session, day=day, payments=looked.compared, breaks=len(looked.breaks), now=now)
    return looked
