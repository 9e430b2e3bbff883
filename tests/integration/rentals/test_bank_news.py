"""What becomes of a bank is told to its merchant, once, and to nobody else."""

from typing import Any

import pytest

from backend.db.seam import to_ms
from gateway import events
from gateway.protocol import BankId

NEWS = [
    (events.BatteryLow, {"battery_pct": 17}, "bank.battery_low"),
    (events.FaultRaised, {"fault": "tamper"}, "bank.fault_raised"),
    (events.BankOffline, {}, "bank.offline"),
]


def fact(world: Any, kind: type[events.Event], **facts: Any) -> events.Event:
    now_ms = to_ms(world.clock.now())
    return kind(
        bank=BankId("LW-0001"), key="7.1", occurred_at_ms=now_ms, received_at_ms=now_ms, **facts
    )


@pytest.mark.parametrize(("kind", "facts", "told"), NEWS)
def test_a_merchant_hears_what_becomes_of_their_bank(
    world: Any, kind: type[events.Event], facts: dict[str, Any], told: str
) -> None:
    world.market()
    for _ in range(2):
        world.tell(fact(world, kind, **facts))
        world.follow()
    assert world.people["owner"].news().count(told) == 1
    assert told not in world.people["staff"].news() + world.people["other"].news()


def test_news_of_a_bank_that_nobody_reported_is_nobodys(world: Any) -> None:
    world.market(banks=())
    world.tell(fact(world, events.BankOffline))
    world.follow()
    assert world.follower.work() == 0
    assert "bank.offline" not in world.people["owner"].news()
