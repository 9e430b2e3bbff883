"""Any order, any repeats of a bank's messages give one shadow and one set of facts."""

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.events import BankRebooted, Event, Since
from gateway.protocol import BankId, Lock, Output, State
from gateway.shadow import Shadow, apply, unheard

BANK = BankId("LW-0001")
T0 = 1_800_000_000_000

BOOKKEEPING = {"sampled_at_ms": 0, "sampled_battery": 0, "suspect": None}
"""What the gateway remembers for itself, and says nothing of the bank."""


class Sent(NamedTuple):
    state: State
    received_at_ms: int


@st.composite
def histories(draw: st.DrawFn) -> list[Sent]:
    """What a bank may have lived through: uses, reboots, jams; each report with its delay."""
    utc, sent = T0, []
    sessions, on_s = 0, 0
    for boot in range(3, 3 + draw(st.integers(1, 3))):
        up_ms, seq = 0, 0
        lock, output, plugged = (Lock.LOCKED, 0), (Output.OFF, 0), (False, 0)
        for _ in range(draw(st.integers(1, 6))):
            step_ms = draw(st.integers(1, 90_000))
            up_ms, seq, utc = up_ms + step_ms, seq + 1, utc + step_ms
            match draw(st.sampled_from(["report", "lock", "output", "plug"])):
                case "lock":
                    lock = (draw(st.sampled_from(Lock)), up_ms)
                case "output":
                    output = (Output.OFF if output[0] is Output.ON else Output.ON, up_ms)
                    on_s += 1
                case "plug":
                    plugged = (not plugged[0], up_ms)
                    sessions += 1
            state = State(
                boot=boot, seq=seq, up_ms=up_ms, battery=draw(st.integers(0, 100)),
                lock=lock[0], lock_ms=lock[1], output=output[0], output_ms=output[1],
                plugged=plugged[0], plugged_ms=plugged[1], sessions=sessions, on_s=on_s,
                energy_mwh=on_s * 5, last_command=None, faults=(),
            )  # fmt: skip
            sent.append(Sent(state, utc + draw(st.integers(0, 40_000))))
        utc += draw(st.integers(1, 60_000))
    return sent


def fold(messages: list[Sent]) -> tuple[Shadow, set[str]]:
    shadow, facts = unheard(BANK), set[str]()
    for state, received_at_ms in messages:
        applied = apply(shadow, state, received_at_ms)
        shadow = applied.shadow
        facts |= {event.id for event in applied.events if isinstance(event, Since | BankRebooted)}
        assert applied.quarantined is None
    return shadow._replace(**BOOKKEEPING), facts


@given(st.data(), histories())
@settings(max_examples=200)
def test_any_order_and_any_repeats_end_in_one_shadow(data: st.DataObject, sent: list[Sent]) -> None:
    in_order = fold(sent)
    repeats = data.draw(st.lists(st.sampled_from(sent), max_size=6), label="repeats")
    shuffled = data.draw(st.permutations([*sent, *repeats]), label="as they came")
    assert fold(shuffled) == in_order


class LossyNetwork(RuleBasedStateMachine):
    """A network that holds back, repeats and loses what one bank says, step by step."""

    @initialize(sent=histories())
    def a_bank_lives(self, sent: list[Sent]) -> None:
        self.sent = sent
        self.delivered: list[Sent] = []
        self.shadow = unheard(BANK)
        self.events: dict[str, Event] = {}

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """Any message, again or for the first time, whenever the network likes."""
        message = data.draw(st.sampled_from(self.sent))
        applied = apply(self.shadow, message.state, message.received_at_ms)
        self.shadow = applied.shadow
        self.delivered.append(message)
        for event in applied.events:
            self.events.setdefault(event.id, event)

    @invariant()
    def the_shadow_is_the_newest_that_came(self) -> None:
        if self.delivered:
            newest = max((m.state.boot, m.state.seq) for m in self.delivered)
            assert (self.shadow.boot, self.shadow.seq) == newest

    @invariant()
    def nothing_is_told_that_the_bank_did_not_say(self) -> None:
        for event in self.events.values():
            if isinstance(event, Since):
                assert any(
                    event.boot == m.state.boot
                    and event.bank_ms in {m.state.lock_ms, m.state.output_ms, m.state.plugged_ms}
                    for m in self.delivered
                )

    @invariant()
    def nothing_happened_after_it_was_heard(self) -> None:
        for event in self.events.values():
            assert event.occurred_at_ms <= event.received_at_ms

    @invariant()
    def the_shadow_is_what_an_orderly_network_would_have_left(self) -> None:
        orderly = sorted(set(self.delivered), key=lambda m: (m.state.boot, m.state.seq))
        assert self.shadow._replace(**BOOKKEEPING) == fold(orderly)[0]

    def teardown(self) -> None:
        """Whatever was lost, the facts are the union of what the delivered messages say."""
        if hasattr(self, "delivered"):
            orderly = sorted(set(self.delivered), key=lambda m: (m.state.boot, m.state.seq))
            told = {key for key, e in self.events.items() if isinstance(e, Since | BankRebooted)}
            assert told == fold(orderly)[1]


TestLossyNetwork = LossyNetwork.TestCase
TestLossyNetwork.settings = settings(max_examples=60, stateful_step_count=25)


@given(histories(), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_no_number_mutes_a_bank_for_longer_than_two_minutes(
    sent: list[Sent], boot: int, seq: int
) -> None:
    """Whatever ``(boot, seq)`` a bank once says, a few of its next reports are the shadow."""
    shadow = unheard(BANK)
    for state, received_at_ms in sent:
        shadow = apply(shadow, state, received_at_ms).shadow
    last, heard_ms = max(sent, key=lambda m: (m.state.boot, m.state.seq)).state, shadow.heard_at_ms
    wild = last.model_copy(update={"boot": boot, "seq": seq, "battery": 1})
    shadow = apply(shadow, wild, heard_ms + 1_000).shadow
    for report in range(1, 5):
        honest = last.model_copy(
            update={
                "seq": last.seq + report,
                "up_ms": last.up_ms + report * 60_000,
                "battery": 90 + report,
            }
        )
        shadow = apply(shadow, honest, heard_ms + 1_000 + report * 60_000).shadow
    assert shadow.battery == 94
