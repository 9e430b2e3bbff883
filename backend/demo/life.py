"""What goes on in the city once the story is told: other people rent, cells fill and empty."""

import asyncio
from contextlib import suppress
from itertools import cycle
from typing import Final

from backend.demo.city import City
from backend.demo.client import App, Refused
from backend.demo.hands import Hands
from backend.demo.story import Cast, StepFailed, play

STEP_S: Final = 4.0
CELLS_S: Final = 2.5
SHARES: Final = 7
"""Every so many-th bank has its turn at once."""
FULL_PCT: Final = 96
FILL_BELOW_PCT: Final = 58
_NEAR: Final = 0.004
"""Degrees from the shop to those who rent there: some 400 m."""


class _Quietly:
    """A teller who only keeps the pace."""

    def begins(self, number: int, title: str) -> None:
        """Say nothing."""

    def ends(self, outcome: str) -> None:
        """Say nothing."""

    async def pause(self, step: str) -> None:
        """Live, for a while."""
        del step
        await asyncio.sleep(STEP_S)


async def rent(app: App, city: City, hands: Hands, *, place: int) -> None:
    """Let one of the others rent at one shop, again and again."""
    shop = city.shops[place]
    near = (shop.plan.address, shop.plan.lat + _NEAR, shop.plan.lng)
    cast = Cast(
        app=app, city=city, hands=hands, renter=city.others[place], shop=shop, here=near, there=near
    )
    await asyncio.sleep(STEP_S * (1 + 2 * place))
    while True:
        with suppress(StepFailed):  # the bank was lent to a visitor, say: the next will do
            await play(cast, _Quietly())
        await asyncio.sleep(STEP_S)


async def cells(hands: Hands) -> None:
    """Let idle banks lose a little now and then, and be charged before it is much."""
    for turn in cycle(range(SHARES)):
        await asyncio.sleep(CELLS_S)
        with suppress(Refused):  # it moved between the look and the act: the next turn sees
            for place, bank in enumerate(await hands.look_at_all()):
                if bank["state"]["output"] == "on":
                    if bank["charge_mw"]:  # it went out off its charger
                        await hands.do(bank["bank_id"], "charge", charge_mw=0)
                elif place % SHARES == turn:
                    await _tend(hands, bank["bank_id"], bank["state"]["battery"], bank["charge_mw"])


async def _tend(hands: Hands, bank_id: str, level_pct: int, charge_mw: int) -> None:
    if charge_mw:
        if level_pct >= FULL_PCT:
            await hands.do(bank_id, "charge", charge_mw=0)
    elif level_pct < FILL_BELOW_PCT:
        await hands.do(bank_id, "charge")
    else:
        await hands.do(bank_id, "drain", to_pct=level_pct - 1)
