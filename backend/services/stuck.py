"""The stuck list: all that does not go on by itself, and what an operator may safely do about it.

Every item is found by a query on what is so *now*: there is no list to forget to update, and an
item is gone when its cause is. An act is one of those the item names; each is the same use case
that anybody else would go through, leaves its ledger entries, and a trace with who, before, after
and why. Acting twice on one item is refused, or has one effect.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from sqlmodel import Session

from backend.db import audit, letters, outbox, reconcile, seam, stuck
from backend.db import deposits as holds
from backend.db import withdrawals as payouts
from backend.db.tables.money import Ask
from backend.domain.errors import Code, Refusal
from backend.domain.overdue import MISSING_AFTER
from backend.domain.rental import RentalState
from backend.limits import PAYOUT_TOO_LONG, UNPAID_AFTER
from backend.principal import Principal
from backend.services import (
    by_hand,
    deposits,
    feeding,
    payments,
    refunds,
    returns,
    withdrawals,
    write_offs,
)
from backend.services import letters as dead_letters
from backend.services.billing import terms_of
from backend.services.credits import bill_of

DOUBT_AFTER: Final = timedelta(minutes=10)
"""A payment whose making is in doubt for so long is on the list."""
HOLD_SOON: Final = timedelta(hours=36)
"""A hold that runs out within this, while something may yet be owed, is on the list."""
UNCOLLECTED_AFTER: Final = timedelta(hours=24)
"""A bank that its renter gave back, and that nobody fetched for so long, is on the list."""
STOP_DOUBT_AFTER: Final = timedelta(hours=1)
"""A bank that was to stop, and is silent for so long since, is on the list."""
EACH_MAX: Final = 100
"""Items shown of one kind; the rest comes when these are dealt with."""


class StuckKind(StrEnum):
    """What does not go on."""

    START_IN_DOUBT = "start_in_doubt"
    ZOMBIE = "zombie"
    RETURN_CLAIMED = "return_claimed"
    MISSING = "missing"
    UNCOLLECTED = "uncollected"
    ASK_GIVEN_UP = "ask_given_up"
    PAYMENT_IN_DOUBT = "payment_in_doubt"
    HOLD_ENDING = "hold_ending"
    HOLD_EXPIRED = "hold_expired"
    UNPAID = "unpaid"
    NOTICE = "notice"
    WITHDRAWAL = "withdrawal"
    FACT = "fact"
    BREAK = "break"
    FEEDS_UNPAID = "feeds_unpaid"
    STOP_IN_DOUBT = "stop_in_doubt"
    DEAD_LETTER = "dead_letter"


class Act(StrEnum):
    """What an operator may do about it."""

    STARTED = "started"
    """The bank fed: the meter runs from now."""
    NOT_STARTED = "not_started"
    """It did not: nothing is billed, the deposit is let go."""
    CLOSE = "close"
    """The bank is back: bill what was used, and close."""
    LOSE = "lose"
    """The bank is gone, and never fed: close for nothing."""
    SELL = "sell"
    """The renter keeps it, at the price of the cap."""
    DENY = "deny"
    """It is not back: the meter ran on."""
    RETRY = "retry"
    """Do it again: with the same key, or after a final no with a new one."""
    REPLAY = "replay"
    """Take a bank's message in again; what comes of it stands in the letter then."""
    PUT_ASIDE = "put_aside"
    """Let it be."""
    SECURE = "secure"
    """Take the deposit whole before the hold runs out; what is not owed goes back."""
    WRITE_OFF = "write_off"
    """Nobody pays it any more: the platform gives what is owed, and its merchant is settled."""
    REFUND = "refund"
    """Send the money back to whoever paid it."""
    PAID = "paid"
    """It arrived, as the provider's own books say."""
    FAILED = "failed"
    """It never came to be: the merchant has the money again, or the renter may pay anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """Something that does not go on."""

    kind: StuckKind
    id: str
    """Of its subject: a rental, a payment, a fact; ``provider:id`` for a notice."""
    since: datetime
    detail: Mapping[str, str]
    rental_id: str | None = None
    not_now: frozenset[Act] = frozenset()
    """Acts of its kind that it does not allow."""

    @property
    def acts(self) -> tuple[Act, ...]:
        """What may be done about it."""
        return tuple(act for kind, act in _DO if kind is self.kind and act not in self.not_now)


def everything(session: Session, *, now: datetime) -> list[Stuck]:
    """List all that does not go on, what hurts people first."""
    return [item for find in _FIND for item in find(session, now)]


def act(
    session: Session,
    *,
    who: Principal,
    kind: StuckKind,
    id_: str,
    act: Act,
    reason: str,
    now: datetime,
) -> None:
    """Do something about an item.

    Raises:
        Refusal: NOT_FOUND, if nothing of this kind allows that; or what the use case refuses.
    """
    do = _DO.get((kind, act))
    if do is None:
        raise Refusal(Code.NOT_FOUND)
    do(session, who, id_, reason, now)


# -- what is found --------------------------------------------------------------------------


def _starts(session: Session, _now: datetime) -> Iterator[Stuck]:
    for rental in stuck.starts_in_doubt(session, limit=EACH_MAX):
        yield Stuck(
            kind=StuckKind.START_IN_DOUBT,
            id=rental.id,
            rental_id=rental.id,
            since=rental.deposit_held_at or rental.requested_at,
            detail={"bank_id": rental.bank_id, "state": rental.state},
        )


def _zombies(session: Session, _now: datetime) -> Iterator[Stuck]:
    for rental, bank in stuck.zombies(session, limit=EACH_MAX):
        yield Stuck(
            kind=StuckKind.ZOMBIE,
            id=rental.id,
            rental_id=rental.id,
            since=bank.held_since,
            detail={"bank_id": bank.id, "state": rental.state, "holder": bank.holder},
        )


def _claims(session: Session, now: datetime) -> Iterator[Stuck]:
    for rental in stuck.claimed(session, limit=EACH_MAX):
        yield Stuck(
            kind=StuckKind.RETURN_CLAIMED,
            id=rental.id,
            rental_id=rental.id,
            since=rental.claimed_returned_at or now,
            detail={"bank_id": rental.bank_id},
        )


def _missing(session: Session, now: datetime) -> Iterator[Stuck]:
    gone = stuck.missing(session, silent_since=now - MISSING_AFTER, limit=EACH_MAX)
    for rental, heard_at_ms in gone:
        yield Stuck(
            kind=StuckKind.MISSING,
            id=rental.id,
            rental_id=rental.id,
            since=seam.from_ms(heard_at_ms),
            detail={"bank_id": rental.bank_id, "state": rental.state},
        )


def _uncollected(session: Session, now: datetime) -> Iterator[Stuck]:
    for rental, since in stuck.uncollected(session, since=now - UNCOLLECTED_AFTER, limit=EACH_MAX):
        yield Stuck(
            kind=StuckKind.UNCOLLECTED,
            id=rental.id,
            rental_id=rental.id,
            since=since,
            detail={"bank_id": rental.bank_id, "state": rental.state},
            not_now=frozenset({Act.SELL if rental.confirmed_at is None else Act.LOSE}),
        )


def _asks(session: Session, _now: datetime) -> Iterator[Stuck]:
    for row, payment in stuck.given_up(session, limit=EACH_MAX):
        yield Stuck(
            kind=StuckKind.ASK_GIVEN_UP,
            id=row.id,
            rental_id=None if payment is None else payment.rental_id,
            since=row.created_at,
            detail={
                "ask": row.ask,
                "answer": "unknown" if row.done_at is None else "refused",
                "problem": row.problem or "",
                "amount_minor": str(row.amount_minor),
                "currency": "" if payment is None else payment.currency,
                "key": row.key,
            },
            not_now=frozenset({Act.PUT_ASIDE} if row.ask is Ask.CREATE else ()),
        )


def _payments(session: Session, now: datetime) -> Iterator[Stuck]:
    for row in stuck.payments_in_doubt(session, since=now - DOUBT_AFTER, limit=EACH_MAX):
        yield Stuck(
            kind=StuckKind.PAYMENT_IN_DOUBT,
            id=row.id,
            rental_id=row.rental_id,
            since=row.created_at,
            detail={
                "provider": row.provider,
                "purpose": row.purpose,
                "unheard_of_at": row.unheard_of_at.isoformat() if row.unheard_of_at else "",
            },
        )


def _holds(session: Session, now: datetime) -> Iterator[Stuck]:
    for hold in holds.running_out(session, until=now + HOLD_SOON, limit=EACH_MAX):
        until = hold.capture_before
        yield Stuck(
            kind=StuckKind.HOLD_ENDING,
            id=hold.rental_id,
            rental_id=hold.rental_id,
            since=hold.held_at or now,
            detail={"capture_before": "" if until is None else until.isoformat()},
        )
    for hold, rental in holds.expired_while_running(session, limit=EACH_MAX):
        yield Stuck(
            kind=StuckKind.HOLD_EXPIRED,
            id=rental.id,
            rental_id=rental.id,
            since=hold.ended_at or now,
            detail={"state": rental.state},
            not_now=_NOT_BILLED if rental.state is RentalState.PAYMENT_DUE else _BILLED,
        )


_NOT_BILLED: Final = frozenset({Act.CLOSE, Act.SELL})
_BILLED: Final = frozenset({Act.WRITE_OFF})
"""What may be done about a rental that lost its deposit: before it is billed, and after."""


def _unpaid(session: Session, now: datetime) -> Iterator[Stuck]:
    for rental in holds.unpaid(session, due_by=now - UNPAID_AFTER, limit=EACH_MAX):
        yield Stuck(
            kind=StuckKind.UNPAID,
            id=rental.id,
            rental_id=rental.id,
            since=rental.payment_due_by or now,
            detail={
                "owed_minor": str(bill_of(session, rental).owed_minor),
                "paid_minor": str(rental.paid_minor),
                "currency": terms_of(rental).currency,
            },
        )


def _notices(session: Session, _now: datetime) -> Iterator[Stuck]:
    for row in outbox.unresolved(session, limit=EACH_MAX):
        yield Stuck(
            kind=StuckKind.NOTICE,
            id=f"{row.provider}:{row.id}",
            since=row.received_at,
            detail={
                "problem": row.problem or "",
                "amount_minor": str(row.amount_minor),
                "currency": row.currency,
            },
        )


def _withdrawals(session: Session, now: datetime) -> Iterator[Stuck]:
    for row in payouts.stuck(session, older_than=now - PAYOUT_TOO_LONG, limit=EACH_MAX):
        yield Stuck(
            kind=StuckKind.WITHDRAWAL,
            id=row.id,
            since=row.asked_at,
            detail={
                "merchant_id": row.merchant_id,
                "problem": row.problem or "",
                "state": row.state,
            },
        )


def _facts(session: Session, _now: datetime) -> Iterator[Stuck]:
    for fact in letters.given_up(session, limit=EACH_MAX):
        yield Stuck(
            kind=StuckKind.FACT,
            id=fact.id,
            since=fact.received_at,
            detail={"bank_id": fact.bank_id, "kind": fact.kind, "problem": fact.problem},
        )


def _breaks(session: Session, _now: datetime) -> Iterator[Stuck]:
    for row in reconcile.open_breaks(session, limit=EACH_MAX):
        yield Stuck(
            kind=StuckKind.BREAK,
            id=row.id,
            rental_id=row.rental_id,
            since=row.first_seen_at,
            detail={
                "kind": row.kind,
                "subject_id": row.subject_id,
                "ours": row.ours,
                "theirs": row.theirs,
            },
        )


def _feeding(session: Session, now: datetime) -> Iterator[Stuck]:
    for bank in feeding.feed_on(session, now=now, limit=EACH_MAX):
        yield Stuck(
            kind=StuckKind.FEEDS_UNPAID,
            id=bank.bank_id,
            since=bank.told_at,
            detail={"bank_id": bank.bank_id, "stops": str(bank.stops)},
        )


def _stops(session: Session, now: datetime) -> Iterator[Stuck]:
    """Nobody knows whether they stopped: they are silent since. The next word of theirs tells."""
    for stop in seam.stops_in_doubt(session, until=now - STOP_DOUBT_AFTER, limit=EACH_MAX):
        yield Stuck(
            kind=StuckKind.STOP_IN_DOUBT,
            id=stop.id,
            since=seam.from_ms(stop.expires_at_ms),
            detail={"bank_id": stop.bank_id, "cause": stop.cause or ""},
        )


def _letters(session: Session, _now: datetime) -> Iterator[Stuck]:
    waiting = letters.letters(session, is_open=True, before=None, limit=EACH_MAX)
    for letter in waiting:
        yield Stuck(
            kind=StuckKind.DEAD_LETTER,
            id=letter.id,
            since=letter.received_at,
            detail={
                "topic": letter.topic,
                "reason": letter.reason,
                "problem": letter.detail,
                "outcome": letter.outcome or "",
            },
            not_now=frozenset({Act.REPLAY} if letter.is_wanted else ()),
        )


_FIND: Final[Sequence[Callable[[Session, datetime], Iterator[Stuck]]]] = (
    _starts,
    _zombies,
    _claims,
    _missing,
    _uncollected,
    _feeding,
    _payments,
    _holds,
    _unpaid,
    _notices,
    _withdrawals,
    _asks,
    _breaks,
    _facts,
    _stops,
    _letters,
)


# -- what is done ---------------------------------------------------------------------------

Do = Callable[[Session, Principal, str, str, datetime], object]
"""Session, operator, the item's id, why, now."""


def _resolve_start(*, is_fed: bool) -> Do:
    def do(session: Session, who: Principal, id_: str, reason: str, now: datetime) -> object:
        return by_hand.resolve_start(
            session, who=who, rental_id=id_, is_fed=is_fed, reason=reason, now=now
        )

    return do


def _close(session: Session, who: Principal, id_: str, reason: str, now: datetime) -> object:
    return by_hand.close(session, who=who, rental_id=id_, reason=reason, now=now)


def _lose(session: Session, who: Principal, id_: str, reason: str, now: datetime) -> object:
    return by_hand.mark_lost(session, who=who, rental_id=id_, reason=reason, now=now)


def _sell(session: Session, who: Principal, id_: str, reason: str, now: datetime) -> object:
    return by_hand.sell(session, who=who, rental_id=id_, reason=reason, now=now)


def _deny(session: Session, who: Principal, id_: str, reason: str, now: datetime) -> object:
    return returns.deny_for_good(session, who=who, rental_id=id_, reason=reason, now=now)


def _secure(session: Session, who: Principal, id_: str, reason: str, now: datetime) -> object:
    return deposits.secure_now(session, who=who, rental_id=id_, reason=reason, now=now)


def _write_off(session: Session, who: Principal, id_: str, reason: str, now: datetime) -> object:
    return write_offs.write_off(session, who=who, rental_id=id_, reason=reason, now=now)


def _refund(session: Session, who: Principal, id_: str, reason: str, now: datetime) -> object:
    provider, _, inbox_id = id_.partition(":")
    return refunds.refund_unmatched(
        session, who=who, provider=provider, inbox_id=inbox_id, reason=reason, now=now
    )


def _put_notice_aside(
    session: Session, who: Principal, id_: str, reason: str, now: datetime
) -> object:
    provider, _, inbox_id = id_.partition(":")
    return refunds.set_aside(
        session, who=who, provider=provider, inbox_id=inbox_id, reason=reason, now=now
    )


def _fail_payment(session: Session, who: Principal, id_: str, reason: str, now: datetime) -> object:
    return payments.give_up(session, who=who, payment_id=id_, reason=reason, now=now)


def _ask_payout(session: Session, who: Principal, id_: str, reason: str, now: datetime) -> object:
    return withdrawals.ask_again(session, who=who, withdrawal_id=id_, reason=reason, now=now)


def _end_payout(*, is_paid: bool) -> Do:
    def do(session: Session, who: Principal, id_: str, reason: str, now: datetime) -> object:
        return withdrawals.resolve(
            session, who=who, withdrawal_id=id_, is_paid=is_paid, reason=reason, now=now
        )

    return do


def _replay(session: Session, who: Principal, id_: str, reason: str, now: datetime) -> object:
    return dead_letters.replay(session, who=who, letter_id=id_, reason=reason, now=now)


def _put_letter_aside(
    session: Session, who: Principal, id_: str, reason: str, now: datetime
) -> object:
    return dead_letters.put_aside(session, who=who, letter_id=id_, reason=reason, now=now)


def _row(kind: StuckKind, act: Act, change: Callable[[Session, str, datetime], bool]) -> Do:
    """An act that is one statement on a row which was given up."""

    def do(session: Session, who: Principal, id_: str, reason: str, now: datetime) -> object:
        if not change(session, id_, now):
            raise Refusal(Code.NOT_FOUND)
        audit.write(
            session,
            by_id=who.person_id,
            action=f"{kind}.{act}",
            subject=kind,
            subject_id=id_,
            before={"state": "stuck"},
            after={"state": act},
            why=reason,
            now=now,
        )
        return None

    return do


def _rows() -> Iterator[tuple[tuple[StuckKind, Act], Do]]:
    changes: dict[tuple[StuckKind, Act], Callable[[Session, str, datetime], bool]] = {
        (StuckKind.PAYMENT_IN_DOUBT, Act.RETRY): lambda session, id_, now: stuck.ask_after_payment(
            session, id_, at=now - timedelta(days=1)
        ),
        (StuckKind.ASK_GIVEN_UP, Act.RETRY): lambda session, id_, now: outbox.again_by_hand(
            session, id_, now=now
        ),
        (StuckKind.ASK_GIVEN_UP, Act.PUT_ASIDE): lambda session, id_, now: stuck.put_ask_aside(
            session, id_, now=now
        ),
        (StuckKind.BREAK, Act.PUT_ASIDE): lambda session, id_, now: stuck.resolve_break(
            session, id_, now=now
        ),
        (StuckKind.FEEDS_UNPAID, Act.RETRY): lambda session, id_, now: feeding.stop_again(
            session, id_, now=now
        ),
        (StuckKind.STOP_IN_DOUBT, Act.PUT_ASIDE): lambda session, id_, now: seam.give_up_stop(
            session, id_, now=now
        ),
        (StuckKind.FACT, Act.RETRY): lambda session, id_, _now: letters.apply_again(session, id_),
        (StuckKind.FACT, Act.PUT_ASIDE): lambda session, id_, now: letters.put_aside(
            session, id_, now=now
        ),
    }
    for (kind, act_), change in changes.items():
        yield (kind, act_), _row(kind, act_, change)


_DO: Final[Mapping[tuple[StuckKind, Act], Do]] = MappingProxyType(
    {
        (StuckKind.START_IN_DOUBT, Act.STARTED): _resolve_start(is_fed=True),
        (StuckKind.START_IN_DOUBT, Act.NOT_STARTED): _resolve_start(is_fed=False),
        (StuckKind.ZOMBIE, Act.CLOSE): _close,
        (StuckKind.ZOMBIE, Act.LOSE): _lose,
        (StuckKind.RETURN_CLAIMED, Act.CLOSE): _close,
        (StuckKind.RETURN_CLAIMED, Act.DENY): _deny,
        (StuckKind.MISSING, Act.SELL): _sell,
        (StuckKind.MISSING, Act.LOSE): _lose,
        (StuckKind.UNCOLLECTED, Act.CLOSE): _close,
        (StuckKind.UNCOLLECTED, Act.SELL): _sell,
        (StuckKind.UNCOLLECTED, Act.LOSE): _lose,
        (StuckKind.PAYMENT_IN_DOUBT, Act.FAILED): _fail_payment,
        (StuckKind.HOLD_ENDING, Act.SECURE): _secure,
        (StuckKind.HOLD_EXPIRED, Act.CLOSE): _close,
        (StuckKind.HOLD_EXPIRED, Act.SELL): _sell,
        (StuckKind.HOLD_EXPIRED, Act.WRITE_OFF): _write_off,
        (StuckKind.UNPAID, Act.WRITE_OFF): _write_off,
        (StuckKind.NOTICE, Act.REFUND): _refund,
        (StuckKind.NOTICE, Act.PUT_ASIDE): _put_notice_aside,
        (StuckKind.WITHDRAWAL, Act.RETRY): _ask_payout,
        (StuckKind.WITHDRAWAL, Act.PAID): _end_payout(is_paid=True),
        (StuckKind.WITHDRAWAL, Act.FAILED): _end_payout(is_paid=False),
        (StuckKind.DEAD_LETTER, Act.REPLAY): _replay,
        (StuckKind.DEAD_LETTER, Act.PUT_ASIDE): _put_letter_aside,
        **dict(_rows()),
    }
)
"""Every act there is; an absent one is not found."""
