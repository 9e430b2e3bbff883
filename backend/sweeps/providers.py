"""Ask providers for what is due, and after what is in doubt.

Each function does a bounded piece and says how much it did. Each is safe to run twice, and in
two processes: rows are claimed, keys are stored before the call, and a payment only moves
forward. Providers are called between transactions, never inside one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlmodel import Session

from backend.db import credits as notes
from backend.db import deposits, money, outbox
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
from backend.services import payments, refunds
from backend.services.deposits import is_still_wanted

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
    """Ask a provider for what is due the longest; if that fails, it stops no other.

    Returns:
        How much was asked: one thing, or nothing is due.
    """
    with database.writing() as session:
        row = outbox.claim(session, now=now, lease=limits.lease)
    if row is None:
        return 0
    try:
        _send(database, providers, row, public_url=public_url, limits=limits, now=now)
    except POISON as error:
        _away(database, row, limits=limits, problem=_of(error), now=now)
    return 1


def _of(error: Exception) -> str:
    """An error of ours, as the operator's list shows it."""
    return f"{type(error).__name__}: {error}"[:500]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What is to be asked, and of whom."""

    row: OutboxRow
    payment: PaymentRow | None
    """None: it fits none of ours, and its refund says which it is."""
    provider: str
    provider_ref: str | None
    is_idle: bool
    """It needs no asking any more."""


def _wish(database: Database, row: OutboxRow) -> _Wish:
    with database.reading() as session:
        if row.payment_id is None:
            assert row.refund_id is not None  # noqa: S101  # the database says so
            refund = notes.read_refund(session, row.refund_id)
            return _Wish(
                row=row,
                payment=None,
                provider=refund.provider,
                provider_ref=refund.provider_ref,
                is_idle=False,
            )
        payment = deposits.payment_seen(session, row.payment_id)
        assert payment is not None  # noqa: S101
        return _Wish(
            row=row,
            payment=payment,
            provider=payment.provider,
            provider_ref=payment.provider_ref,
            is_idle=_is_idle(session, row, payment),
        )


def _is_idle(session: Session, row: OutboxRow, payment: PaymentRow) -> bool:
    """Whether what is to be asked is so already, or is not wanted any more."""
    match row.ask:
        case Ask.CREATE:
            return payments.is_made(payment)
        case Ask.RELEASE:
            return payments.is_over(payment)
        case Ask.CAPTURE:
            return row.attempts == 1 and not is_still_wanted(session, payment.id)
        case Ask.REFUND:
            return False


def _send(
    database: Database,
    providers: Providers,
    row: OutboxRow,
    *,
    public_url: str,
    limits: OutboxLimits,
    now: datetime,
) -> None:
    wish = _wish(database, row)
    if wish.is_idle:
        with database.writing() as session:
            outbox.done(session, row.id, now=now)
        return
    provider = providers[wish.provider]
    try:
        told = _call(provider, wish, public_url=public_url)
    except ProviderAway as away:
        _away(database, row, limits=limits, problem=str(away), now=now)
    except ProviderDeclined as no:
        _declined(database, provider, wish, no, limits=limits, now=now)
    else:
        _answered(database, wish, told, now=now)


def _call(provider: Provider, wish: _Wish, *, public_url: str) -> ProviderPayment:
    row, payment = wish.row, wish.payment
    if row.ask is Ask.CREATE and payment is not None:
        is_hold = payment.purpose is Purpose.DEPOSIT
        return provider.create(
            key=row.provider_key,
            reference=payment.id,
            amount_minor=row.amount_minor,
            currency=payment.currency,
            capture=Capture.MANUAL if is_hold else Capture.AUTOMATIC,
            description="Lendwatt 押金 deposit" if is_hold else "Lendwatt 租金 rental",
            return_url=f"{public_url}/rentals/{payment.rental_id}",
        )
    if wish.provider_ref is None:  # its making is still in doubt: first that, then this
        message = "the payment's creation has no answer yet"
        raise ProviderAway(message)
    ref, key = wish.provider_ref, row.provider_key
    match row.ask:
        case Ask.CAPTURE:
            return provider.capture(ref, key=key, amount_minor=row.amount_minor)
        case Ask.REFUND:
            return provider.refund(ref, key=key, amount_minor=row.amount_minor)
        case _:
            return provider.release(ref, key=key)


def _answered(database: Database, wish: _Wish, told: ProviderPayment, *, now: datetime) -> None:
    row = wish.row
    with database.writing() as session:
        payment = None if row.payment_id is None else payments.lock(session, row.payment_id)
        problem = _mismatch(wish, payment, told)
        if problem is not None:
            outbox.give_up(session, row.id, problem=problem)
            return
        if payment is not None:
            payments.learn(session, payment, told, now=now)
        is_news = outbox.done(session, row.id, now=now)
        if row.refund_id is not None and is_news:  # it may have been heard to fail meanwhile
            refunds.went(session, row.refund_id, now=now)


def _mismatch(wish: _Wish, payment: PaymentRow | None, told: ProviderPayment) -> str | None:
    """What of an answer does not fit. Of a payment that is not ours, only its id can."""
    if payment is not None:
        return payments.mismatch(payment, told)
    return None if told.ref == wish.provider_ref else "unmatched"


def _away(
    database: Database, row: OutboxRow, *, limits: OutboxLimits, problem: str, now: datetime
) -> None:
    """Nobody knows whether it happened: try again with the same key, later and later."""
    _log.warning("provider_away", ask=row.ask, payment=row.payment_id, problem=problem)
    wait = min(limits.longest_wait, limits.first_wait * 2 ** min(row.attempts - 1, 16))
    with database.writing() as session:
        if row.ask is Ask.CREATE:
            payment = payments.lock(session, row.payment_id or "")
            if payment is not None:
                payments.lost_track(session, payment, now=now)
        if row.attempts >= limits.attempts:
            outbox.give_up(session, row.id, problem=problem)
        else:
            outbox.again(session, row.id, due_at=now + wait)


def _declined(
    database: Database,
    provider: Provider,
    wish: _Wish,
    no: ProviderDeclined,
    *,
    limits: OutboxLimits,
    now: datetime,
) -> None:
    """A final no. To making a payment, it is the end of it; else the truth is asked for.

    It is written down first: what the truth leads to may want the same anew.
    """
    row = wish.row
    told = None
    if row.ask is not Ask.CREATE:
        try:
            told = provider.fetch(wish.provider_ref or "")
        except ProviderAway as away:
            _away(database, row, limits=limits, problem=str(away), now=now)
            return
        except ProviderDeclined as gone:
            _log.warning("payment_gone", payment=row.payment_id, problem=str(gone))
    with database.writing() as session:
        ours = None if row.payment_id is None else payments.lock(session, row.payment_id)
        outbox.refused(session, row, problem=str(no), now=now)
        if ours is not None and row.ask is Ask.CREATE:
            payments.declined(session, ours, now=now)
        elif ours is not None and told is not None and payments.mismatch(ours, told) is None:
            payments.learn(session, ours, told, now=now)
        if ours is not None:
            payments.forget_what_is_so(session, ours, now=now)


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
    is_unheard_of = False
    try:
        if payment.provider_ref is None:
            told = provider.find(payment.id)
            is_unheard_of = told is None
        else:
            told = provider.fetch(payment.provider_ref)
    except (ProviderAway, ProviderDeclined) as no:
        _log.warning("payment_in_doubt", payment=payment.id, problem=str(no))
        told = None
    with database.writing() as session:
        ours = payments.lock(session, payment.id)
        assert ours is not None  # noqa: S101  # payments are not deleted
        ours.checked_at = now
        if is_unheard_of and ours.provider_ref is None:
            ours.unheard_of_at = now
        session.add(ours)
        if told is not None and payments.mismatch(ours, told) is None:
            payments.learn(session, ours, told, now=now)


def _asked(database: Database, payment: PaymentRow, *, now: datetime) -> None:
    """Let the other payments come first now: this one is asked after later."""
    with database.writing() as session:
        ours = money.payment_row(session, payment.id)
        ours.checked_at = now
        session.add(ours)
