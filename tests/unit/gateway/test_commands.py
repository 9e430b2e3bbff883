"""A command's life, without a wire."""

from dataclasses import replace

import pytest

from gateway.commands import (
    MOVES,
    Capabilities,
    CommandRules,
    CommandStatus,
    End,
    Send,
    Wait,
    Wish,
    judge,
)
from gateway.protocol import BankId, CommandId, CommandKind, Outcome, Output, Refused
from gateway.shadow import DRIFT, Shadow, unheard

T0 = 1_800_000_000_000
RULES = CommandRules(resend_after_ms=2_000, most_sendings=3, settle_ms=30_000)
START = Wish(
    id=CommandId("c1"),
    kind=CommandKind.CHARGE_START,
    status=CommandStatus.CREATED,
    expires_at_ms=T0 + 60_000,
)
SENT = replace(
    START, status=CommandStatus.SENT, boot=7, not_after_ms=70_000, attempts=1, sent_at_ms=T0
)


def bank(at_ms: int = T0, **given: object) -> Shadow:
    """A bank whose boot 7 began ten seconds before T0, heard at ``at_ms``."""
    up_ms = at_ms - T0 + 10_000
    shadow = unheard(BankId("LW-0001"))._replace(
        boot=7, seq=5, up_ms=up_ms, clock_bound=(T0 - 10_000) * DRIFT - up_ms,
        heard_at_ms=at_ms, state_at_ms=at_ms, presence="online",
        output=Output.OFF, output_ms=0, battery=80,
    )  # fmt: skip
    return shadow._replace(**given)


def judged(
    wish: Wish, shadow: Shadow | None, at_ms: int, can: Capabilities | None = None
) -> Send | End | Wait:
    return judge(wish, shadow, now_ms=at_ms, rules=RULES, capabilities=can or Capabilities())


def test_it_is_sent_to_the_banks_boot_with_a_deadline_in_the_banks_clock() -> None:
    assert judged(START, bank(), T0) == Send(boot=7, not_after_ms=70_000, qos=1)


@pytest.mark.parametrize("shadow", [None, unheard(BankId("LW-0001")), bank(presence="offline")])
def test_it_waits_for_a_bank_that_is_not_there(shadow: Shadow | None) -> None:
    assert judged(START, shadow, T0) == Wait(until_ms=START.expires_at_ms)


def test_one_that_was_never_sent_expires() -> None:
    assert judged(START, None, T0 + 60_000) == End(status=CommandStatus.EXPIRED, reason="not_sent")


def test_the_state_confirms_and_the_result_alone_does_not() -> None:
    yes = replace(SENT, outcome=Outcome.DONE)
    assert judged(yes, bank(), T0 + 1_000) == Wait(until_ms=SENT.expires_at_ms)
    carried_out = bank(T0 + 1_000, output=Output.ON, last_command="c1")
    assert judged(SENT, carried_out, T0 + 1_000) == End(status=CommandStatus.DONE)


def test_output_that_is_on_for_another_command_confirms_nothing() -> None:
    other = bank(T0 + 1_000, output=Output.ON, last_command="c0")
    assert isinstance(judged(SENT, other, T0 + 1_000), Wait)


def test_a_no_is_believed() -> None:
    no = replace(SENT, outcome=Outcome.REJECTED, reason=Refused.LOW_BATTERY)
    assert judged(no, bank(), T0 + 500) == End(status=CommandStatus.REJECTED, reason="low_battery")


def test_it_is_sent_again_with_doubled_pauses_and_the_same_deadline() -> None:
    assert judged(SENT, bank(), T0 + 1_999) == Wait(until_ms=T0 + 2_000)
    assert judged(SENT, bank(), T0 + 2_000) == Send(boot=7, not_after_ms=70_000, qos=1)
    twice = replace(SENT, attempts=2, sent_at_ms=T0 + 2_000)
    assert judged(twice, bank(), T0 + 5_999) == Wait(until_ms=T0 + 6_000)
    often = replace(SENT, attempts=3)
    assert judged(often, bank(), T0 + 30_000) == Wait(until_ms=SENT.expires_at_ms)


def test_after_a_reboot_it_is_addressed_to_the_new_boot() -> None:
    rebooted = bank(boot=8, up_ms=1_000, clock_bound=T0 * DRIFT - 1_000)
    wrong = replace(SENT, outcome=Outcome.REJECTED, reason=Refused.WRONG_BOOT)
    for wish in (SENT, wrong):
        assert judged(wish, rebooted, T0 + 1_000) == Send(boot=8, not_after_ms=60_000, qos=1)


def test_past_its_deadline_with_a_later_state_it_is_expired() -> None:
    after = bank(T0 + 61_000)
    assert judged(SENT, after, T0 + 61_000) == End(
        status=CommandStatus.EXPIRED, reason="not_carried_out"
    )


def test_past_its_deadline_with_no_word_it_is_unknown_and_the_next_word_resolves_it() -> None:
    silent = bank(T0)
    assert isinstance(judged(SENT, silent, T0 + 89_999), Wait)
    assert judged(SENT, silent, T0 + 90_000) == End(
        status=CommandStatus.UNKNOWN, reason="no_answer"
    )
    doubt = replace(SENT, status=CommandStatus.UNKNOWN)
    assert isinstance(judged(doubt, silent, T0 + 900_000), Wait)
    did = bank(T0 + 900_000, output=Output.ON, last_command="c1")
    assert judged(doubt, did, T0 + 900_000) == End(status=CommandStatus.DONE)
    did_not = bank(T0 + 900_000)
    assert judged(doubt, did_not, T0 + 900_000) == End(
        status=CommandStatus.EXPIRED, reason="not_carried_out"
    )


def test_one_that_was_carried_out_and_did_not_last_has_failed() -> None:
    cut = bank(T0 + 61_000, output=Output.OFF, last_command="c1")
    assert judged(SENT, cut, T0 + 61_000) == End(status=CommandStatus.FAILED, reason="did_not_last")


def test_a_model_that_forgets_ids_is_not_sent_twice_on_a_guess() -> None:
    forgets = Capabilities(deduplicates=False)
    assert judged(START, bank(), T0, forgets) == Send(boot=7, not_after_ms=70_000, qos=0)
    assert isinstance(judged(SENT, bank(T0), T0 + 2_000, forgets), Wait)
    shows_not = bank(T0 + 1_800)
    assert judged(SENT, shows_not, T0 + 2_000, forgets) == Send(boot=7, not_after_ms=70_000, qos=0)


def test_a_model_that_ignores_deadlines_is_not_thought_expired_at_once() -> None:
    ignores = Capabilities(honours_deadline=False)
    assert isinstance(judged(SENT, bank(T0 + 61_000), T0 + 61_000, ignores), Wait)
    assert judged(SENT, bank(T0 + 91_000), T0 + 91_000, ignores) == End(
        status=CommandStatus.EXPIRED, reason="not_carried_out"
    )


def test_what_is_over_stays_over() -> None:
    over = {CommandStatus.DONE, CommandStatus.FAILED, CommandStatus.REJECTED, CommandStatus.EXPIRED}
    assert {status for status, then in MOVES.items() if not then} == over
