"""A person in front of a browser: what they open, type and press, and what they then see."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import segno
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect

from tests.acceptance.city import City
from tests.acceptance.processes import BOUND_S

PHONE: Final = {"width": 390, "height": 844}
DESKTOP: Final = {"width": 1280, "height": 900}
FILM_WIDTH, FILM_HEIGHT = 640, 480
TAGS: Final = {"zh": "zh-TW", "en": "en-GB"}
FOREIGN: Final = """(lang) => {
  // Texts in the other language, but for names and words of people, which stand in <bdi>, and
  // for what is not language: codes, drawings, the name of the other language.
  const theirs = `bdi, code, pre, svg, script, style, .leaflet-container, [translate=no],
    [lang]:not(html)`;
  const foreign = lang === "en" ? /[\u4e00-\u9fff]/ : /[A-Za-z]{2,}(?: [A-Za-z]{2,}){2,}/;
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { data, parentElement } = texts.currentNode;
    if (foreign.test(data) && !parentElement.closest(theirs)) found.push(data.trim());
  }
  for (const each of document.querySelectorAll("[aria-label], [placeholder], [title]")) {
    const said = [each.ariaLabel, each.placeholder, each.title].join(" ");
    if (foreign.test(said) && !each.closest(theirs)) found.push(said.trim());
  }
  return found;
}"""
"""The texts of a page that are in the other language."""
expect.set_options(timeout=BOUND_S * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One browser of one person, with a memory of what went wrong in it."""

    page: Page
    url: str
    lang: str
    wrong: list[str]

    def opens(self, path: str) -> Page:
        """Go to an address of ours."""
        self.page.goto(path if path.startswith("http") else f"{self.url}{path}")
        return self.page

    def t(self, zh: str, en: str) -> str:
        """The reader's of two texts."""
        return zh if self.lang == "zh" else en

    def signs_in(self, phone: str) -> None:
        """Type a phone, then the code that the demonstration tells; the page after it."""
        page = self.page
        if "/sign-in" not in page.url:
            self.opens("/sign-in")
        page.fill("#phone", phone)
        page.click("form[action='/sign-in/code'] button")
        page.fill("#code", page.inner_text("#demo-code"))
        page.click("form[action='/sign-in'] button")
        page.wait_for_url(re.compile(r"^(?!.*sign-in)"))

    def presses(self, zh: str, en: str) -> None:
        """Press the button, or follow the link, of this name."""
        name = self.t(zh, en)
        button = self.page.get_by_role("button", name=name, exact=True)
        link = self.page.get_by_role("link", name=name, exact=True)
        button.or_(link).first.click()

    def sees(self, zh: str, en: str) -> None:
        """Wait until this is to be read."""
        expect(self.page.get_by_text(self.t(zh, en)).first).to_be_visible()

    def is_headed(self, zh: str, en: str) -> None:
        """Wait until the page is about this."""
        expect(self.page.locator("h1")).to_have_text(self.t(zh, en))


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where windows are opened, and pictures of them are kept."""

    chromium: Chromium
    city: City
    pictures: Path | None
    camera: Path

    def holds_before_the_camera(self, text: str) -> None:
        """Have the browser's camera film a label with this text, as a real camera sees it: grey."""
        code = segno.make(text, error="m")
        scale = FILM_HEIGHT // (code.symbol_size(border=6)[1])
        rows = [bytes(row) for row in code.matrix_iter(scale=scale, border=6)]
        side = len(rows)
        left, top = (FILM_WIDTH - side) // 2, (FILM_HEIGHT - side) // 2
        luma = bytearray(b"\xb4" * (FILM_WIDTH * FILM_HEIGHT))
        for y, row in enumerate(rows):
            at = (top + y) * FILM_WIDTH + left
            luma[at : at + side] = bytes(0x28 if dark else 0xDC for dark in row)
        colours = b"\x80" * (FILM_WIDTH * FILM_HEIGHT // 2)
        head = f"YUV4MPEG2 W{FILM_WIDTH} H{FILM_HEIGHT} F10:1 Ip A1:1 C420jpeg\n".encode()
        self.camera.write_bytes(head + (b"FRAME\n" + luma + colours) * 2)

    @contextmanager
    def window(
        self,
        lang: str = "en",
        *,
        size: dict[str, int] = PHONE,
        url: str | None = None,
        **more: Any,
    ) -> Iterator[Window]:
        """Open a window of somebody new to this machine. Nothing may go wrong in it."""
        context = self.chromium.new_context(
            viewport=size,
            locale=TAGS[lang],
            timezone_id="Asia/Shanghai",
            is_mobile=size is PHONE,
            has_touch=size is PHONE,
            device_scale_factor=2 if size is PHONE else 1,
            reduced_motion="reduce",
            **more,
        )
        context.set_default_timeout(BOUND_S * 1000)
        wrong: list[str] = []
        context.on("weberror", lambda error: wrong.append(str(error.error)))
        context.on("console", lambda said: _note(wrong, said))
        page = context.new_page()
        yield Window(page=page, url=url or self.city.platform.url, lang=lang, wrong=wrong)
        assert not wrong, wrong
        context.close()

    def shows(self, window: Window, name: str) -> None:
        """What is seen now is in one language; keep a picture of it, if pictures are wanted."""
        expect(window.page.locator("h1")).to_be_visible()
        foreign = window.page.evaluate(FOREIGN, window.lang)
        assert not foreign, (name, foreign)
        if self.pictures is None:
            return
        size = "phone" if window.page.viewport_size == PHONE else "desktop"
        path = self.pictures / f"{name}-{size}-{window.lang}.png"
        window.page.screenshot(path=path, full_page=True)


def _note(wrong: list[str], said: Any) -> None:
    if said.type == "error" and "status of 4" not in said.text:  # a refusal is no defect
        wrong.append(said.text)
    if "Content Security Policy" in said.text or "Content-Security-Policy" in said.text:
        wrong.append(said.text)
