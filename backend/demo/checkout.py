"""Paying as a person does: open the provider's page, press its button."""

from html.parser import HTMLParser
from urllib.parse import urljoin

from backend.demo import words
from backend.demo.client import App, Refused


async def pay(app: App, url: str) -> None:
    """Say yes on the provider's page.

    Raises:
        Refused: there is no such page, or no form on it.
    """
    language = {"accept-language": app.lang}
    shown = await app.ask("GET", url, headers=language)
    form = _Form.on(shown.text)
    if shown.is_error or not form.fields:
        raise Refused(words.say("no_form", app.lang, url=url))
    answered = await app.ask(
        "POST",
        urljoin(url, form.action),
        data={**form.fields, "action": "pay"},
        headers=language,
        follow_redirects=True,
    )
    if answered.is_error:
        raise Refused(words.say("no_form", app.lang, url=url))


class _Form(HTMLParser):
    """The form of a page: where it goes, and its hidden fields."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}

    @classmethod
    def on(cls, page: str) -> "_Form":
        form = cls()
        form.feed(page)
        return form

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = given.get("action", "")
        elif tag == "input" and given.get("type") == "hidden":
            self.fields[given["name"]] = given["value"]
