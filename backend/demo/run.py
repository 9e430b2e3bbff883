"""The demo put together: the platform, the people, the banks, and who tells of them."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

import httpx

from backend import logs
from backend.clock import SystemClock
from backend.demo import life, show, words
from backend.demo.city import BANKS, HERE, OPERATOR_PHONE, THERE, City, found
from backend.demo.client import App, News, Person, Refused
from backend.demo.hands import BATTERY_SPEED, Hands, simulator
from backend.demo.scene import Links, Scene, bank_line, receipt
from backend.demo.stage import PACE_S, Stage, make_stage
from backend.demo.story import STEPS, Cast, StepFailed, clock, play
from backend.domain.lang import Lang
from backend.problems import StartError
from backend.up import Options, Platform, running

LOOK_S: Final = 0.4
CONNECTED_WITHIN_S: Final = 40.0
REQUEST_S: Final = 15.0
CONNECTIONS_MAX: Final = 100
INTERRUPTED: Final = 130
"""The shell's code for a program that was stopped by Ctrl-C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a person may ask of ``lendwatt demo``."""

    once: bool = False
    data_dir: Path | None = None
    """None: a fresh one, taken away at the end."""
    port: int | None = None
    provider_port: int | None = None
    bank_port: int | None = None
    broker: str = "auto"
    banks: int = BANKS
    lang: Lang | None = None
    """None: that of the environment."""
    pace_s: float = PACE_S
    """How long a step stays on the screen before the next begins."""
    picture: Path | None = None
    """Where to put a picture of the screen in the middle of the story."""


def demo(wishes: Wishes) -> int:
    """Run it until Ctrl-C, or with ``once`` to the receipt.

    Returns:
        The exit code.

    Raises:
        StartError: the platform cannot start.
        StepFailed: a step of the story failed, or a part ended by itself.
    """
    lang = wishes.lang or words.reader(os.environ)
    scene = Scene(lang=lang, steps_in_all=len(STEPS))
    stage = make_stage(
        scene, SystemClock(), once=wishes.once, pace_s=wishes.pace_s, picture=wishes.picture
    )
    try:
        with _data_dir(wishes.data_dir) as data_dir, _logs(stage, data_dir) as log:
            code = asyncio.run(_until_told(stage, _shown(stage, wishes, data_dir, log)))
    finally:
        _look_back(stage)
    if wishes.data_dir is not None:
        stage.console.print(words.say("kept", lang, place=wishes.data_dir), soft_wrap=True)
    return code


def _look_back(stage: Stage) -> None:
    """What was on the screen goes with it; what is worth keeping is told once more."""
    if stage.is_live:
        stage.is_live = False
        for step in stage.scene.steps:
            stage.say(show.plain_step(step, stage.scene.steps_in_all))
        _print_receipt(stage)


def _print_receipt(stage: Stage) -> None:
    if stage.scene.receipt is not None:
        stage.console.print()
        stage.console.print(*show.receipt(stage.scene.receipt, width=56), sep="\n", soft_wrap=True)
        stage.console.print()


@contextmanager
def _data_dir(wished: Path | None) -> Iterator[Path]:
    if wished is None:
        with tempfile.TemporaryDirectory(prefix="lendwatt-demo-") as fresh:
            yield Path(fresh)
        return
    try:
        wished.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=wished).close()
    except OSError as wrong:
        msg = f"Nothing can be kept in {wished} ({wrong.strerror}): choose another --data-dir."
        raise StartError(msg) from wrong
    yield wished


@contextmanager
def _logs(stage: Stage, data_dir: Path) -> Iterator[TextIO | None]:
    """Keep the logs off the screen: in a file; without a screen, what is wrong to stderr."""
    if not stage.is_live:
        logs.set_up(is_calm=True)
        yield None
        return
    with (data_dir / "demo.log").open("a", encoding="utf-8") as log:
        logs.set_up(to=log)
        yield log


async def _until_told(stage: Stage, work: Coroutine[Any, Any, None]) -> int:
    """Do the work to its end, or until somebody says stop, once; then clean up undisturbed."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    task, told = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if task.done():
        task.result()
        return 0
    stage.say(words.say("stopping", stage.scene.lang))
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return INTERRUPTED if stage.scene.receipt is None else 0


async def _shown(stage: Stage, wishes: Wishes, data_dir: Path, log: TextIO | None) -> None:
    async with stage.shown():
        try:
            await _run(stage, wishes, data_dir, log)
        except Refused as why:
            sentence = words.say("not_ready", stage.scene.lang, why=why)
            raise StepFailed(sentence) from why
        except StepFailed:
            stage.fails()
            raise


async def _run(stage: Stage, wishes: Wishes, data_dir: Path, log: TextIO | None) -> None:
    """Start everything, tell the story, and stay."""
    scene, lang = stage.scene, stage.scene.lang
    since_s = asyncio.get_running_loop().time()
    stage.say(words.say("opening", lang))
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(running(_options(wishes, data_dir)))
        http = await stack.enter_async_context(_http())
        app = App(http, api=platform.api, lang=lang)
        stage.say(words.say("founding", lang))
        city = await found(app, count=wishes.banks)
        stage.say(words.say("connecting", lang))
        specs = [bank.spec() for bank in city.banks]
        fleet = simulator(app, specs, flash_dir=data_dir / "banks", log=log)
        hands = await stack.enter_async_context(fleet)
        beside = [person.listen() for person in _hearing(city, scene)]
        stage.look = lambda: _look(city, scene)
        if stage.is_live:
            beside.append(_keep_looking(city, scene))
        tasks = await stack.enter_async_context(_beside(*beside))
        await app.until(lambda: _told(city), all, within_s=CONNECTED_WITHIN_S)
        _say_ready(stage, platform, city, asyncio.get_running_loop().time() - since_s)
        await _tell(stage, app, city, hands)
        if not wishes.once:
            await _stay(stage, app, city, hands, platform=platform, tasks=tasks)


def _options(wishes: Wishes, data_dir: Path) -> Options:
    return Options(
        data_dir=data_dir,
        database_url=f"sqlite:///{data_dir.absolute() / 'lendwatt.db'}",
        port=wishes.port,
        provider_port=wishes.provider_port,
        bank_port=wishes.bank_port,
        broker=wishes.broker,
        demo=True,
        operator_phones=frozenset({OPERATOR_PHONE}),
    )


def _http() -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=CONNECTIONS_MAX)
    return httpx.AsyncClient(timeout=REQUEST_S, limits=limits, trust_env=False)


async def _tell(stage: Stage, app: App, city: City, hands: Hands) -> None:
    """Tell the story, to its receipt."""
    cast = Cast(
        app=app,
        city=city,
        hands=hands,
        renter=city.renter,
        shop=city.shops[0],
        here=HERE,
        there=THERE,
    )
    rental = await play(cast, stage)
    span = words.say(
        "span",
        app.lang,
        start=clock(rental["billing_start_at"]),
        end=clock(rental["returned_at"]),
        seconds=rental["duration_s"],
    )
    stage.scene.receipt = receipt(rental, app.lang, span=span)
    if not stage.is_live:
        _print_receipt(stage)


async def _stay(
    stage: Stage,
    app: App,
    city: City,
    hands: Hands,
    *,
    platform: Platform,
    tasks: list[asyncio.Task[None]],
) -> None:
    """Let the city live until Ctrl-C.

    Raises:
        StepFailed: the simulator ended.
        StartError: a part of the platform did.
    """
    stage.scene.links = await _links(app, city, platform)
    if not stage.is_live:
        stage.console.print(*show.links(stage.scene.links), sep="\n", soft_wrap=True)
        stage.say(words.say("quit", app.lang))
    renting = (life.rent(app, city, hands, place=place) for place in range(len(city.others)))
    async with _beside(life.cells(hands), *renting) as living:
        ended = asyncio.create_task(hands.until_it_ends())
        everything = [ended, *living, *tasks, *platform.tasks]
        done, _ = await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
        if ended in done:
            sentence = words.say("simulator_ended", app.lang, code=ended.result())
            raise StepFailed(sentence)
        ended.cancel()
        for task in done:
            task.result()


@asynccontextmanager
async def _beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Have work go on while this is open; a part that crashed is raised in the end."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


# -- seeing and hearing ---------------------------------------------------------------------


def _hearing(city: City, scene: Scene) -> tuple[Person, ...]:
    def hear(who: Person, news: News) -> None:
        scene.hear(who.name, news.kind, news.data, at=news.at)

    for person in city.people:
        person.on_news = hear
    return city.people


async def _told(city: City) -> list[bool]:
    """Of each bank, whether the platform hears it."""
    stocks = [await shop.stock() for shop in city.shops]
    ours = {bank.id for bank in city.banks}
    return [
        bank["state"] is not None and bank["state"]["presence"] == "online"
        for stock in stocks
        for bank in stock
        if bank["id"] in ours
    ]


async def _look(city: City, scene: Scene) -> None:
    ours = {bank.id for bank in city.banks}
    seen = [
        bank_line(
            bank,
            merchant=shop.owner.name,
            rental_state=scene.rentals.get(bank["id"]),
        )
        for shop in city.shops
        for bank in await shop.stock()
        if bank["id"] in ours
    ]
    scene.banks = tuple(seen)


async def _keep_looking(city: City, scene: Scene) -> None:
    while True:
        await _look(city, scene)
        await asyncio.sleep(LOOK_S)


def _say_ready(stage: Stage, platform: Platform, city: City, took_s: float) -> None:
    scene, lang = stage.scene, stage.scene.lang
    counts = {"shops": len(city.shops), "banks": len(city.banks)}
    scene.below = words.say("below", lang, broker=platform.broker.kind, **counts)
    scene.hint = words.say("honest", lang, speed=BATTERY_SPEED)
    if not stage.is_live:
        stage.say(scene.below)
        stage.say(words.say("ready", lang, seconds=f"{took_s:.1f}", **counts))
        stage.say(scene.hint)


async def _links(app: App, city: City, platform: Platform) -> Links:
    """What can be opened and tried."""
    lang, shop, renter = app.lang, city.shops[0], city.renter
    bank = next((b for b in await shop.stock() if b["rentable"]), None)
    label = shop.banks[0] if bank is None else next(b for b in shop.banks if b.id == bank["id"])
    paid = (await renter.get("/rentals"))["items"][0]["payments"][-1]
    people = words.say(
        "people", lang, renter=renter.phone, merchant=shop.owner.phone, operator=OPERATOR_PHONE
    )
    return Links(
        rows=(
            (words.say("page", lang), f"{platform.url}/   {platform.api}/openapi.json"),
            (words.say("label", lang), label.qr_url),
            (words.say("provider", lang), paid["pay_url"]),
            (words.say("sign_in", lang), f"{platform.url}/sign-in   {people}"),
            (
                words.say("try", lang),
                f'curl -s --json \'{{"phone":"{renter.phone}"}}\' {platform.api}/auth/codes',
            ),
        )
    )
