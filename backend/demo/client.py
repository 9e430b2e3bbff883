"""An app's side of the platform: people signed in over HTTP, and the news that they hear."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, Self, TypeVar

import httpx

from backend import ids
from backend.demo import words
from backend.domain.lang import Lang

WAIT_S: Final = 15.0
"""How long anything may take before it counts as not happening."""
LOOK_EVERY_S: Final = 0.05
BUSY_TRIES: Final = 4
BUSY_PAUSE_S: Final = 0.5
RENEW_BEFORE_S: Final = 60
KEPT_NEWS: Final = 200
"""What a person remembers of the news."""

T = TypeVar("T")


class Refused(Exception):  # noqa: N818 - named as what it is
    """The platform said no, or nothing at all; the text says why, in the reader's language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One event of a person's stream."""

    kind: str
    at: datetime
    data: dict[str, Any]
    heard_s: float
    """On the loop's clock."""


class App:
    """The way to the platform that everybody shares."""

    def __init__(self, http: httpx.AsyncClient, *, api: str, lang: Lang) -> None:
        self.http = http
        self.api = api
        self.lang = lang

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: object = None,
        query: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Ask, again a few times while the platform is busy, and expect a yes.

        Raises:
            Refused: the platform's own words.
        """
        headers = {"accept-language": self.lang, "idempotency-key": ids.new_id()}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        url, tries_left = f"{self.api}{path}", BUSY_TRIES
        while True:
            answer = await self.ask(method, url, json=body, params=query, headers=headers)
            tries_left -= 1
            if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE or not tries_left:
                break
            await asyncio.sleep(BUSY_PAUSE_S)
        if answer.is_error:
            raise Refused(_why(answer))
        return dict(answer.json())

    async def ask(self, method: str, url: str, **more: Any) -> httpx.Response:
        """Ask anybody, and take any answer.

        Raises:
            Refused: there was none.
        """
        try:
            return await self.http.request(method, url, **more)
        except httpx.HTTPError as away:
            raise Refused(
                words.say(
                    "no_answer",
                    self.lang,
                    who=httpx.URL(url).netloc.decode(),
                    why=str(away) or type(away).__name__,
                )
            ) from away

    async def until(
        self,
        look: Callable[[], Awaitable[T]],
        holds: Callable[[T], bool],
        *,
        within_s: float = WAIT_S,
    ) -> T:
        """Look again and again until it holds.

        Raises:
            Refused: not within the bound.
        """
        try:
            async with asyncio.timeout(within_s):
                while not holds(seen := await look()):  # noqa: ASYNC110 - what it waits for is remote
                    await asyncio.sleep(LOOK_EVERY_S)
                return seen
        except TimeoutError as late:
            raise Refused(words.say("late", self.lang, seconds=f"{within_s:.0f}")) from late


def _why(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        return f"{problem['title']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.request.method} {answer.url} → {answer.status_code}"


class Person:
    """Somebody signed in on a phone."""

    def __init__(self, app: App, *, name: str, phone: str) -> None:
        self.app = app
        self.name = name
        self.phone = phone
        self.on_news: Callable[[Person, News], None] = lambda _who, _news: None
        self._tokens: dict[str, Any] = {}
        self._good_until_s = 0.0
        self._renewing = asyncio.Lock()
        self._heard: deque[News] = deque(maxlen=KEPT_NEWS)
        self._changed = asyncio.Condition()
        self._place = 0

    @classmethod
    async def signed_in(cls, app: App, *, name: str, phone: str) -> Self:
        """Sign in with a one-time code, which a demo tells in its answer."""
        person = cls(app, name=name, phone=phone)
        asked = await app.call("POST", "/auth/codes", body={"phone": phone})
        code = {"phone": phone, "code": asked["demo_code"]}
        person._keep(await app.call("POST", "/auth/tokens", body=code))
        person._place = (await person.get("/me"))["last_event_id"]
        return person

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Read."""
        return await self.app.call("GET", path, token=await self._token(), query=query)

    async def post(self, path: str, body: object = None) -> dict[str, Any]:
        """Do."""
        return await self.app.call("POST", path, token=await self._token(), body=body)

    # -- the news

    async def listen(self) -> None:
        """Hear this person's events for ever; a stream that ends is opened again, in its place."""
        while True:
            try:
                async for news in self._stream():
                    await self._take(news)
            except (httpx.HTTPError, Refused):
                await asyncio.sleep(BUSY_PAUSE_S)

    async def hears(self, kind: str, *, rental_id: str) -> News:
        """Wait for an event about a rental.

        Raises:
            Refused: it was not heard within the bound.
        """

        def found() -> News | None:
            fits = (
                n for n in self._heard if (n.kind, n.data.get("rental_id")) == (kind, rental_id)
            )
            return next(fits, None)

        try:
            async with asyncio.timeout(WAIT_S), self._changed:
                await self._changed.wait_for(lambda: found() is not None)
        except TimeoutError as late:
            raise Refused(
                words.say(
                    "unheard", self.app.lang, who=self.name, kind=kind, seconds=f"{WAIT_S:.0f}"
                )
            ) from late
        news = found()
        assert news is not None  # noqa: S101 - as waited for
        return news

    async def _stream(self) -> AsyncIterator[News]:
        headers = {
            "authorization": f"Bearer {await self._token()}",
            "last-event-id": str(self._place),
        }
        timeout = httpx.Timeout(WAIT_S, read=None)
        url = f"{self.app.api}/stream"
        async with self.app.http.stream("GET", url, headers=headers, timeout=timeout) as response:
            response.raise_for_status()
            async for fields in _events(response.aiter_lines()):
                self._place = int(fields["id"])
                data = json.loads(fields["data"])
                if "at" in data:  # the hello tells no time
                    yield News(
                        kind=fields["event"],
                        at=datetime.fromisoformat(data["at"]),
                        data=data,
                        heard_s=asyncio.get_running_loop().time(),
                    )

    async def _take(self, news: News) -> None:
        async with self._changed:
            self._heard.append(news)
            self._changed.notify_all()
        self.on_news(self, news)

    # -- staying signed in

    async def _token(self) -> str:
        async with self._renewing:
            if asyncio.get_running_loop().time() > self._good_until_s:
                old = {"refresh_token": self._tokens["refresh_token"]}
                self._keep(await self.app.call("POST", "/auth/refresh", body=old))
            return str(self._tokens["access_token"])

    def _keep(self, tokens: dict[str, Any]) -> None:
        self._tokens = tokens
        now_s = asyncio.get_running_loop().time()
        self._good_until_s = now_s + tokens["expires_in"] - RENEW_BEFORE_S


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, str]]:
    """The events of a stream of Server-Sent Events, as their fields; comments are left out."""
    fields: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(":")
        if name:
            fields[name] = value.removeprefix(" ")
        elif not line:
            if "event" in fields:
                yield fields
            fields = {}
