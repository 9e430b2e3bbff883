"""The scene as a terminal shows it: one screen of 100 by 30 or more, or plain lines.

Pure: a scene goes in, text comes out. Whoever has a screen draws it again a few times a second.
"""

from collections.abc import Iterable
from typing import Final

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.layout import Layout
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from backend.demo import words
from backend.demo.scene import BankLine, Links, Mood, NewsLine, Receipt, Scene, StepLine
from backend.demo.story import clock
from backend.domain.lang import Lang

WIDTH: Final = 100
HEIGHT: Final = 30
"""The least that the screen needs; with less, plain lines are better."""
TABLE_WIDTH: Final = 60
BANK_ROWS: Final = 20
_COLUMNS: Final = {
    "bank": 6,
    "merchant": 8,
    "battery": 6,
    "lock": 6,
    "output": 4,
    "plugged": 4,
    "presence": 8,
    "where": 11,
}
_LOW_PCT: Final = 50
_FLAT_PCT: Final = 20
_TITLE: Final = "bold cyan"
_MARKS: Final = {
    Mood.NOW: ("▸", "bold yellow"),
    Mood.DONE: ("✓", "green"),
    Mood.FAILED: ("✗", "bold red"),
}
_PRESENCE: Final = {"online": "green", "degraded": "yellow", "offline": "red"}
_WHERE: Final = {"for_rent": "green", "low": "red", "offline": "red", "not_now": "dim"}


# -- the screen -----------------------------------------------------------------------------


def screen(scene: Scene) -> RenderableType:
    """All of it: a title, the story beside the banks, the news or the links, a last line."""
    root = Layout()
    body = Layout(name="body", size=BANK_ROWS + 2)
    left = Layout(Padding(_Left(scene), (0, 2, 0, 1)), name="left")
    body.split_row(left, Layout(banks(scene), name="banks", size=TABLE_WIDTH))
    root.split_column(
        Layout(_head(scene), size=2),
        body,
        Layout(_below(scene), name="below"),
        Layout(_foot(scene), size=1),
    )
    return root


def _head(scene: Scene) -> RenderableType:
    line = Text(" ", no_wrap=True)
    line.append(words.say("title", scene.lang), style="bold")
    line.append(f"   {scene.below}", style="dim")
    return Group(line, Rule(style="dim"))


def _foot(scene: Scene) -> RenderableType:
    line = Text(" ", no_wrap=True)
    line.append(words.say("quit", scene.lang), style="bold")
    line.append(f"   {scene.hint}", style="dim")
    return line


def _below(scene: Scene) -> RenderableType:
    if scene.links is None:
        return _News(scene)
    return Padding(Group(*links(scene.links)), (0, 0, 0, 1))


class _Left:
    """The story, as much of its end as there is room for; after it, the receipt and the news."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or BANK_ROWS
        scene = self._scene
        if scene.receipt is None:
            title = words.say("story", scene.lang)
            yield _heading(f"{title}  {len(scene.steps)}/{scene.steps_in_all}")
            if scene.steps:
                yield Group(*_told(scene, console, width=width, room=height - 1))
            return
        slip = list(receipt(scene.receipt, width=width))
        yield _heading(words.say("receipt", scene.lang))
        yield Group(*slip)
        yield Text()
        yield _heading(words.say("news", scene.lang))
        yield Group(*_heard(scene, room=height - len(slip) - 3))


class _News:
    """The latest news, as many as there is room for."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        del console
        title = Text(f" {words.say('news', self._scene.lang)}", style=_TITLE)
        yield Rule(title, align="left", style="dim")
        yield Group(*_heard(self._scene, room=(options.height or 5) - 1, is_wide=True))


def _heading(text: str) -> Text:
    return Text(text, style=_TITLE, no_wrap=True)


def _told(scene: Scene, console: Console, *, width: int, room: int) -> list[Text]:
    """The steps, in so many lines: what came of the older ones is left out, then they are."""
    steps = [_wrapped(s, console, width, is_last=s is scene.steps[-1]) for s in scene.steps]
    lines: list[Text] = []
    for told_short in range(len(steps)):
        lines = [
            line
            for at, (titles, outcomes) in enumerate(steps)
            for line in (titles if at < told_short else titles + outcomes)
        ]
        if len(lines) <= room:
            break
    return lines[-room:]


def _wrapped(
    step: StepLine, console: Console, width: int, *, is_last: bool
) -> tuple[list[Text], list[Text]]:
    mark, style = _MARKS[step.mood]
    title = Text(step.title, style="bold" if is_last else "").wrap(console, width - 5)
    outcome = Text(step.outcome, style="cyan" if is_last else "dim").wrap(console, width - 5)
    first = Text.assemble((f"{step.number:>2} ", "dim"), (f"{mark} ", style), title[0])
    rest, told = ([Text.assemble("     ", line) for line in part] for part in (title[1:], outcome))
    return [first, *rest], told if step.outcome else []


def _heard(scene: Scene, *, room: int, is_wide: bool = False) -> list[Text]:
    return [_news(line, scene.lang, is_wide=is_wide) for line in list(scene.news)[: max(0, room)]]


def _news(line: NewsLine, lang: Lang, *, is_wide: bool) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f" {clock(line.at)}  " if is_wide else f"{clock(line.at)} ", style="dim")
    text.append(f"{line.about:7} ", style="cyan")
    text.append(words.news(line.kind, lang))
    if is_wide:
        text.append(f"  {line.kind}", style="dim")
    first, *more = line.hearers
    others = "".join(f", {name}" for name in more) if is_wide else f" +{len(more)}" if more else ""
    text.append(f"  → {first}{others}", style="dim")
    return text


# -- the banks ------------------------------------------------------------------------------


def banks(scene: Scene) -> Table:
    """The table of banks."""
    lang = scene.lang
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, pad_edge=False)
    for name, width in _COLUMNS.items():
        table.add_column(words.say(name, lang), width=width, no_wrap=True, header_style="dim")
    table.columns[2].justify = "right"
    shown = scene.banks[:BANK_ROWS]
    hidden = len(scene.banks) - len(shown)
    if hidden:
        shown = shown[:-1]
    for line in shown:
        table.add_row(*_bank(line, lang), style="bold" if line.is_feeding else "")
    if hidden:
        table.add_row("", words.say("more_banks", lang, count=hidden + 1), style="dim")
    return table


def _bank(line: BankLine, lang: Lang) -> tuple[Text, ...]:
    where = Text(words.say(line.where, lang), style=_WHERE.get(line.where, "yellow"))
    if line.battery_pct is None:
        unknown = [Text("·", style="dim") for _ in range(5)]
        return Text(line.id), Text(line.merchant), *unknown, where
    return (
        Text(line.id),
        Text(line.merchant, style="dim"),
        Text(f"{line.battery_pct} %", style=_charge(line.battery_pct)),
        Text(words.say(line.lock, lang), style="dim" if line.lock == "locked" else "yellow"),
        _switch("on" if line.is_feeding else "off", lang, is_on=line.is_feeding),
        _switch("yes" if line.is_plugged else "no", lang, is_on=line.is_plugged),
        Text(words.say(line.presence, lang), style=_PRESENCE[line.presence]),
        where,
    )


def _switch(word: str, lang: Lang, *, is_on: bool) -> Text:
    return Text(words.say(word, lang), style="bold green" if is_on else "dim")


def _charge(pct: int) -> str:
    if pct < _FLAT_PCT:
        return "bold red"
    return "yellow" if pct < _LOW_PCT else "green"


# -- the end --------------------------------------------------------------------------------


def receipt(slip: Receipt, *, width: int) -> Iterable[Text]:
    """The receipt, as lines no wider than this."""
    named = max(_cells(name) for name, _ in slip.facts)
    for name, fact in slip.facts:
        yield Text.assemble((_padded(name, named + 1), "dim"), fact, no_wrap=True)
    yield Text("─" * width, style="dim")
    for name, amount in slip.lines:
        yield Text(_apart(name, amount, width))
    yield Text("─" * width, style="dim")
    yield Text(_apart(*slip.total, width), style="bold")
    yield Text(slip.deposit, style="green")


def links(found: Links) -> Iterable[Text]:
    """Where to go from here; each on a line of its own, to be copied whole."""
    named = max(_cells(name) for name, _ in found.rows)
    for name, row in found.rows:
        yield Text.assemble((_padded(name, named + 2), "dim"), (row, "cyan"), no_wrap=True)


# -- plain lines ----------------------------------------------------------------------------


def plain_step(step: StepLine, of: int) -> str:
    """A step that ended, as one line."""
    mark = _MARKS[step.mood][0]
    return f"{mark} {step.number:>2}/{of}  {clock(step.at)}  {step.title} · {step.outcome}"


def _padded(text: str, cells: int) -> str:
    return text + " " * (cells - _cells(text))


def _apart(left: str, right: str, width: int) -> str:
    return left + " " * max(1, width - _cells(left) - _cells(right)) + right


def _cells(text: str) -> int:
    return Text(text).cell_len
