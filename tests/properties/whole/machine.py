"""The state machine: everybody does whatever comes to their mind, and anything may fail.

One rule for each actor, with what they do drawn; and one by which a rental goes on as it should, so
that plays come far. A rule's "no" is fine; a failure of ours, or a broken promise, is not.
"""

import sys
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlmodel import SQLModel, col, select

from backend import sweeps
from backend.db.tables.dispatch import OfferRow
from backend.db.tables.disputes import DisputeRow
from backend.db.tables.market import BankRow
from backend.db.tables.money import PaymentRow
from backend.db.tables.people import Person as PersonRow
from backend.db.tables.rentals import JobKind, JobRow, JobState, RentalRow
from backend.domain.custody import Holder
from backend.domain.dispatch import OfferState
from backend.domain.dispute import DisputeState
from backend.domain.rental import CLOSED, RentalState
from backend.payments.port import PaymentStatus, PayoutStatus
from backend.services import stuck
from backend.services.stuck import Act, Stuck, StuckKind
from gateway import events
from tests.integration.rentals.conftest import HOME, TERMS
from tests.properties.whole import promises
from tests.properties.whole.world import (
    BANKS,
    COURIERS,
    OWNERS,
    PHONE_OF,
    RENTERS,
    Death,
    Fault,
    Stage,
    Whole,
)

S = RentalState
Row = TypeVar("Row", bound=SQLModel)

faults = st.sampled_from([*[Fault.NONE] * 6, *Fault])
deaths = st.sampled_from(
    [*[None] * 6, *(Death(after, is_durable=kind) for after in (0, 1, 3) for kind in (True, False))]
)
whiches = st.integers(0, 5)
absurd = st.sampled_from([False, False, False, True])
banks = st.sampled_from(sorted(BANKS))
amounts = st.sampled_from([1, 100, 333, 1_500, 9_900])
spans = st.sampled_from(
    [1, 5, 20, 30, 61, 61, 300, 700, 899, 901, 3_600, 9_000, 50_000, 90_000, 260_000, 700_000]
)
RUNS = ("follow", "send_outbox", "all", *(sweep.name for sweep in sweeps.ALL))
as_far = st.sampled_from([11, 3, 6, 1, 8, 3, 5, 13, 10, 0])
"""Steps of a rental as it should be: asked for, on its way, at the door, ..., over."""
BEFORE_THE_DOOR = ("cancel", "cancel for a fee", "code", "urge")
AT_THE_DOOR = ("scan", "deposit", "return", "swap", "scan another")
OF_A_RENTER = {
    S.REQUESTED: BEFORE_THE_DOOR,
    S.ACCEPTED: BEFORE_THE_DOOR,
    S.DELIVERING: BEFORE_THE_DOOR,
    S.DELIVERED: AT_THE_DOOR,
    S.DEPOSIT_DUE: AT_THE_DOOR,
    S.STARTING: ("return", "swap"),
    S.RENTING: ("return", "claim-returned", "swap", "buy-out"),
    S.RETURNING: ("claim-returned", "buy-out", "swap"),
    S.START_FAILED: ("swap", "return"),
    S.PAYMENT_DUE: ("payment", "dispute", "withdraw the dispute"),
    S.COMPLETED: ("dispute", "withdraw the dispute"),
}
"""What makes sense in a state; people do the rest, too."""
ANYTHING_OF_A_RENTER = sorted({verb for verbs in OF_A_RENTER.values() for verb in verbs})
OF_STAFF = {
    JobState.OPEN: ("accept", "accept", "decline"),
    JobState.ACCEPTED: ("set-out", "collect", "give-back"),
    JobState.UNDER_WAY: ("hand-over", "hand-over", "collect", "give-back", "renter-absent"),
}
ANYTHING_OF_STAFF = (
    "accept", "check-in", "collect", "decline", "give-back", "hand-over", "renter-absent", "set-out"
)  # fmt: skip
OF_A_BANKS_MERCHANT = {
    Holder.MERCHANT: ("inspected", "offer", "withdraw", "lost"),
    Holder.STAFF: ("receive", "lost"),
    Holder.LOST: ("found",),
    Holder.SOLD: ("found",),
    Holder.RENTER: ("lost",),
}
ON_THE_PROVIDERS_WORD = {Act.PAID: PayoutStatus.PAID, Act.FAILED: PayoutStatus.FAILED}
NOT_OURS_TO_JUDGE = {(StuckKind.ASK_GIVEN_UP, Act.PUT_ASIDE), (StuckKind.BREAK, Act.PUT_ASIDE)}
"""An operator who puts these aside has settled them somewhere else."""
FAR_ENOUGH = ({"minutes": 1}, {"minutes": 15}, {"hours": 2}, *[{"hours": 23}] * 3,
              {"days": 5}, {"days": 9}, {"days": 40})  # fmt: skip
"""How long it takes until all has come to rest."""
SETTLES_WITHIN = 6
"""Runs of everything, without time passing, after which nothing moves."""


class WholeBusiness(RuleBasedStateMachine):
    """Rentals, custody, the books and the provider, under all that may happen to them."""

    def __init__(self, stage: Stage, ends: Counter[RentalState] | None = None) -> None:
        super().__init__()
        self.ends = Counter() if ends is None else ends
        """How rentals ended, over all plays."""
        self.memory = promises.Memory()
        self.seen_at = -1
        self._until = ExitStack()
        folder = Path(self._until.enter_context(TemporaryDirectory()))
        self.world: Whole = self._until.enter_context(stage.play(folder))
        self.provider = self.world.provider
        self.person_ids = self._person_ids()

    @initialize(
        as_planned=st.lists(as_far, min_size=1, max_size=3),
        bank=st.permutations(sorted(BANKS)),
    )
    def begin(self, as_planned: list[int], bank: list[str]) -> None:
        """Some rentals are under way already."""
        for steps, label in zip(as_planned, bank, strict=False):
            who = RENTERS[len(self.rentals()) % 2]
            self._ask(label, who, Fault.NONE)
            for _ in range(steps):
                self._goes_on(self.rentals()[0], Fault.NONE)
                self.world.passes(seconds=100)

    # -- as it should be -------------------------------------------------------------------

    @rule(which=whiches, fault=faults, times=st.integers(1, 3))
    def it_goes_on(self, which: int, fault: Fault, times: int) -> None:
        for _ in range(times):
            rental = _pick(self.rentals(is_open=True), which)
            if rental is None:
                self._ask(sorted(BANKS)[which % len(BANKS)], RENTERS[which % 2], fault)
            else:
                self._goes_on(rental, fault)
            self.world.passes(seconds=20)

    def _goes_on(self, rental: RentalRow, fault: Fault) -> None:
        path, label = f"/rentals/{rental.id}", {"qr_token": self.world.tokens[rental.bank_id]}
        who = self._name(rental.renter_id)
        match rental.state:
            case S.REQUESTED | S.ACCEPTED | S.DELIVERING | S.RETURNING | S.START_FAILED:
                self._job_goes_on(rental, fault)
            case S.DELIVERED:
                self.world.act(who, f"{path}/scan", label, fault)
            case S.DEPOSIT_DUE:
                self.world.act(who, f"{path}/deposit", {"accepted_disclosure": True}, fault)
                self._payer_pays(rental)
            case S.STARTING:
                self._bank_obeys(rental.bank_id)
                self.world.runs("follow")
            case S.RENTING:
                self.world.act(who, f"{path}/return", HOME, fault)
            case S.PAYMENT_DUE:
                self.world.act(who, f"{path}/payment", None, fault)
                self._payer_pays(rental)
            case _:
                self._job_goes_on(rental, fault)

    def _job_goes_on(self, rental: RentalRow, fault: Fault) -> None:
        label = {"qr_token": self.world.tokens[rental.bank_id]}
        for job in self._rows(JobRow, JobRow.rental_id == rental.id):
            path, who = f"/staff/jobs/{job.id}", self._name(job.staff_id)
            is_delivery = job.kind is JobKind.DELIVERY
            match job.state:
                case JobState.OPEN:
                    asked = self._rows(OfferRow, OfferRow.job_id == job.id)
                    offer = next((each for each in asked if each.state is OfferState.OPEN), None)
                    taker = "owner" if offer is None else self._name(offer.person_id)
                    self.world.act(taker, f"{path}/accept", None, fault)
                case JobState.ACCEPTED:
                    verb = "set-out" if is_delivery else "collect"
                    self.world.act(who, f"{path}/{verb}", label, fault)
                case JobState.UNDER_WAY:
                    verb = "hand-over" if is_delivery else "collect"
                    self.world.act(who, f"{path}/{verb}", label, fault)
                case _ if job.has_bank:
                    home = {"qr_token": self.world.tokens[job.bank_id]}
                    self.world.act(who, f"{path}/check-in", home, fault)

    def _payer_pays(self, rental: RentalRow) -> None:
        """The payment is made, the payer agrees, and the provider says so."""
        self.world.runs("send_outbox")
        for payment in self._rows(PaymentRow, PaymentRow.rental_id == rental.id):
            really = self.provider.known(payment.id)
            if really is not None and really.status is PaymentStatus.OPEN:
                self.world.knocks(self.provider.agree(really.ref))

    def _bank_obeys(self, bank: str, *, ago_s: int = 0) -> None:
        command = self.world.command(bank, "created", "sent", "unknown")
        if command is not None and not self.world.banks[bank].is_silent:
            self.world.command_ends(command, events.CommandDone, ago_s=ago_s)

    # -- people ----------------------------------------------------------------------------

    @rule(bank=banks, who=st.sampled_from(RENTERS), fault=faults)
    def a_renter_asks(self, bank: str, who: str, fault: Fault) -> None:
        self._ask(bank, who, fault)

    def _ask(self, bank: str, who: str, fault: Fault) -> None:
        body = {"qr_token": self.world.tokens[bank], **HOME}
        self.world.act(who, "/rentals", body, fault)

    @rule(what=whiches, is_absurd=absurd, which=whiches, amount=amounts, fault=faults)
    def a_renter(self, what: int, is_absurd: bool, which: int, amount: int, fault: Fault) -> None:
        rental = _pick(self.rentals(), which)
        if rental is None:
            return
        sensible = OF_A_RENTER.get(rental.state, ())
        verb = _pick(ANYTHING_OF_A_RENTER if is_absurd or not sensible else sensible, what)
        who, path = self._name(rental.renter_id), f"/rentals/{rental.id}"
        bodies: dict[str, tuple[str, dict[str, Any] | None]] = {
            "cancel": ("cancel", {"fee_minor": 0}),
            "cancel for a fee": ("cancel", {"fee_minor": 200}),
            "scan": ("scan", {"qr_token": self.world.tokens[rental.bank_id]}),
            "scan another": ("scan", {"qr_token": self._another_label(rental.bank_id)}),
            "deposit": ("deposit", {"accepted_disclosure": amount > 1}),
            "return": ("return", HOME),
            "claim-returned": ("claim-returned", {**HOME, "note": "on the counter"}),
            "swap": ("swap", {"reason": "it is broken"}),
            "buy-out": ("buy-out", {"amount_minor": TERMS["cap_total_minor"]}),
            "dispute": ("disputes", {"disputed_minor": amount, "reason": "too much"}),
        }
        if verb == "withdraw the dispute":
            for dispute in self._disputes(rental_id=rental.id):
                self.world.act(who, f"{path}/disputes/{dispute.id}/withdraw", None, fault)
            return
        end, body = bodies.get(verb, (verb, None))
        answer = self.world.act(who, f"{path}/{end}", body, fault)
        if verb == "scan another" and answer is not None:
            assert not answer.is_success, "another bank's label was taken"

    @rule(
        what=whiches,
        is_absurd=absurd,
        who=st.sampled_from(COURIERS),
        which=whiches,
        proof=st.sampled_from(["label", "label", "code", "wrong label", "wrong code"]),
        fault=faults,
    )
    def staff(  # noqa: PLR0917
        self, what: int, is_absurd: bool, who: str, which: int, proof: str, fault: Fault
    ) -> None:
        jobs = self._rows(JobRow, col(JobRow.state).in_(tuple(OF_STAFF)) | col(JobRow.has_bank))
        job = _pick(jobs, which)
        if job is None:
            return
        sensible = OF_STAFF.get(job.state, ("check-in",))
        verb = _pick(ANYTHING_OF_STAFF if is_absurd else sensible, what)
        if job.staff_id is not None and not is_absurd:
            who = self._name(job.staff_id)
        proof = proof if verb == "hand-over" else proof.replace("code", "label")
        body: dict[str, dict[str, Any] | None] = {
            "accept": None,
            "decline": None,
            "renter-absent": None,
            "give-back": {"reason": "a flat tyre"},
        }
        said = body.get(verb, self._proof(job, proof))
        answer = self.world.act(who, f"/staff/jobs/{job.id}/{verb}", said, fault)
        is_proven = verb in {"hand-over", "collect", "check-in"} or (
            verb == "set-out" and job.kind is JobKind.DELIVERY
        )
        if is_proven and "wrong" in proof and answer is not None:
            assert not answer.is_success, f"{verb} was done on a {proof}"

    def _proof(self, job: JobRow, proof: str) -> dict[str, Any]:
        code = self._rows(RentalRow, RentalRow.id == job.rental_id)[0].code
        return {
            "label": {"qr_token": self.world.tokens[job.bank_id]},
            "wrong label": {"qr_token": self._another_label(job.bank_id)},
            "code": {"code": code},
            "wrong code": {"code": f"{(int(code) + 1) % 10_000:04d}"},
        }[proof]

    @rule(
        verb=st.sampled_from(["deny-return", "concede", "cash", "cash all"]),
        owner=st.sampled_from(OWNERS),
        which=whiches,
        amount=amounts,
        fault=faults,
    )
    def a_merchant(self, verb: str, owner: str, which: int, amount: int, fault: Fault) -> None:
        shop = f"/merchants/{self.world.shops[owner]}"
        rental = _pick(self._where(state=S.RETURNING) or self.rentals(), which)
        if verb == "deny-return" and rental is not None:
            path = f"{shop}/rentals/{rental.id}/deny-return"
            self.world.act(owner, path, {"reason": "we looked"}, fault)
        elif verb == "concede":
            for dispute in self._disputes(merchant_id=self.world.shops[owner]):
                self.world.act(owner, f"{shop}/disputes/{dispute.id}/concede", None, fault)
        elif verb.startswith("cash"):
            self._cash(owner, self._theirs(owner) if verb == "cash all" else amount, fault)

    def _cash(self, owner: str, amount: int, fault: Fault = Fault.NONE) -> None:
        path = f"/merchants/{self.world.shops[owner]}/withdrawals"
        self.world.act(owner, path, {"amount_minor": max(1, amount)}, fault)

    def _theirs(self, owner: str) -> int:
        return self.world.balance(f"merchant_available:{self.world.shops[owner]}")

    @rule(bank=banks, what=whiches, fault=faults)
    def a_merchant_of_a_bank(self, bank: str, what: int, fault: Fault) -> None:
        [row] = self._rows(BankRow, BankRow.id == bank)
        verb = _pick(OF_A_BANKS_MERCHANT[row.holder], what)
        body = {"reason": "we looked"} if verb in {"lost", "found", "receive"} else None
        self.world.act(BANKS[bank], self._bank_path(bank, verb), body, fault)

    def _bank_path(self, bank: str, verb: str) -> str:
        return f"/merchants/{self.world.shops[BANKS[bank]]}/banks/{bank}/{verb}"

    @rule(
        verb=st.sampled_from(["stuck", "stuck", "close", "lose", "sell", "credit", "decide"]),
        which=whiches,
        amount=amounts,
        is_bill_wrong=st.booleans(),
        fault=faults,
    )
    def an_operator(
        self, verb: str, which: int, amount: int, is_bill_wrong: bool, fault: Fault
    ) -> None:
        body: dict[str, Any] = {"reason": "looked into"}
        if verb == "stuck":
            self._operator_acts(which, amount, fault)
        elif verb == "decide":
            for dispute in self._disputes():
                granted = body | {"granted_minor": min(amount, dispute.disputed_minor)}
                path = f"/operator/disputes/{dispute.id}/decide"
                self.world.act("operator", path, granted, fault)
        else:
            rental = _pick(self.rentals(), which)
            if verb == "credit":
                body |= {"amount_minor": amount, "is_bill_wrong": is_bill_wrong}
            if rental is not None:
                self.world.act("operator", f"/operator/rentals/{rental.id}/{verb}", body, fault)

    def _operator_acts(self, which: int, number: int, fault: Fault) -> None:
        with self.world.database.reading() as session:
            items = stuck.everything(session, now=self.world.clock.now())
        item = _pick(items, which)
        act = None if item is None else _pick(list(item.acts), number)
        if item is None or act is None or not self._is_true(item, act):
            return
        path = f"/operator/stuck/{item.kind}/{item.id}/{act}"
        self.world.act("operator", path, {"reason": "looked into"}, fault)

    def _is_true(self, item: Stuck, act: Act) -> bool:
        """Operators say of payouts what the provider's own books say."""
        if act in ON_THE_PROVIDERS_WORD and item.kind is StuckKind.WITHDRAWAL:
            payouts = self.provider.payouts.values()
            said = next((each.status for each in payouts if each.reference == item.id), None)
            return said is ON_THE_PROVIDERS_WORD[act]
        return (item.kind, act) not in NOT_OURS_TO_JUDGE

    # -- things ----------------------------------------------------------------------------

    @rule(how=st.sampled_from(["well", "well", "away", "losing answers", "declining"]))
    def the_provider_is(self, how: str) -> None:
        self.provider.is_away = how == "away"
        self.provider.loses_answers = how == "losing answers"
        self.provider.declines = how == "declining"

    @rule(how=st.sampled_from(["agrees", "agrees", "fails", "expires"]), which=whiches)
    def a_payer(self, how: str, which: int) -> None:
        ref = _pick(self.provider.having(PaymentStatus.OPEN), which)
        if ref is not None and how == "agrees":
            self.provider.agree(ref)
        elif ref is not None:
            status = PaymentStatus.FAILED if how == "fails" else PaymentStatus.EXPIRED
            self.provider.change(ref, status=status)

    @rule(which=whiches)
    def a_hold_ends_early(self, which: int) -> None:
        ref = _pick(self.provider.having(PaymentStatus.AUTHORIZED), which)
        if ref is not None:
            self.provider.change(ref, status=PaymentStatus.EXPIRED)

    @rule(which=st.integers(0, 30), is_new=st.booleans(), death=deaths)
    def the_provider_knocks(self, which: int, is_new: bool, death: Death | None) -> None:
        """With old news or new, for the first time or again."""
        truths = self.provider.truths
        if not truths:
            return
        number = len(truths) - 1 - which % len(truths)
        self.world.dies_of(
            lambda: self.world.knocks(truths[number], id_="" if is_new else f"t{number}"), death
        )

    @rule(is_paid=st.booleans())
    def payouts_end(self, is_paid: bool) -> None:
        self.world.tells_of_payouts(PayoutStatus.PAID if is_paid else PayoutStatus.FAILED)

    @rule(
        what=st.sampled_from(
            ["obeys", "obeys", "hears", "fails", "expires", "in doubt", "off", "off", "on",
             "plugged", "unplugged", "silent", "talks"]
        ),
        bank=banks,
        ago_s=st.sampled_from([0, 0, 60, 1_000, 100_000]),
    )  # fmt: skip
    def a_bank(self, what: str, bank: str, ago_s: int) -> None:
        world = self.world
        open_, sent = world.command(bank, "created", "sent"), world.command(bank, "sent")
        match what:
            case "obeys":
                self._bank_obeys(bank, ago_s=ago_s)
            case "hears" if open_ is not None:
                world.command_goes_out(open_)
            case "fails" if open_ is not None:
                world.command_ends(open_, events.CommandFailed)
            case "expires" if open_ is not None:
                world.command_ends(open_, events.CommandExpired)
            case "in doubt" if sent is not None:
                world.command_ends(sent, events.CommandUnknown)
            case "off" | "on":
                at = max(world.began_at, world.clock.now() - timedelta(seconds=ago_s))
                world.feeds_or_not(bank, what == "on", at=at)
            case "plugged" | "unplugged":
                world.is_plugged_or_not(bank, what == "plugged")
            case "silent" | "talks":
                world.is_silent_or_not(bank, what == "silent")

    @rule(seconds=spans)
    def time_passes(self, seconds: int) -> None:
        self.world.passes(seconds=seconds)

    @rule(what=st.sampled_from(RUNS), death=deaths)
    def something_runs(self, what: str, death: Death | None) -> None:
        self.world.runs(what, death)

    # -- what must always hold, and at the end -----------------------------------------------

    @invariant()
    def promises_hold(self) -> None:
        if self.world.mortality.commits != self.seen_at:
            promises.hold(self.world, self.memory)
            self.seen_at = self.world.mortality.commits

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self._comes_to_rest()
                promises.hold(self.world, self.memory)
                promises.are_kept(self.world)
                self.ends.update(rental.state for rental in self.rentals())
        finally:
            self.close()

    def close(self) -> None:
        """Take the world down."""
        self._until.close()

    def _comes_to_rest(self) -> None:
        """Faults end, the truth is told, disputes are decided, time passes, everything runs."""
        self.the_provider_is("well")
        for dispute in self._disputes():
            path = f"/operator/disputes/{dispute.id}/decide"
            self.world.act("operator", path, {"granted_minor": 1, "reason": "to end it"})
        for span in FAR_ENOUGH:
            self._gateway_ends_commands()
            self.world.passes(**span)
            for really in list(self.provider.payments.values()):
                self.world.knocks(really)
            self._runs_until_nothing_moves()
            self._merchants_cash_all()
            self.world.tells_of_payouts(PayoutStatus.PAID)

    def _merchants_cash_all(self) -> None:
        for owner in OWNERS:
            if self._theirs(owner) >= 100:
                self._cash(owner, self._theirs(owner))

    def _gateway_ends_commands(self) -> None:
        """No command stays open: who hears it obeys, and for the rest it expires."""
        for bank in self.world.banks.values():
            command = self.world.command(bank.id, "created", "sent")
            if command is None:
                continue
            kind = events.CommandExpired if bank.is_silent else events.CommandDone
            self.world.command_ends(command, kind)

    def _runs_until_nothing_moves(self) -> None:
        for _ in range(SETTLES_WITHIN):
            before = promises.standing(self.world)
            self.world.runs("all")
            if promises.standing(self.world) == before:
                return
        message = f"something still moves after {SETTLES_WITHIN} runs of everything"
        raise AssertionError(message)

    # -- looking ---------------------------------------------------------------------------

    def rentals(self, *, is_open: bool = False) -> list[RentalRow]:
        """Rentals, the newest first."""
        found = self._rows(RentalRow, col(RentalRow.id).is_not(None))
        return [rental for rental in found if not (is_open and rental.state in CLOSED)]

    def _where(self, *, state: RentalState) -> list[RentalRow]:
        return [rental for rental in self.rentals() if rental.state is state]

    def _disputes(self, **of: str) -> list[DisputeRow]:
        found = self._rows(DisputeRow, DisputeRow.state == DisputeState.OPEN)
        return [row for row in found if all(getattr(row, key) == of[key] for key in of)]

    def _rows(self, table: type[Row], *where: Any) -> list[Row]:
        with self.world.database.reading() as session:
            newest = select(table).where(*where).order_by(col(table.id).desc())
            return list(session.exec(newest).all())

    def _person_ids(self) -> dict[str, str]:
        of_phone = {phone: who for who, phone in PHONE_OF.items()}
        people = self._rows(PersonRow, col(PersonRow.id).is_not(None))
        return {person.id: of_phone[person.phone] for person in people}

    def _name(self, person_id: str | None) -> str:
        return self.person_ids.get(person_id or "", "owner")

    def _another_label(self, bank: str) -> str:
        return next(token for of, token in self.world.tokens.items() if of != bank)


def _pick(from_: list[Any], which: int) -> Any:
    return from_[which % len(from_)] if from_ else None
