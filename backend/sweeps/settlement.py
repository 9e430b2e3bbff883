"""Settle what is due, and have withdrawals paid out.

Each function does a bounded piece, is safe to run twice, and in two processes. Providers are asked
between transactions: a withdrawal was claimed, with its key, before anybody is asked to send it.
"""

from collections.abc import Mapping
from datetime import datetime

import structlog

from backend.db import rentals, withdrawals
from backend.db import settlement as queries
from backend.db.engine import Database
from backend.db.tables.withdrawals import WithdrawalRow
from backend.follow import POISON
from backend.limits import PayoutLimits
from backend.payments.port import (
    PayoutProvider,
    Provider,
    ProviderAway,
    ProviderDeclined,
    ProviderPayout,
)
from backend.services import settlement
from backend.services import withdrawals as services

_log = structlog.get_logger(__name__)

_PAGE = 100
NO_PAYOUTS = "this provider pays nothing out: send it by hand"


# -- settling -------------------------------------------------------------------------------


def settle_due(database: Database, *, now: datetime) -> int:
    """Settle the rentals whose dispute window is over; those with a dispute, as far as it goes."""
    settled, after = 0, None
    while True:
        with database.reading() as session:
            page = queries.due(session, after=after, now=now, limit=_PAGE)
        settled += sum(_settle(database, rental_id, now=now) for _, rental_id in page)
        if len(page) < _PAGE:
            return settled
        after = page[-1]


def _settle(database: Database, rental_id: str, *, now: datetime) -> bool:
    try:
        settled = database.carry_out(
            lambda session: settlement.settle(session, rentals.rental(session, rental_id), now=now)
        )
    except POISON as error:
        _log.error("rental_not_settled", rental=rental_id, problem=_of(error))
        return False
    return settled > 0


def _of(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]


# -- paying out -----------------------------------------------------------------------------


def send_withdrawals(
    database: Database,
    providers: Mapping[str, Provider],
    *,
    limits: PayoutLimits,
    now: datetime,
) -> int:
    """Have what is due paid out, or asked after; one that fails stops no other."""
    with database.writing() as session:
        taken = withdrawals.claim(session, now=now, lease=limits.lease, limit=limits.batch)
    for row in taken:
        provider = providers.get(row.provider)
        if not isinstance(provider, PayoutProvider):
            _give_up(database, row, problem=NO_PAYOUTS, now=now)
            continue
        try:
            _send(database, provider, row, limits=limits, now=now)
        except POISON as error:
            _away(database, row, problem=_of(error), limits=limits, now=now)
    return len(taken)


def _send(
    database: Database,
    provider: PayoutProvider,
    row: WithdrawalRow,
    *,
    limits: PayoutLimits,
    now: datetime,
) -> None:
    try:
        told = _ask(provider, row)
    except ProviderAway as away:
        _away(database, row, problem=str(away), limits=limits, now=now)
    except ProviderDeclined as no:
        with database.writing() as session:
            services.declined(session, row.id, failure=str(no), now=now)
    else:
        database.carry_out(
            lambda session: services.learn(session, told, provider=row.provider, now=now)
        )


def _ask(provider: PayoutProvider, row: WithdrawalRow) -> ProviderPayout:
    """Send it; if it may have been sent before, look first, and look again before a no counts."""
    was_tried = row.attempts > 1
    told = provider.find_payout(row.id) if was_tried else None
    if told is not None:
        return told
    try:
        return provider.pay_out(
            key=row.key,
            reference=row.id,
            amount_minor=row.amount_minor,
            currency=row.currency,
            account=row.account,
            description="Lendwatt 提現 withdrawal",
        )
    except ProviderDeclined:
        told = provider.find_payout(row.id) if was_tried else None
        if told is None:
            raise
        return told


def _away(
    database: Database,
    row: WithdrawalRow,
    *,
    problem: str,
    limits: PayoutLimits,
    now: datetime,
) -> None:
    """Nobody knows whether it went: it stays out of reach, and is asked after later and later."""
    _log.warning("payout_in_doubt", withdrawal=row.id, problem=problem)
    if row.attempts >= limits.attempts:
        _give_up(database, row, problem=problem, now=now)
        return
    wait = min(limits.longest_wait, limits.first_wait * 2 ** min(row.attempts - 1, 16))
    with database.writing() as session:
        services.lost_track(session, row.id, due_at=now + wait, problem=problem, now=now)


def _give_up(database: Database, row: WithdrawalRow, *, problem: str, now: datetime) -> None:
    with database.writing() as session:
        services.lost_track(session, row.id, due_at=None, problem=problem, now=now)
