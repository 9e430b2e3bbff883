"""What is done again and again, each safe to run twice, and in two processes.

A sweep does a bounded piece and says how much it did. What is due stands in the database: the
timer that calls a sweep is only a clock. Each claims its rows, one transaction for each, so one
that fails stops no other.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from backend.db.engine import Database
from backend.limits import OutboxLimits, PayoutLimits, ReconcileLimits
from backend.settings import Settings
from backend.sweeps import upkeep
from backend.sweeps.dispatch import forget_positions, watch
from backend.sweeps.lifecycle import look_after_banks, stop_unpaid
from backend.sweeps.money import act_on_deadlines, secure_holds, spend_deposits
from backend.sweeps.providers import Providers, ask_in_doubt, send_outbox
from backend.sweeps.reconcile import reconcile
from backend.sweeps.scores import work_out_scores
from backend.sweeps.settlement import send_withdrawals, settle_due
from backend.sweeps.upkeep import forget, start_waiting

__all__ = [
    "ALL",
    "Providers",
    "Sweep",
    "Tools",
    "act_on_deadlines",
    "ask_in_doubt",
    "forget",
    "forget_positions",
    "look_after_banks",
    "reconcile",
    "secure_holds",
    "send_outbox",
    "send_withdrawals",
    "settle_due",
    "spend_deposits",
    "start_waiting",
    "stop_unpaid",
    "watch",
    "work_out_scores",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What sweeps work with."""

    database: Database
    providers: Providers
    settings: Settings
    outbox: OutboxLimits = field(default_factory=OutboxLimits)
    payouts: PayoutLimits = field(default_factory=PayoutLimits)
    reconcile: ReconcileLimits = field(default_factory=ReconcileLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One periodic job."""

    name: str
    every_s: float
    run: Callable[[Tools, datetime], object]


ALL: Final = (
    Sweep(
        name="ask_in_doubt",
        every_s=5,
        run=lambda with_, now: ask_in_doubt(
            with_.database, with_.providers, limits=with_.outbox, now=now
        ),
    ),
    Sweep(
        name="watch",
        every_s=1,
        run=lambda with_, now: watch(with_.database, now=now),
    ),
    Sweep(
        name="forget_positions",
        every_s=3600,
        run=lambda with_, now: forget_positions(with_.database, now=now),
    ),
    Sweep(
        name="start_waiting",
        every_s=5,
        run=lambda with_, now: upkeep.start_waiting(with_.database, now=now),
    ),
    Sweep(
        name="work_out_scores",
        every_s=30,
        run=lambda with_, now: work_out_scores(with_.database, now=now),
    ),
    Sweep(
        name="settle_due",
        every_s=60,
        run=lambda with_, now: settle_due(with_.database, now=now),
    ),
    Sweep(
        name="send_withdrawals",
        every_s=5,
        run=lambda with_, now: send_withdrawals(
            with_.database, with_.providers, limits=with_.payouts, now=now
        ),
    ),
    Sweep(
        name="look_after_banks",
        every_s=60,
        run=lambda with_, now: look_after_banks(with_.database, now=now),
    ),
    Sweep(
        name="stop_unpaid",
        every_s=60,
        run=lambda with_, now: stop_unpaid(with_.database, now=now),
    ),
    Sweep(
        name="act_on_deadlines",
        every_s=10,
        run=lambda with_, now: act_on_deadlines(with_.database, now=now),
    ),
    Sweep(
        name="secure_holds",
        every_s=60,
        run=lambda with_, now: secure_holds(with_.database, now=now),
    ),
    Sweep(
        name="spend_deposits",
        every_s=10,
        run=lambda with_, now: spend_deposits(with_.database, now=now),
    ),
    Sweep(
        name="reconcile",
        every_s=600,
        run=lambda with_, now: reconcile(
            with_.database, with_.providers, limits=with_.reconcile, now=now
        ),
    ),
    Sweep(
        name="forget",
        every_s=600,
        run=lambda with_, now: upkeep.forget(with_.database, with_.settings, now=now),
    ),
)
"""Every sweep there is; the composition root gives each its turn."""
