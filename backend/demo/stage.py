"""Where the story is told: on one live screen, or line by line where there is no terminal."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live

from backend.clock import Clock
from backend.demo import show
from backend.demo.scene import Mood, Scene

PACE_S: Final = 1.5
"""For a person to read a step."""
DRAW_EVERY_S: Final = 0.2
PICTURED: Final = "running"
"""The step that a picture is taken after: a phone charges, and the meter runs."""
_WEB_FONTS: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


async def _nothing() -> None:
    pass


class Stage:
    """Tells the story as it goes."""

    def __init__(
        self,
        scene: Scene,
        console: Console,
        clock: Clock,
        *,
        is_live: bool,
        pace_s: float,
        picture: Path | None,
    ) -> None:
        self.scene = scene
        self.console = console
        self.is_live = is_live
        self.pace_s = pace_s
        self.picture = picture
        self.look: Callable[[], Awaitable[None]] = _nothing
        """Brings the table of banks up to date, for a picture."""
        self._clock = clock

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Keep the screen drawn while this is open."""
        if not self.is_live:
            yield
            return
        with Live(console=self.console, screen=True, auto_refresh=False) as live:
            drawing = asyncio.create_task(self._draw(live))
            try:
                yield
            finally:
                drawing.cancel()
                await asyncio.gather(drawing, return_exceptions=True)

    def say(self, sentence: str) -> None:
        """Tell how things stand: under the title, or as a line."""
        if self.is_live:
            self.scene.below = sentence
        else:
            self.console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    # -- the story

    def begins(self, number: int, title: str) -> None:
        """A step begins."""
        self.scene.step_begins(number, title, at=self._clock.now())

    def ends(self, outcome: str) -> None:
        """It has ended well."""
        self.scene.step_ends(outcome)
        if not self.is_live:
            self._print_step()

    def fails(self) -> None:
        """The last step has failed."""
        if self.scene.steps and self.scene.steps[-1].mood is Mood.NOW:
            self.scene.step_ends("…", mood=Mood.FAILED)
            if not self.is_live:
                self._print_step()

    async def pause(self, step: str) -> None:
        """Give people time to read, where there are any."""
        if self.picture is not None and step == PICTURED:
            await self.look()
            self.picture.write_text(picture(self.scene), encoding="utf-8")
        await asyncio.sleep(self.pace_s)

    def _print_step(self) -> None:
        line = show.plain_step(self.scene.steps[-1], self.scene.steps_in_all)
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    async def _draw(self, live: Live) -> None:
        while True:
            live.update(show.screen(self.scene), refresh=True)
            await asyncio.sleep(DRAW_EVERY_S)


def make_stage(
    scene: Scene, clock: Clock, *, once: bool, pace_s: float = PACE_S, picture: Path | None = None
) -> Stage:
    """A screen where there is a terminal large enough, and a person who stays; else lines."""
    console = Console()
    is_watched = console.is_terminal and not once
    is_large = console.width >= show.WIDTH and console.height >= show.HEIGHT
    return Stage(
        scene,
        console,
        clock,
        is_live=is_watched and is_large,
        pace_s=pace_s if is_watched else 0,
        picture=picture,
    )


def picture(scene: Scene) -> str:
    """The screen as an SVG that loads nothing from anywhere."""
    console = Console(
        record=True,
        file=StringIO(),
        width=show.WIDTH,
        height=show.HEIGHT,
        force_terminal=True,
        color_system="truecolor",
    )
    console.print(show.screen(scene), end="")
    return _WEB_FONTS.sub("", console.export_svg(title="lendwatt demo", unique_id="demo"))
