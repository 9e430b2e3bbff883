"""What must hold after whatever happened, and what must be so when all has come to rest.

Where it can be, it is worked out here anew from what was written down, not asked of the code that
wrote it: a price is counted again, a path is walked again, cash is counted at the provider.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

from sqlmodel import Session, SQLModel, col, func, select

from backend.db.tables.credits import RefundRow
from backend.db.tables.market import BankRow, CustodyMoveRow
from backend.db.tables.money import (
    DepositRow,
    InboxRow,
    OutboxRow,
    PaymentRow,
    PaymentState,
    PostingRow,
    TransferRow,
)
from backend.db.tables.reconciliation import BreakRow
from backend.db.tables.rentals import OCCUPYING, RentalRow, RentalStepRow
from backend.db.tables.withdrawals import WithdrawalRow
from backend.domain.custody import Holder, agrees
from backend.domain.deposit import DepositState
from backend.domain.rental import CLOSED, MOVES, RentalEvent, RentalState
from backend.domain.withdrawal import OVER, WithdrawalState
from backend.services import stuck
from backend.services.verify import verify
from gateway.tables import CommandRow, DomainEvent
from tests.integration.rentals.conftest import TERMS
from tests.properties.whole.world import CANCEL_FEES, Whole

S = RentalState
DAY = timedelta(days=1)
UNHEARD = (PaymentState.CREATED, PaymentState.UNKNOWN, PaymentState.OPEN)
AMOUNTS = {
    RentalRow: ("amount_minor", "merchant_minor", "platform_minor", "paid_minor", "credited_minor"),
    DepositRow: ("captured_minor", "billed_minor", "returned_minor"),
    PaymentRow: ("amount_minor",),
    RefundRow: ("amount_minor",),
    WithdrawalRow: ("amount_minor",),
}


@dataclass
class Memory:
    """What was so before, and must be so still."""

    closed: dict[str, RentalState] = field(default_factory=dict)
    transfers: dict[str, str] = field(default_factory=dict)
    postings: int = 0


# -- always -----------------------------------------------------------------------------------


def hold(world: Whole, memory: Memory) -> None:
    """Check what must hold after each step."""
    with world.database.reading() as session:
        found = verify(session)
        assert found.is_sound, found.breaks
        rentals = session.exec(select(RentalRow).order_by(col(RentalRow.id))).all()
        _the_ledger_only_grows(session, memory)
        _what_is_closed_stays_closed(rentals, memory)
        _no_amount_is_below_nothing(session)
        _nobody_pays_more_than_the_bill(rentals)
        _banks_are_where_they_must_be(session, rentals)
        _banks_start_on_deposits_only(session)
        _paths_are_paths(session)
        _handovers_are_proven_and_done_once(session)
        for rental in rentals:
            _the_bill_is_right(rental)


def _the_ledger_only_grows(session: Session, memory: Memory) -> None:
    transfers = dict(session.exec(select(TransferRow.id, TransferRow.digest)).all())
    postings = session.exec(select(func.count()).select_from(PostingRow)).one()
    total = session.exec(select(func.sum(PostingRow.amount_minor))).one()
    assert memory.transfers.items() <= transfers.items(), "a transfer is gone, or another"
    assert postings >= memory.postings
    assert not total, f"postings sum to {total}"
    memory.transfers, memory.postings = transfers, postings


def _what_is_closed_stays_closed(rentals: list[RentalRow], memory: Memory) -> None:
    states = {rental.id: rental.state for rental in rentals}
    for rental_id, state in memory.closed.items():
        assert states.get(rental_id) is state, f"{rental_id} was {state}"
    memory.closed = {id_: state for id_, state in states.items() if state in CLOSED}


def _no_amount_is_below_nothing(session: Session) -> None:
    for table, names in AMOUNTS.items():
        for row in session.exec(select(table)):
            assert all((getattr(row, name) or 0) >= 0 for name in names), row


def _nobody_pays_more_than_the_bill(rentals: list[RentalRow]) -> None:
    for rental in rentals:
        owed = (rental.amount_minor or 0) - rental.credited_minor - rental.paid_minor
        assert owed >= 0, rental
        assert owed == 0 or rental.state is S.PAYMENT_DUE, rental
        assert 0 <= rental.credited_minor <= (rental.amount_minor or 0)


def _banks_are_where_they_must_be(session: Session, rentals: list[RentalRow]) -> None:
    banks = {bank.id: bank for bank in session.exec(select(BankRow))}
    needed_by = defaultdict(list)
    for rental in rentals:
        if rental.state not in OCCUPYING:
            continue
        bank = banks[rental.bank_id]
        needed_by[bank.id].append(rental.id)
        assert agrees(rental.state, bank.holder), f"{rental.state}: {bank.id} is at {bank.holder}"
        assert bank.merchant_id == rental.merchant_id
        if bank.holder is Holder.RENTER:
            assert bank.holder_id == rental.renter_id
    assert all(len(needing) == 1 for needing in needed_by.values()), needed_by
    for bank in banks.values():
        assert bank.holder is not Holder.RENTER or bank.id in needed_by, f"{bank.id} is nobody's"


def _banks_start_on_deposits_only(session: Session) -> None:
    starts = session.exec(select(CommandRow).where(CommandRow.kind == "charge_start")).all()
    held = session.exec(
        select(TransferRow.rental_id).where(TransferRow.kind == "deposit_held")
    ).all()
    for start in starts:
        assert start.cause in held, f"a bank was told to start without a deposit: {start}"


def _paths_are_paths(session: Session) -> None:
    """Each rental went along the table, or stayed where it was."""
    paths = defaultdict(lambda: [S.REQUESTED])
    for step in session.exec(select(RentalStepRow).order_by(col(RentalStepRow.id))):
        path = paths[step.rental_id]
        assert step.state in {path[-1], MOVES.get((path[-1], step.event))}, (path, step)
        path.append(step.state)
    for rental_id, path in paths.items():
        rental = session.get_one(RentalRow, rental_id)
        assert path[-1] is rental.state, (path, rental)
        for before, after in pairwise(path):
            assert before not in CLOSED or before is after, path


def _handovers_are_proven_and_done_once(session: Session) -> None:
    proven = select(RentalStepRow.rental_id, func.count()).where(
        RentalStepRow.event == RentalEvent.HAND_OVER
    )
    for rental_id, count in session.exec(proven.group_by(col(RentalStepRow.rental_id))):
        assert count == 1, f"{rental_id} was handed over {count} times"
    given = select(CustodyMoveRow.rental_id, func.count()).where(
        CustodyMoveRow.taker == Holder.RENTER
    )
    for rental_id, count in session.exec(given.group_by(col(CustodyMoveRow.rental_id))):
        assert count == 1, f"the bank of {rental_id} was given {count} times"


def _the_bill_is_right(rental: RentalRow) -> None:
    if not rental.amount_minor:
        return
    kinds = {line["kind"] for line in json.loads(rental.lines or "[]")}
    if kinds == {"cancellation"}:
        assert rental.amount_minor <= CANCEL_FEES["cancel_delivering_minor"]
        assert rental.handed_over_at is None
        return
    assert rental.confirmed_at is not None, f"a fee without a start: {rental}"
    assert rental.billing_start_at is not None or rental.bought_out_at is not None, rental
    if rental.bought_out_at is not None:
        assert rental.amount_minor == TERMS["cap_total_minor"]
        return
    start, end = rental.billing_start_at, rental.returned_at
    asked = (rental.return_requested_at, rental.collected_at)
    assert rental.handed_over_at <= rental.confirmed_at <= start or start == end, rental
    assert all(at is None or end <= max(at, start) for at in asked), rental
    most = _counted(end - start) + (0 if rental.is_delivery_free else TERMS["delivery_fee_minor"])
    assert rental.amount_minor == min(most, TERMS["cap_total_minor"]), rental


def _counted(used: timedelta) -> int:
    """The price of some time, counted block by block."""
    whole = timedelta(seconds=used // timedelta(seconds=1))
    total = of_the_day = 0
    block = timedelta(seconds=TERMS["block_s"])
    for number in range(-(-whole // block)):
        if number * block % DAY == timedelta(0):
            of_the_day = 0
        price = min(TERMS["block_price_minor"], TERMS["cap_24h_minor"] - of_the_day)
        of_the_day += price
        total += price
    return total


def standing(world: Whole) -> list[object]:
    """Where everything is: while this is the same, nothing moves."""
    with world.database.reading() as session:
        return [
            *session.exec(select(RentalRow.id, RentalRow.state, RentalRow.settled_at)),
            *session.exec(select(PaymentRow.id, PaymentRow.state)),
            *session.exec(select(DepositRow.payment_id, DepositRow.state)),
            *session.exec(select(WithdrawalRow.id, WithdrawalRow.state)),
            *session.exec(select(OutboxRow.id, OutboxRow.done_at, OutboxRow.problem)),
            *session.exec(select(RefundRow.id, RefundRow.refunded_at)),
            *session.exec(select(DomainEvent.id, DomainEvent.done_at_ms)),
            *session.exec(select(func.count()).select_from(TransferRow)),
        ]


# -- at rest ----------------------------------------------------------------------------------


def are_kept(world: Whole) -> None:
    """Check what must be so when faults are over, all was told, and everything has run."""
    with world.database.reading() as session:
        listed = {item.id for item in stuck.everything(session, now=world.clock.now())}
        for row, id_ in _doubtful(session):
            assert id_ in listed, f"nobody is told of {row}"
        unended = {row.payment_id for row, _ in _unasked(session)}
        _payments_are_as_the_provider_says(session, world)
        _nothing_is_held_for_what_is_closed(session, world, but=unended)
        _what_was_asked_for_was_done(session)
        breaks = session.exec(select(BreakRow).where(col(BreakRow.resolved_at).is_(None))).all()
        assert not breaks, breaks
    assert world.balance("provider_holds") == world.provider.held_minor
    assert world.balance("provider_cash") == world.provider.cash_minor


def _unasked(session: Session) -> Iterator[tuple[OutboxRow, str]]:
    given_up = select(OutboxRow).where(
        col(OutboxRow.problem).is_not(None), col(OutboxRow.done_at).is_(None)
    )
    for row in session.exec(given_up):
        yield row, row.id


def _doubtful(session: Session) -> Iterator[tuple[SQLModel, str]]:
    """All that is not settled by itself any more, and the id that it is listed under."""
    yield from _unasked(session)
    for payment in session.exec(select(PaymentRow).where(PaymentRow.state == PaymentState.UNKNOWN)):
        yield payment, payment.id
    for notice in session.exec(select(InboxRow).where(col(InboxRow.problem).is_not(None))):
        if notice.resolved_at is None:
            yield notice, f"{notice.provider}:{notice.id}"
    for fact in session.exec(select(DomainEvent).where(col(DomainEvent.problem).is_not(None))):
        yield fact, fact.id
    for row in session.exec(select(WithdrawalRow).where(col(WithdrawalRow.state).not_in(OVER))):
        yield row, row.id
    for rental in session.exec(select(RentalRow).where(col(RentalRow.state).in_(OCCUPYING))):
        command = session.get(CommandRow, rental.start_command_id or "")
        is_in_doubt = command is not None and command.status == "unknown"
        if is_in_doubt and rental.confirmed_at is None:
            yield rental, rental.id
        if rental.claimed_returned_at is not None and rental.state is S.RETURNING:
            yield rental, rental.id


def _payments_are_as_the_provider_says(session: Session, world: Whole) -> None:
    for payment in session.exec(select(PaymentRow)):
        really = world.provider.known(payment.id)
        if payment.state in UNHEARD:
            assert really is None or really.status == payment.state, (payment, really)
        elif really is not None:
            assert really.status == payment.state, (payment, really)


def _nothing_is_held_for_what_is_closed(session: Session, world: Whole, *, but: set[str]) -> None:
    asked = set(session.exec(select(OutboxRow.payment_id).where(OutboxRow.ask != "create")))
    closed = select(DepositRow).join(RentalRow, col(RentalRow.id) == col(DepositRow.rental_id))
    for row in session.exec(closed.where(col(RentalRow.state).in_(CLOSED))):
        if row.payment_id in but:
            continue
        assert row.state not in {DepositState.HELD, DepositState.SECURED}, f"still held: {row}"
        really = world.provider.known(row.payment_id)
        assert really is None or really.status != "authorized", f"still held: {really}"
        if row.state is DepositState.EXPIRED and row.payment_id not in asked:
            rental = session.get_one(RentalRow, row.rental_id)
            assert rental.closed_at >= row.ended_at, f"still held until it ended by itself: {row}"


def _what_was_asked_for_was_done(session: Session) -> None:
    waiting = select(OutboxRow).where(
        col(OutboxRow.done_at).is_(None), col(OutboxRow.problem).is_(None)
    )
    assert not session.exec(waiting).all(), "the outbox is not empty"
    refused = set(
        session.exec(select(OutboxRow.refund_id).where(col(OutboxRow.problem).is_not(None)))
    )
    for refund in session.exec(select(RefundRow).where(col(RefundRow.refunded_at).is_(None))):
        assert refund.id in refused, f"never went back: {refund}"
    undone = select(DomainEvent).where(col(DomainEvent.done_at_ms).is_(None))
    assert not session.exec(undone).all(), "facts wait"
    asked = select(WithdrawalRow).where(WithdrawalRow.state == WithdrawalState.REQUESTED)
    assert not session.exec(asked).all(), "a withdrawal waits"
