"""Any people, any bank, any provider, in any order: the rental's promises hold.

The machine plays a renter, staff, a bank and a payment provider who do whatever comes to
their minds, whenever. ``World`` is the smallest service that could be written on the rules:
it asks them, and puts down what they answer, all or nothing. What the rules let through must
keep every invariant; what they refuse must leave no trace.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import hypothesis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from backend.domain import ledger
from backend.domain.cancellation import cancel_fee, check_seen
from backend.domain.custody import Holder, Proof, agrees, pass_on
from backend.domain.deposit import (
    ENDED,
    DepositEvent,
    DepositState,
    Hold,
    move_deposit,
    settle,
    transfers_for,
)
from backend.domain.errors import Code, Refusal
from backend.domain.handover import CODE_TRIES, HandoverCode, check_scan, try_code
from backend.domain.ledger import Book
from backend.domain.money import ZERO, Currency, Minor
from backend.domain.rental import (
    CLOSED,
    RentalEvent,
    RentalState,
    ReturnEvidence,
    billing_start,
    returned_at,
    step,
)
from backend.domain.tariff import (
    NOTHING,
    BillingStart,
    Price,
    Rounding,
    Terms,
    bought,
    cancelled,
    price,
)

S, E, D = RentalState, RentalEvent, DepositState
BANK, OTHER = "LW-0001", "LW-0002"
CNY = Currency.CNY
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEPOSIT = Minor(3000)
AT_WORK = {D.PENDING, D.HELD, D.SECURED, D.UNKNOWN}


def terms(billing, rounding):
    return Terms(
        free_s=60,
        block_s=900,
        block_price_minor=Minor(101),
        cap_24h_minor=Minor(1000),
        cap_total_minor=Minor(3500),
        delivery_fee_minor=Minor(300),
        deposit_minor=DEPOSIT,
        billing_start=billing,
        rounding=rounding,
        cancel_accepted_minor=Minor(50),
        cancel_delivering_minor=Minor(150),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that is written down about one rental."""

    terms: Terms
    now: datetime = NOON
    state: RentalState = S.REQUESTED
    holder: Holder = Holder.MERCHANT
    code: HandoverCode
    proofs: tuple[tuple[Holder, Proof], ...] = ()
    hold: DepositState | None = None
    holds: int = 0
    secured: Minor = ZERO
    book: Book = field(default_factory=Book)
    payments: int = 0
    refunds_due: Minor = ZERO
    handed_over_at: datetime | None = None
    scanned_at: datetime | None = None
    ordered_at: datetime | None = None
    confirmed_at: datetime | None = None
    plugged_at: datetime | None = None
    off_at: datetime | None = None
    requested_at: datetime | None = None
    claimed_at: datetime | None = None
    collected_at: datetime | None = None
    is_excused: bool = False
    billed: Price | None = None
    billed_for: RentalEvent | None = None

    @property
    def started_at(self) -> datetime | None:
        start = billing_start(
            self.terms,
            arrived_at=self.handed_over_at,
            plugged_at=self.plugged_at,
            unlocked_at=self.scanned_at,
            handed_over_at=self.handed_over_at,
            confirmed_at=self.confirmed_at,
        )
        asked = self.requested_at
        return start if start is not None and (asked is None or start < asked) else None

    @property
    def ended_at(self) -> datetime | None:
        return returned_at(
            ReturnEvidence(
                started_at=self.started_at,
                requested_at=self.requested_at,
                collected_at=self.collected_at,
                output_off_at=self.off_at,
            )
        )

    def running(self) -> Price:
        """What it costs so far."""
        if self.started_at is None:
            return NOTHING
        return price(self.terms, start=self.started_at, end=self.ended_at or self.now)

    def on(self, event: RentalEvent, **changes: object) -> "World":
        return replace(self, state=step(self.state, event), **changes)

    def passed(self, taker: Holder, proof: Proof) -> "World":
        holder = pass_on(giver=self.holder, taker=taker, proof=proof)
        return replace(self, holder=holder, proofs=(*self.proofs, (holder, proof)))

    def wrote(self, *transfers: ledger.Transfer) -> "World":
        book = self.book
        for transfer in transfers:
            book = book.post(transfer)
        return replace(self, book=book)

    def owed(self) -> Minor:
        return self.book.balance(ledger.receivable("R"), CNY)


def hand_over(world: World, *, proof: Proof, scanned: str, said: str) -> World:
    """Prove the handover, by a label or by the code; a wrong code is written down."""
    if proof is Proof.SCAN:
        check_scan(expected=BANK, scanned=scanned)
    else:
        step(world.state, E.HAND_OVER)
        tried = try_code(world.code, given=said)
        if tried.refusal is not None:
            return replace(world, code=tried.code)
    moved = world.on(E.HAND_OVER, handed_over_at=world.now)
    return moved.passed(Holder.RENTER, proof)


def ask_deposit(world: World) -> World:
    """Begin a hold, if none is at work or in doubt."""
    if world.state is not S.DEPOSIT_DUE:
        raise Refusal(Code.WRONG_STATE, state=world.state, event=E.DEPOSIT_HELD)
    if world.hold in AT_WORK:
        raise Refusal(Code.PAYMENT_IN_DOUBT)
    return replace(world, hold=D.PENDING, holds=world.holds + 1)


def hear_of_hold(world: World, event: DepositEvent) -> World:
    """Put down what the provider says of the hold; go on if the rental waits for it."""
    if world.hold is None:
        raise Refusal(Code.DEPOSIT_NOT_HELD)
    kept = settle(held_minor=DEPOSIT, fee_minor=world.owed()).kept_minor
    if event is DepositEvent.CAPTURE and kept == 0:
        raise Refusal(Code.NOTHING_TO_PAY)
    if event is DepositEvent.SECURE:
        kept = DEPOSIT
    hold = Hold(
        id=f"H{world.holds}",
        renter="R",
        currency=CNY,
        held_minor=DEPOSIT,
        captured_minor=kept,
    )
    after = move_deposit(world.hold, event)
    heard = replace(world, hold=after).wrote(*transfers_for(world.hold, event, hold))
    if after is D.SECURED and world.hold is not D.SECURED:
        heard = replace(heard, secured=DEPOSIT)
    if after is D.HELD and world.state is S.DEPOSIT_DUE:
        heard = heard.on(E.DEPOSIT_HELD, ordered_at=world.now)
    return settle_if_paid(heard)


def confirm_output(world: World, *, late: timedelta = timedelta(0)) -> World:
    """Hear that the bank feeds, and since when; once it was asked back, that is only noted."""
    fed_at = max(world.now - late, world.ordered_at or world.now)
    if world.state is S.RETURNING and world.ordered_at is not None and world.confirmed_at is None:
        return replace(world, confirmed_at=fed_at)
    return world.on(E.OUTPUT_CONFIRMED, confirmed_at=fed_at)


def collect(world: World, *, scanned: str) -> World:
    """Take the bank back and bill what was used, if anything was."""
    check_scan(expected=BANK, scanned=scanned)
    moved = world.on(E.COLLECT, collected_at=world.now).passed(Holder.STAFF, Proof.SCAN)
    return bill(moved, moved.running(), E.COLLECT) if moved.state is S.PAYMENT_DUE else moved


def bill(world: World, amount: Price, event: RentalEvent) -> World:
    """Ask for what it comes to; what comes to nothing is paid."""
    billed = replace(world, billed=amount, billed_for=event)
    if amount.total_minor:
        shares = ledger.share_out(amount.total_minor, commission_bp=1500)
        billed = billed.wrote(
            ledger.rental_billed(
                rental_id="L", renter="R", merchant="M", currency=CNY, split=shares
            )
        )
    return settle_if_paid(billed)


def call_off(world: World, *, seen: Minor) -> World:
    """Call the delivery off, for the fee that was seen at the most."""
    fee = cancel_fee(world.terms, world.state, is_excused=world.is_excused)
    if fee is None:
        raise Refusal(Code.WRONG_STATE, state=world.state, event=E.CANCEL)
    check_seen(fee, seen_minor=seen)
    if fee.fee_minor == 0:
        return world.on(E.CANCEL)
    return bill(world.on(E.CANCEL_FOR_FEE), cancelled(fee.fee_minor), E.CANCEL_FOR_FEE)


def begin_again(world: World) -> World:
    """Send another bank, from its shelf; the first is on its way home."""
    return world.on(E.REASSIGN, holder=Holder.MERCHANT, is_excused=True)


def claim(world: World) -> World:
    """Say that it is back: the meter stands, since that was said or it was to be fetched."""
    moved = world.on(E.CLAIM_RETURNED, claimed_at=world.claimed_at or world.now)
    return replace(moved, requested_at=world.requested_at or moved.claimed_at)


def deny(world: World) -> World:
    """Say that it is not: then it stands on what else was said, or never stood."""
    if world.claimed_at is None:
        raise Refusal(Code.WRONG_STATE, state=world.state, event=E.DENY_RETURN)
    if world.claimed_at == world.requested_at:
        return world.on(E.DENY_RETURN, claimed_at=None, requested_at=None)
    step(world.state, E.DENY_RETURN)
    return replace(world, claimed_at=None)


def buy(world: World) -> World:
    """Keep a bank that fed, at the total cap."""
    if world.confirmed_at is None:
        raise Refusal(Code.WRONG_STATE, state=world.state, event=E.BUY_OUT)
    kept = bought(world.terms, used=world.running())
    moved = world.on(E.BUY_OUT).passed(Holder.SOLD, Proof.REASON)
    return bill(moved, kept, E.BUY_OUT)


def lose(world: World) -> World:
    """Give a bank up that is gone and never fed."""
    if world.confirmed_at is not None:
        raise Refusal(Code.WRONG_STATE, state=world.state, event=E.LOSE)
    return world.on(E.LOSE).passed(Holder.LOST, Proof.REASON)


def pay(world: World) -> World:
    """Hear of a payment of what is owed; one that comes when nothing is owed is to go back."""
    if world.billed is None or not world.billed.total_minor:
        raise Refusal(Code.NOTHING_TO_PAY)
    amount = world.owed() or world.billed.total_minor
    paying = {"payment_id": f"P{world.payments}", "renter": "R", "currency": CNY}
    heard = replace(world, payments=world.payments + 1)
    if world.owed():
        return settle_if_paid(heard.wrote(ledger.rental_paid(amount_minor=amount, **paying)))
    return replace(
        heard.wrote(ledger.payment_surplus(amount_minor=amount, **paying)),
        refunds_due=Minor(heard.refunds_due + amount),
    )


def settle_if_paid(world: World) -> World:
    world = spend(world)
    if world.state is S.PAYMENT_DUE and world.owed() == 0:
        return world.on(E.PAID)
    return world


def spend(world: World) -> World:
    """Let the bill take from a deposit that was secured, and owe the rest back."""
    if world.hold is not D.SECURED or world.state not in {S.PAYMENT_DUE, *CLOSED}:
        return world
    deposit = {"renter": "R", "currency": CNY}
    taken = Minor(min(world.secured, world.owed()))
    rest = Minor(world.secured - taken)
    hold = f"H{world.holds}"
    after = move_deposit(world.hold, DepositEvent.SPEND)
    spent = replace(world, hold=after, secured=ZERO, refunds_due=Minor(world.refunds_due + rest))
    if taken:
        spent = spent.wrote(
            ledger.deposit_applied(hold_id=hold, amount_minor=taken, before_minor=ZERO, **deposit)
        )
    if rest:
        spent = spent.wrote(
            ledger.deposit_returned(hold_id=hold, refund_id="F", amount_minor=rest, **deposit)
        )
    return spent


def _ask_and_hold(world: World) -> World:
    asked = world if world.hold in AT_WORK else ask_deposit(world)
    return hear_of_hold(asked, DepositEvent.HOLD)


_AS_PLANNED: dict[RentalState, Callable[[World], World]] = {
    S.REQUESTED: lambda world: world.on(E.ACCEPT),
    S.ACCEPTED: lambda world: world.on(E.SET_OUT).passed(Holder.STAFF, Proof.SCAN),
    S.DELIVERING: lambda world: hand_over(world, proof=Proof.SCAN, scanned=BANK, said=""),
    S.DELIVERED: lambda world: world.on(E.SCAN, scanned_at=world.now),
    S.DEPOSIT_DUE: _ask_and_hold,
    S.STARTING: confirm_output,
    S.RENTING: lambda world: world.on(E.REQUEST_RETURN, requested_at=world.now),
    S.RETURNING: lambda world: collect(world, scanned=BANK),
    S.PAYMENT_DUE: pay,
}

_TO_AN_END: dict[RentalState, Callable[[World], World]] = _AS_PLANNED | {
    S.REQUESTED: lambda world: world.on(E.GIVE_UP),
    S.ACCEPTED: lambda world: world.on(E.CANCEL),
    S.DELIVERING: lambda world: world.on(E.CANCEL),
    S.DELIVERED: lambda world: world.on(E.REQUEST_RETURN, requested_at=world.now),
    S.DEPOSIT_DUE: lambda world: world.on(E.REQUEST_RETURN, requested_at=world.now),
    S.STARTING: lambda world: world.on(E.REQUEST_RETURN, requested_at=world.now),
    S.START_FAILED: lambda world: collect(world, scanned=BANK),
}


class Rental(RuleBasedStateMachine):
    """One rental, and everything that may happen to it."""

    @initialize(
        billing=st.sampled_from(BillingStart),
        rounding=st.sampled_from(Rounding),
        as_planned=st.integers(0, len(_AS_PLANNED) + 1),
    )
    def begin(self, billing, rounding, as_planned):
        self.world = World(terms=terms(billing, rounding), code=HandoverCode(digits="1234"))
        self.path = [S.REQUESTED]
        for _ in range(as_planned):
            self.all_goes_as_planned()
            self.time_goes_on(61)

    def attempt(self, act: Callable[[World], World]) -> None:
        """Let somebody do something; what is refused has not happened."""
        before = self.world
        try:
            after = act(before)
        except Refusal:
            assert self.world is before
            return
        self.world = after
        if after.state is not before.state:
            self.path.append(after.state)

    # -- people ----------------------------------------------------------------------------

    @rule()
    def all_goes_as_planned(self):
        self.attempt(_AS_PLANNED.get(self.world.state, lambda world: world))

    @rule(event=st.sampled_from([E.ACCEPT, E.GIVE_UP, E.CANCEL, E.START_REFUSED]))
    def somebody_just_says_so(self, event):
        self.attempt(lambda world: world.on(event))

    @rule(seen=st.sampled_from([0, 50, 150]))
    def the_renter_calls_it_off(self, seen):
        self.attempt(lambda world: call_off(world, seen=Minor(seen)))

    @rule()
    def it_begins_again_with_another_bank(self):
        self.attempt(begin_again)

    @rule()
    def the_renter_says_that_it_is_back(self):
        self.attempt(claim)

    @rule()
    def the_merchant_denies_it(self):
        before = self.world
        self.attempt(deny)
        if self.world is not before:
            assert self.world.running().total_minor >= before.running().total_minor

    @rule()
    def the_renter_has_it_swapped(self):
        self.attempt(lambda world: world.on(E.SWAP, requested_at=world.requested_at or world.now))

    @rule()
    def the_renter_keeps_it(self):
        self.attempt(buy)

    @rule()
    def the_bank_is_gone(self):
        self.attempt(lose)

    @rule(proof=st.sampled_from(Proof))
    def staff_set_out(self, proof):
        self.attempt(lambda world: world.on(E.SET_OUT).passed(Holder.STAFF, proof))

    @rule(
        proof=st.sampled_from([Proof.SCAN, Proof.CODE]),
        scanned=st.sampled_from([BANK, BANK, OTHER]),
        said=st.sampled_from(["1234", "1234", "0000"]),
    )
    def staff_hand_over(self, proof, scanned, said):
        self.attempt(lambda world: hand_over(world, proof=proof, scanned=scanned, said=said))

    @rule()
    def the_renter_scans(self):
        self.attempt(lambda world: world.on(E.SCAN, scanned_at=world.scanned_at or world.now))

    @rule()
    def the_renter_asks_to_pay_the_deposit(self):
        self.attempt(ask_deposit)

    @rule()
    def the_renter_asks_to_have_it_fetched(self):
        self.attempt(
            lambda world: world.on(E.REQUEST_RETURN, requested_at=world.requested_at or world.now)
        )

    @rule(scanned=st.sampled_from([BANK, BANK, OTHER]))
    def staff_collect(self, scanned):
        self.attempt(lambda world: collect(world, scanned=scanned))

    @rule()
    def the_renter_pays(self):
        self.attempt(pay)

    # -- things ----------------------------------------------------------------------------

    @rule(event=st.sampled_from(sorted(set(DepositEvent) - {DepositEvent.SPEND})))
    def the_provider_says(self, event):
        self.attempt(lambda world: hear_of_hold(world, event))

    @rule()
    def the_bill_is_taken_from_the_deposit(self):
        self.attempt(lambda world: hear_of_hold(world, DepositEvent.CAPTURE))

    @rule(late_s=st.sampled_from([0, 1, 1_000, 100_000]))
    def the_bank_confirms(self, late_s):
        self.attempt(lambda world: confirm_output(world, late=timedelta(seconds=late_s)))

    @rule()
    def a_load_is_plugged_in(self):
        self.attempt(lambda world: replace(world, plugged_at=world.plugged_at or world.now))

    @rule(is_off=st.booleans())
    def the_bank_goes_off_or_on(self, is_off):
        self.attempt(
            lambda world: replace(world, off_at=(world.off_at or world.now) if is_off else None)
        )

    @rule(seconds=st.sampled_from([1, 59, 61, 899, 900, 901, 7_200, 86_400, 400_000]))
    def time_goes_on(self, seconds):
        self.world = replace(self.world, now=self.world.now + timedelta(seconds=seconds))

    # -- what must always hold ---------------------------------------------------------------

    @invariant()
    def the_bank_is_where_the_rental_says(self):
        assert agrees(self.world.state, self.world.holder)

    @invariant()
    def billing_never_starts_before_both_handover_and_confirmation(self):
        world = self.world
        if world.started_at is not None:
            assert S.DELIVERED in self.path
            assert S.STARTING in self.path
            assert world.started_at >= max(world.handed_over_at, world.confirmed_at)

    @invariant()
    def the_bank_was_told_to_start_only_with_the_deposit_held(self):
        if S.STARTING in self.path:
            assert f"deposit:H{self.world.holds}:held" in self.world.book.keys

    @invariant()
    def the_renter_got_the_bank_by_proof_only(self):
        for holder, proof in self.world.proofs:
            assert holder is not Holder.RENTER or proof in {Proof.SCAN, Proof.CODE}

    @invariant()
    def what_is_closed_stays_closed(self):
        assert not set(CLOSED) & set(self.path[:-1])

    @invariant()
    def a_code_bears_five_tries(self):
        assert self.world.code.wrong_tries <= CODE_TRIES

    @invariant()
    def it_is_completed_only_when_paid_and_the_bank_is_back(self):
        world = self.world
        if world.state is S.COMPLETED:
            assert world.owed() == 0
            assert world.billed is not None
            assert world.holder is not Holder.RENTER

    @invariant()
    def who_did_not_rent_owes_nothing(self):
        world = self.world
        asked, fed = world.requested_at, world.confirmed_at
        if world.billed_for not in {None, E.COLLECT}:
            return
        if fed is None or (asked is not None and asked <= fed):
            assert world.owed() == 0
            assert "rental:L:billed" not in world.book.keys

    @invariant()
    def the_bill_is_what_the_snapshot_says_and_no_later_news_changes_it(self):
        world = self.world
        if world.billed is not None:
            assert world.billed.total_minor <= world.terms.cap_total_minor
            revenue = -sum(
                world.book.balance(account, CNY)
                for account in (ledger.merchant_pending("M"), ledger.PLATFORM_REVENUE)
            )
            assert revenue == world.billed.total_minor

    @invariant()
    def what_was_kept_costs_the_cap_and_what_was_called_off_its_fee(self):
        world = self.world
        if world.billed_for is E.BUY_OUT:
            assert world.confirmed_at is not None
            assert world.holder is Holder.SOLD
            assert world.billed.total_minor == world.terms.cap_total_minor
        if world.billed_for is E.CANCEL_FOR_FEE:
            assert world.billed.total_minor <= world.terms.cancel_delivering_minor
            assert not world.is_excused
            assert world.handed_over_at is None

    @invariant()
    def nothing_of_it_is_owed_for_a_bank_that_is_lost(self):
        if self.world.holder is Holder.LOST:
            assert self.world.state is S.CANCELLED
            assert self.world.billed is None

    @invariant()
    def the_lines_of_a_bill_sum_to_it(self):
        billed = self.world.billed
        if billed is not None:
            assert sum(line.amount_minor for line in billed.lines) == billed.total_minor

    @invariant()
    def the_books_balance(self):
        balances = self.world.book.balances
        assert sum(balances.values()) == 0
        for (account, _), amount in balances.items():
            assert ledger.natural(account, amount) >= 0

    @invariant()
    def the_hold_is_in_the_books_as_it_is_at_the_provider(self):
        world = self.world
        liability = -world.book.balance(ledger.deposit_liability("R"), CNY)
        held = DEPOSIT if world.hold is D.HELD else 0
        assert liability == held + world.secured
        assert held == world.book.balance(ledger.PROVIDER_HOLDS, CNY)
        assert not world.secured or world.hold is D.SECURED

    @invariant()
    def what_was_paid_is_billed_or_owed_back(self):
        world = self.world
        paid_in = world.book.balance(ledger.PROVIDER_CASH, CNY)
        billed = world.billed.total_minor if world.billed else 0
        assert paid_in == billed - world.owed() + world.refunds_due + world.secured

    # -- and in the end ----------------------------------------------------------------------

    def teardown(self):
        """Once everybody does their part, it closes, and nothing is left held or owed."""
        if not hasattr(self, "world"):
            return
        for _ in range(len(S)):
            self.attempt(_TO_AN_END.get(self.world.state, lambda world: world))
        self.attempt(settle_if_paid)
        self.attempt(lambda world: hear_of_hold(world, DepositEvent.STILL_OPEN))
        self.attempt(lambda world: hear_of_hold(world, DepositEvent.DECLINE))
        self.attempt(lambda world: hear_of_hold(world, DepositEvent.RELEASE))
        world = self.world
        hypothesis.event(f"{self.path[-1]}, hold {world.hold}, refund {world.refunds_due > 0}")
        assert world.state in CLOSED
        assert world.hold is None or world.hold in ENDED
        assert world.owed() == 0
        assert world.book.balance(ledger.deposit_liability("R"), CNY) == 0
        held = {key for key in world.book.keys if key.endswith(":held")}
        assert {key.replace(":held", ":ended") for key in held} <= world.book.keys


TestRental = Rental.TestCase
TestRental.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
