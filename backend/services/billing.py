"""From a rental's evidence to its meter, its bill and its end.

The meter and the bill ask the same pure function; they differ only in where time ends.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from backend.db import money, outbox, rentals, seam
from backend.db.tables.money import Ask, DepositRow, PaymentRow, Purpose
from backend.db.tables.rentals import RentalRow
from backend.domain import ledger, tariff
from backend.domain.custody import Proof
from backend.domain.deposit import ENDED
from backend.domain.errors import Refusal
from backend.domain.money import Minor
from backend.domain.overdue import REMIND_EVERY
from backend.domain.rental import (
    RentalEvent,
    RentalState,
    ReturnEvidence,
    billing_start,
    returned_at,
    step,
)
from backend.limits import DISPUTE_WINDOW, PAYMENT_WITHIN
from backend.services.steps import advance

_METERED = frozenset({RentalState.RENTING, RentalState.RETURNING})


def terms_of(rental: RentalRow) -> tariff.Terms:
    """The terms this rental was made under."""
    return tariff.from_json(rental.terms)


@contextmanager
def in_money_of(rental: RentalRow) -> Iterator[None]:
    """Have what is refused inside name its amounts in the rental's currency."""
    try:
        yield
    except Refusal as refused:
        refused.detail["currency"] = terms_of(rental).currency
        raise


def note_evidence(session: Session, rental: RentalRow) -> None:
    """Take over what the bank's facts, in whatever order they came, tell of start and end.

    Billing that has started stays started; a load that is plugged in only after the renter
    asked for the return starts nothing.
    """
    if rental.state not in _METERED or rental.confirmed_at is None:
        return
    rental.output_off_at = seam.idle_since(session, rental.bank_id)
    _go_on(session, rental)
    if rental.billing_start_at is None:
        rental.plugged_at = _plugged_at(session, rental)
        start = billing_start(
            terms_of(rental),
            arrived_at=rental.handed_over_at,
            plugged_at=rental.plugged_at,
            unlocked_at=rental.scanned_at,
            handed_over_at=rental.handed_over_at,
            confirmed_at=rental.confirmed_at,
        )
        asked = rental.return_requested_at
        if start is not None and (asked is None or start < asked):
            _start_meter(session, rental, at=start)
    session.add(rental)


def _start_meter(session: Session, rental: RentalRow, *, at: datetime) -> None:
    """Start billing, with what is left of the free minutes, and look again at the cap."""
    rental.billing_start_at = at
    if _replaced(session, rental) is None:
        rental.free_used_s = _free_used_s(session, rental, at=at)
    capped = capped_at(rental)
    if capped is not None:
        first_look = rental.due_at or (rental.handed_over_at or at) + REMIND_EVERY
        rental.due_at = min(first_look, capped)


def _go_on(session: Session, rental: RentalRow) -> None:
    """Take over what the rental that this one goes on for used and cost, as far as is known."""
    replaced = _replaced(session, rental)
    if replaced is None:
        return
    used = price_at(replaced, now=rental.billing_start_at or rental.requested_at)
    rental.free_used_s = replaced.free_used_s
    rental.used_before_s = replaced.used_before_s + used.elapsed_s
    rental.cost_before_minor = replaced.cost_before_minor + used.total_minor


def _replaced(session: Session, rental: RentalRow) -> RentalRow | None:
    """The rental that this one goes on for, past those that were never metered."""
    while rental.replaces_id is not None:
        rental = rentals.read(session, rental.replaces_id)
        if rental.billing_start_at is not None:
            return rental
    return None


def _free_used_s(session: Session, rental: RentalRow, *, at: datetime) -> int:
    """Free seconds that a rental which just ended has used up."""
    earlier = rentals.last_metered(session, rental.renter_id, before=at, but=rental.id)
    if earlier is None or earlier.billing_start_at is None:
        return 0
    behind_s = earlier.free_used_s + earlier.used_before_s
    return tariff.free_used(
        terms_of(rental),
        earlier_start=earlier.billing_start_at - timedelta(seconds=behind_s),
        earlier_end=end_at(earlier, now=at),
        start=at,
    )


def _plugged_at(session: Session, rental: RentalRow) -> datetime | None:
    """When a load first hung on the feeding bank."""
    fed_at = rental.confirmed_at
    if fed_at is None:
        return None
    if seam.plugged_since(session, rental.bank_id, until=fed_at):
        return fed_at
    plugged_at = seam.first_plugged(session, rental.bank_id, since=fed_at)
    if plugged_at is None or seam.feeding_since(session, rental.bank_id, until=plugged_at):
        return plugged_at
    return seam.first_fed(session, rental.bank_id, since=plugged_at)  # it had gone off meanwhile


def price_at(rental: RentalRow, *, now: datetime) -> tariff.Price:
    """What the rental costs so far: the running total, frozen by the first sign of a return."""
    return _price(rental, end=end_at(rental, now=now))


def price_until(rental: RentalRow, *, end: datetime) -> tariff.Price:
    """What the rental would cost, had it ended then."""
    return _price(rental, end=end)


def end_at(rental: RentalRow, *, now: datetime) -> datetime:
    """The end of billing, or now while the meter runs."""
    end = rental.returned_at or _ended_at(rental, collected_at=rental.collected_at)
    return now if end is None else min(end, now)


def capped_at(rental: RentalRow) -> datetime | None:
    """When keeping the bank reaches the total cap; None: never, or billing has not started."""
    if rental.billing_start_at is None:
        return None
    return tariff.reaches_cap_at(
        terms_of(rental),
        start=rental.billing_start_at,
        delivery_late=rental.is_delivery_free,
        free_used_s=rental.free_used_s,
        before=_before(rental),
    )


def _before(rental: RentalRow) -> tariff.Before:
    return tariff.Before(used_s=rental.used_before_s, cost_minor=Minor(rental.cost_before_minor))


def bought(rental: RentalRow, *, at: datetime) -> tariff.Price:
    """What it costs to keep the bank: the time used, and the rest of the total cap."""
    return tariff.bought(terms_of(rental), used=price_at(rental, now=at), before=_before(rental))


def _ended_at(rental: RentalRow, *, collected_at: datetime | None) -> datetime | None:
    return returned_at(
        ReturnEvidence(
            started_at=rental.billing_start_at,
            requested_at=rental.return_requested_at,
            collected_at=collected_at,
            output_off_at=rental.output_off_at,
        )
    )


def _price(rental: RentalRow, *, end: datetime) -> tariff.Price:
    if rental.billing_start_at is None:
        return tariff.NOTHING
    return tariff.price(
        terms_of(rental),
        start=rental.billing_start_at,
        end=end,
        delivery_late=rental.is_delivery_free,
        free_used_s=rental.free_used_s,
        before=_before(rental),
    )


def collected(
    session: Session,
    rental: RentalRow,
    *,
    by_id: str,
    evidence: str,
    now: datetime,
    proof: Proof = Proof.SCAN,
    back_at: datetime | None = None,
) -> None:
    """Do what follows from a proven collection: bill what was used, or close it for nothing.

    Args:
        session: a writing transaction; custody has moved in it already.
        rental: a rental that can be collected in its state.
        by_id: who took the bank back.
        evidence: the job, or a reason.
        now: the time.
        proof: of the collection.
        back_at: since when it is back, where that is known to be earlier than now.

    Raises:
        Refusal: WRONG_STATE.
    """
    note_evidence(session, rental)
    at = back_at or now
    facts: dict[str, Any] = {"by_id": by_id, "evidence": evidence, "proof": proof, "now": now}
    facts |= {"collector_id": by_id, "collected_at": at}
    if step(rental.state, RentalEvent.COLLECT) is RentalState.CANCELLED:
        advance(session, rental, RentalEvent.COLLECT, closed_at=now, **facts)
        release_deposit(session, rental, now=now)
        return
    end = _ended_at(rental, collected_at=at) or at
    bill(session, rental, RentalEvent.COLLECT, price=_price(rental, end=end), end=end, **facts)


def bill(
    session: Session,
    rental: RentalRow,
    event: RentalEvent,
    *,
    price: tariff.Price,
    end: datetime,
    now: datetime,
    **step_and_changes: Any,
) -> None:
    """Close the meter and ask for what is owed, divided from the first moment.

    Args:
        session: a writing transaction.
        rental: the rental; ``event`` leads it to PAYMENT_DUE.
        event: a collection, a purchase, or a cancellation that costs something.
        price: what it comes to.
        end: the end of billing.
        now: the time.
        step_and_changes: what else :func:`steps.advance` takes.

    Raises:
        Refusal: WRONG_STATE.
    """
    split = ledger.share_out(price.total_minor, commission_bp=rental.commission_bp)
    advance(
        session,
        rental,
        event,
        now=now,
        returned_at=end,
        amount_minor=price.total_minor,
        merchant_minor=split.merchant_minor,
        platform_minor=split.platform_minor,
        lines=json.dumps([asdict(line) for line in price.lines]),
        payment_due_by=now + PAYMENT_WITHIN,
        **step_and_changes,
    )
    if price.total_minor == 0:
        complete(session, rental, evidence="nothing to pay", now=now)
        return
    transfer = ledger.rental_billed(
        rental_id=rental.id,
        renter=rental.renter_id,
        merchant=rental.merchant_id,
        currency=terms_of(rental).currency,
        split=split,
    )
    money.write(session, transfer, rental_id=rental.id, now=now)


def lines_of(rental: RentalRow, *, now: datetime) -> list[dict[str, Any]]:
    """The lines of the bill, or of what the bill would be now."""
    if rental.lines is not None:
        lines: list[dict[str, Any]] = json.loads(rental.lines)
        return lines
    return [asdict(line) for line in price_at(rental, now=now).lines]


def amount_of(rental: RentalRow, *, now: datetime) -> Minor:
    """The bill, or what it would be now."""
    if rental.amount_minor is not None:
        return Minor(rental.amount_minor)
    return price_at(rental, now=now).total_minor


def complete(session: Session, rental: RentalRow, *, evidence: str, now: datetime) -> None:
    """End a rental that is paid: nobody can pay for it any more, and its deposit is let go of."""
    advance(
        session,
        rental,
        RentalEvent.PAID,
        now=now,
        evidence=evidence,
        closed_at=now,
        settle_at=now + DISPUTE_WINDOW,
    )
    begun = money.live_payment(session, rental.id, Purpose.BILL)
    if begun is not None:
        withdraw(session, begun, now=now)
    release_deposit(session, rental, now=now)


def release_deposit(session: Session, rental: RentalRow, *, now: datetime) -> None:
    """Have the provider let go of the rental's hold, or of the request for one."""
    hold = money.deposit(session, rental.id)
    if hold is not None and hold.state not in ENDED:
        release(session, hold, now=now)


def release(session: Session, hold: DepositRow, *, now: datetime) -> None:
    """Have the provider let go of this hold."""
    withdraw(session, money.payment_row(session, hold.payment_id), now=now)


def withdraw(session: Session, payment: PaymentRow, *, now: datetime) -> None:
    """Have the provider let nobody pay this any more, and hold nothing for it."""
    outbox.put(
        session,
        key=f"{Ask.RELEASE}:{payment.id}",
        ask=Ask.RELEASE,
        payment_id=payment.id,
        amount_minor=payment.amount_minor,
        now=now,
    )
