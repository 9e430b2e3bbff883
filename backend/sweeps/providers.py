"""Ask providers for what is due, and after what is in doubt.

Each function does a bounded piece and says how much it did. Each is safe to run twice, and in
two processes: rows are claimed, keys are stored before the call, and a payment only moves
forward. Providers are called between transactions, never inside one.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from backend.db import money, outbox
from backend.db.engine import Database
from backend.db.tables.money import Ask, OutboxRow, PaymentRow, PaymentState, Purpose
from backend.follow import POISON
from backend.limits import OutboxLimits
from backend.payments.port import (
    Capture,
    Provider,
    ProviderAway,
    ProviderDeclined,
    ProviderPayment,
)
from backend.services import payments

_log = structlog.get_logger(__name__)

Providers = Mapping[str, Provider]
"""By the name that a payment row has."""


# -- the outbox -----------------------------------------------------------------------------


def send_outbox(
    database: Database,
    providers: Providers,
    *,
    public_url: str,
    limits: OutboxLimits,
    now: datetime,
) -> int:
    """Ask providers for what is due, once each; one that fails stops no other."""
    with database.writing() as session:
        taken = outbox.claim(session, now=now, lease=limits.lease, limit=limits.batch)
        work = [(row, money.payment_row(session, row.payment_id)) for row in taken]
    for row, payment in work:
        try:
            _send(database, providers, row, payment, public_url=public_url, limits=limits, now=now)
        except POISON as error:
            _away(database, row, limits=limits, problem=_of(error), now=now)
    return len(work)


def _of(error: Exception) -> str:
    """An error of ours, as the operator's list shows it."""
    return f"{type(error).__name__}: {error}"[:500]


def _send(
    database: Database,
    providers: Providers,
    row: OutboxRow,
    payment: PaymentRow,
    *,
    public_url: str,
    limits: OutboxLimits,
    now: datetime,
) -> None:
    provider = providers[payment.provider]
    if row.ask is Ask.RELEASE and payments.is_over(payment):
        with database.writing() as session:
            outbox.done(session, row.id, now=now)
        return
    try:
        told = _call(provider, row, payment, public_url=public_url)
    except ProviderAway as away:
        _away(database, row, limits=limits, problem=str(away), now=now)
    except ProviderDeclined as no:
        _declined(database, provider, row, payment, no, limits=limits, now=now)
    else:
        _answered(database, row, told, now=now)


def _call(
    provider: Provider, row: OutboxRow, payment: PaymentRow, *, public_url: str
) -> ProviderPayment:
    if row.ask is Ask.CREATE:
        is_hold = payment.purpose is Purpose.DEPOSIT
        return provider.create(
            key=row.key,
            reference=payment.id,
            amount_minor=row.amount_minor,
            currency=payment.currency,
            capture=Capture.MANUAL if is_hold else Capture.AUTOMATIC,
            description="Lendwatt 押金 deposit" if is_hold else "Lendwatt 租金 rental",
            return_url=f"{public_url}/rentals/{payment.rental_id}",
        )
    if payment.provider_ref is None:  # its making is still in doubt: first that, then this
        message = "the payment's creation has no answer yet"
        raise ProviderAway(message)
    match row.ask:
        case Ask.RELEASE:
            return provider.release(payment.provider_ref, key=row.key)
        case Ask.CAPTURE:
            return provider.capture(
                payment.provider_ref, key=row.key, amount_minor=row.amount_minor
            )
        case Ask.REFUND:
            return provider.refund(payment.provider_ref, key=row.key, amount_minor=row.amount_minor)


def _answered(database: Database, row: OutboxRow, told: ProviderPayment, *, now: datetime) -> None:
    with database.writing() as session:
        payment = money.payment_row(session, row.payment_id)
        problem = payments.mismatch(payment, told)
        if problem is not None:
            outbox.give_up(session, row.id, problem=problem)
            return
        payments.learn(session, payment, told, now=now)
        if row.ask is Ask.REFUND:
            payments.refunded(session, payment, now=now)
        outbox.done(session, row.id, now=now)


def _away(
    database: Database, row: OutboxRow, *, limits: OutboxLimits, problem: str, now: datetime
) -> None:
    """Nobody knows whether it happened: try again with the same key, later and later."""
    _log.warning("provider_away", ask=row.ask, payment=row.payment_id, problem=problem)
    wait = min(limits.longest_wait, limits.first_wait * 2 ** min(row.attempts - 1, 16))
    with database.writing() as session:
        if row.ask is Ask.CREATE:
            payment = money.payment_row(session, row.payment_id)
            payments.lost_track(session, payment, now=now)
        if row.attempts >= limits.attempts:
            outbox.give_up(session, row.id, problem=problem)
        else:
            outbox.again(session, row.id, due_at=now + wait)


def _declined(
    database: Database,
    provider: Provider,
    row: OutboxRow,
    payment: PaymentRow,
    no: ProviderDeclined,
    *,
    limits: OutboxLimits,
    now: datetime,
) -> None:
    """A final no. To making a payment, it is the end of it; else the truth is asked for."""
    if row.ask is Ask.CREATE:
        with database.writing() as session:
            payments.declined(session, money.payment_row(session, payment.id), now=now)
            outbox.done(session, row.id, now=now)
        return
    try:
        told = provider.fetch(payment.provider_ref or "")
    except ProviderAway as away:
        _away(database, row, limits=limits, problem=str(away), now=now)
        return
    except ProviderDeclined:
        told = None
    with database.writing() as session:
        ours = money.payment_row(session, payment.id)
        if told is not None and payments.mismatch(ours, told) is None:
            payments.learn(session, ours, told, now=now)
        if row.ask is Ask.RELEASE and payments.is_over(ours):
            outbox.done(session, row.id, now=now)
        else:
            outbox.give_up(session, row.id, problem=str(no))


# -- what is in doubt -----------------------------------------------------------------------

_WAITING = (PaymentState.CREATED, PaymentState.UNKNOWN, PaymentState.OPEN)
_HELD_CHECK = timedelta(hours=1)


def ask_in_doubt(
    database: Database, providers: Providers, *, limits: OutboxLimits, now: datetime
) -> int:
    """Ask providers after payments that nothing was heard of: a webhook may never come."""
    with database.reading() as session:
        silent = money.silent_payments(
            session, states=_WAITING, since=now - limits.doubt_after, limit=limits.batch
        )
        held = money.silent_payments(
            session, states=(PaymentState.AUTHORIZED,), since=now - _HELD_CHECK, limit=limits.batch
        )
    for payment in (*silent, *held):
        try:
            _ask_after(database, providers[payment.provider], payment, now=now)
        except POISON as error:
            _log.error("payment_in_doubt", payment=payment.id, problem=_of(error))
            _asked(database, payment, now=now)
    return len(silent) + len(held)


def _ask_after(
    database: Database, provider: Provider, payment: PaymentRow, *, now: datetime
) -> None:
    try:
        if payment.provider_ref is None:
            told = provider.find(payment.id)
        else:
            told = provider.fetch(payment.provider_ref)
    except (ProviderAway, ProviderDeclined) as no:
        _log.warning("payment_in_doubt", payment=payment.id, problem=str(no))
        told = None
    with database.writing() as session:
        ours = money.payment_row(session, payment.id)
        ours.checked_at = now
        session.add(ours)
        if told is not None and payments.mismatch(ours, told) is None:
            payments.learn(session, ours, told, now=now)


def _asked(database: Database, payment: PaymentRow, *, now: datetime) -> None:
    """Let the other payments come first now: this one is asked after later."""
    with database.writing() as session:
        ours = money.payment_row(session, payment.id)
        ours.checked_at = now
        session.add(ours)
