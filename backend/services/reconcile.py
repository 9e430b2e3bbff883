"""Three-way reconciliation: the provider's word, the books, and what rentals' payments say.

Every payment and withdrawal in view is asked after, between transactions, and compared by the pure
rules of ``domain.reconcile``. What differs is looked at a second time, with ours read anew: news
that was on its way has arrived by then, and what both looks show is a break.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Final, Protocol, runtime_checkable

from backend.db import reconcile as queries
from backend.db.engine import Database
from backend.db.reconcile import Paid
from backend.db.tables.money import PaymentState, Purpose
from backend.db.tables.withdrawals import WithdrawalRow
from backend.domain.money import Minor
from backend.domain.reconcile import (
    BreakKind,
    Difference,
    Payment,
    Payout,
    Standing,
    of_payment,
    of_payout,
)
from backend.domain.withdrawal import WithdrawalState
from backend.limits import ReconcileLimits
from backend.payments.port import (
    PaymentStatus,
    PayoutProvider,
    PayoutStatus,
    Provider,
    ProviderAway,
    ProviderDeclined,
    ProviderPayment,
    ProviderPayout,
)
from backend.services.refunds import is_sent_back


@runtime_checkable
class ListingProvider(Protocol):
    """A provider that can also list what was paid there. Not every one can."""

    def paid_since(self, since: datetime | None) -> Iterable[ProviderPayment]:
        """List what was paid since then; None: ever."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A break, and what it is about."""

    subject: str
    """``payment`` or ``withdrawal``."""
    subject_id: str
    rental_id: str | None
    difference: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a look at all providers came to."""

    compared: int
    """Payments and withdrawals that a provider answered for."""
    unasked: tuple[str, ...]
    """Those that nobody answered for."""
    breaks: tuple[Found, ...]


_NO_ANSWER: Final = (ProviderAway, ProviderDeclined)
"""Who will not say is not believed to have nothing, and stops nobody else's answer."""
_Answer = tuple[Found, ...] | None
"""What one look at one thing showed; None: nobody answered."""


def look(
    database: Database,
    providers: Mapping[str, Provider],
    *,
    ended_after: datetime | None,
    limits: ReconcileLimits,
) -> Looked:
    """Compare everything with its provider.

    Args:
        database: ours; only read.
        providers: by the names that payments have.
        ended_after: what ended before is not looked at; None: everything.
        limits: pages.
    """
    compared, unasked, breaks = 0, [], list(_unknown_to_us(database, providers, ended_after))
    for id_, once in _all(database, providers, ended_after=ended_after, limits=limits):
        seen = once()
        if seen:
            again = once()
            seen = None if again is None else tuple(each for each in seen if each in again)
        if seen is None:
            unasked.append(id_)
        else:
            compared += 1
            breaks += seen
    return Looked(compared=compared, unasked=tuple(unasked), breaks=tuple(breaks))


def _all(
    database: Database,
    providers: Mapping[str, Provider],
    *,
    ended_after: datetime | None,
    limits: ReconcileLimits,
) -> Iterator[tuple[str, Callable[[], _Answer]]]:
    """Everything in view, with how to look at it once."""
    views = ((queries.payment_ids, _payment), (queries.withdrawal_ids, _withdrawal))
    for page_of, once in views:
        after = ""
        while True:
            with database.reading() as session:
                page = page_of(session, after=after, ended_after=ended_after, limit=limits.page)
            for id_ in page:
                yield id_, partial(once, database, providers, id_)
            if len(page) < limits.page:
                break
            after = page[-1]


# -- payments --------------------------------------------------------------------------------

_OURS: Final = MappingProxyType(
    {
        PaymentState.CREATED: Standing.DOUBTED,
        PaymentState.UNKNOWN: Standing.DOUBTED,
        PaymentState.OPEN: Standing.WAITING,
        PaymentState.AUTHORIZED: Standing.HELD,
        PaymentState.PAID: Standing.TAKEN,
        PaymentState.CANCELED: Standing.OVER,
        PaymentState.FAILED: Standing.OVER,
        PaymentState.EXPIRED: Standing.OVER,
    }
)


def _payment(database: Database, providers: Mapping[str, Provider], id_: str) -> _Answer:
    with database.reading() as session:
        ours = queries.paid(session, id_)
    provider = providers.get(ours.row.provider)
    if provider is None:
        return None
    try:
        told = _told(provider, ours)
    except _NO_ANSWER:
        return None
    theirs = None if told is None else _theirs(told)
    return tuple(
        Found(
            subject="payment",
            subject_id=id_,
            rental_id=ours.row.rental_id,
            difference=difference,
        )
        for difference in of_payment(_ours(ours), theirs)
    )


def _told(provider: Provider, ours: Paid) -> ProviderPayment | None:
    if ours.row.provider_ref is None:
        return provider.find(ours.row.id)
    try:
        return provider.fetch(ours.row.provider_ref)
    except ProviderDeclined:  # there is no such payment
        return None


def _ours(paid: Paid) -> Payment:
    row, standing = paid.row, _OURS[paid.row.state]
    captured = 0
    if standing is Standing.TAKEN:
        is_hold = row.purpose is Purpose.DEPOSIT and paid.hold is not None
        captured = paid.hold.captured_minor if is_hold and paid.hold else row.amount_minor
    return Payment(
        standing=standing,
        amount_minor=Minor(row.amount_minor),
        currency=row.currency,
        captured_minor=Minor(captured),
        refunded_minor=Minor(paid.refunded_minor),
        asked_back_minor=Minor(paid.asked_back_minor),
        booked_minor=Minor(paid.booked_minor),
    )


def _theirs(told: ProviderPayment) -> Payment:
    return Payment(
        standing=_OURS[PaymentState(told.status.value)],
        amount_minor=Minor(told.amount_minor),
        currency=told.currency,
        captured_minor=Minor(told.captured_minor),
        refunded_minor=Minor(told.refunded_minor),
        asked_back_minor=Minor(told.refunded_minor),
    )


def _unknown_to_us(
    database: Database, providers: Mapping[str, Provider], since: datetime | None
) -> Iterator[Found]:
    """Money that came to a provider and fits none of our payments."""
    found: dict[str, Found] = {}
    with database.reading() as session:
        for notice in queries.unclaimed(session):
            amount = f"{notice.captured_minor} {notice.currency}"
            found[notice.provider_ref] = _unknown(notice.provider_ref, amount)
    for name, provider in providers.items():
        for told in _listed(provider, since):
            with database.reading() as session:
                is_known = queries.knows_payment(session, told.reference)
                if not is_known and not is_sent_back(session, told, provider=name):
                    amount = f"{told.captured_minor} {told.currency}"
                    found[told.ref] = _unknown(told.ref, amount)
    yield from found.values()


def _listed(provider: Provider, since: datetime | None) -> Sequence[ProviderPayment]:
    if not isinstance(provider, ListingProvider):
        return ()
    try:
        return [told for told in provider.paid_since(since) if told.status is PaymentStatus.PAID]
    except _NO_ANSWER:
        return ()


def _unknown(ref: str, amount: str) -> Found:
    return Found(
        subject="payment",
        subject_id=ref,
        rental_id=None,
        difference=Difference(kind=BreakKind.UNKNOWN_TO_US, ours="nothing", theirs=amount),
    )


# -- withdrawals -----------------------------------------------------------------------------

_OUR_PAYOUTS: Final = MappingProxyType(
    {
        WithdrawalState.REQUESTED: Standing.DOUBTED,
        WithdrawalState.PROCESSING: Standing.DOUBTED,
        WithdrawalState.UNKNOWN: Standing.DOUBTED,
        WithdrawalState.PAID: Standing.SENT,
        WithdrawalState.FAILED: Standing.OVER,
    }
)
_THEIR_PAYOUTS: Final = MappingProxyType(
    {
        PayoutStatus.PENDING: Standing.WAITING,
        PayoutStatus.PAID: Standing.SENT,
        PayoutStatus.FAILED: Standing.OVER,
    }
)


def _withdrawal(database: Database, providers: Mapping[str, Provider], id_: str) -> _Answer:
    with database.reading() as session:
        ours = queries.withdrawal(session, id_)
    provider = providers.get(ours.provider)
    if not isinstance(provider, PayoutProvider):
        return None
    try:
        told = provider.find_payout(id_)
    except _NO_ANSWER:
        return None
    theirs = None if told is None else _their_payout(told)
    return tuple(
        Found(subject="withdrawal", subject_id=id_, rental_id=None, difference=difference)
        for difference in of_payout(_our_payout(ours), theirs)
    )


def _our_payout(row: WithdrawalRow) -> Payout:
    return Payout(
        standing=_OUR_PAYOUTS[row.state],
        amount_minor=Minor(row.amount_minor),
        currency=row.currency,
        account=row.account,
    )


def _their_payout(told: ProviderPayout) -> Payout:
    return Payout(
        standing=_THEIR_PAYOUTS[told.status],
        amount_minor=Minor(told.amount_minor),
        currency=told.currency,
        account=told.account,
    )
