"""One rental, from the scanned label to the released deposit, as steps of the people in it.

A step is done through what its people hold: a phone, a bank, the provider's page. It ends when
whoever waits for it has seen it, and gives the facts that its sentence in :mod:`words` needs.
A step that has a state begins there, so a rental that an earlier demo left half done goes on
with the step that it stands before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from backend.demo import checkout, words
from backend.demo.city import City, Said, Shop
from backend.demo.client import App, Person, Refused
from backend.demo.hands import Hands
from backend.domain.geo import Point, distance_m
from backend.domain.money import Currency, Minor, show

Facts = dict[str, object]
Place = tuple[Said, float, float]
"""Address, latitude, longitude."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who is in a story, and where."""

    app: App
    city: City
    hands: Hands
    renter: Person
    shop: Shop
    """Whose bank is rented; one that goes on may be another's."""
    here: Place
    there: Place


@dataclass(slots=True, kw_only=True)
class Tale:
    """A story under way."""

    cast: Cast
    shop: Shop
    bank_id: str = ""
    qr_url: str = ""
    rental_id: str = ""
    asked_s: float = 0.0
    """When the renter asked, on the loop's clock."""

    @property
    def names(self) -> Facts:
        """What every step's title may name."""
        return {
            "renter": self.cast.renter.name,
            "owner": self.shop.owner.name,
            "staff": self.shop.staff.name,
            "bank": self.bank_id,
        }

    async def rental(self) -> dict[str, Any]:
        """The rental, as its renter sees it."""
        return await self.cast.renter.get(f"/rentals/{self.rental_id}")

    async def reaches(self, state: str) -> dict[str, Any]:
        """Wait until the rental is in a state."""
        return await self.cast.app.until(self.rental, lambda seen: bool(seen["state"] == state))

    async def job(self, kind: str) -> dict[str, Any]:
        """The staff's job of a kind in this rental."""
        for job in (await self.shop.staff.get("/staff/jobs"))["items"]:
            if (job["rental_id"], job["kind"]) == (self.rental_id, kind):
                return dict(job)
        raise Refused(words.say("no_job", self.cast.app.lang, staff=self.shop.staff.name))

    async def work(self, kind: str, act: str, **body: object) -> None:
        """Have the staff do something in their job."""
        job = await self.job(kind)
        await self.shop.staff.post(f"/staff/jobs/{job['id']}/{act}", body or None)

    async def bank_did(self, kind: str) -> dict[str, Any]:
        """Wait until the bank itself has acted on a command of a kind, whatever is said of it."""

        def has_done(seen: dict[str, Any]) -> bool:
            return bool(seen["acts"]) and seen["acts"][-1]["kind"] == kind

        return await self.cast.app.until(lambda: self.cast.hands.look(self.bank_id), has_done)

    async def pay(self, payment: Mapping[str, Any]) -> None:
        """Follow a payment to the provider's page, and say yes there."""
        path, renter = f"/payments/{payment['id']}", self.cast.renter
        with_page = await self.cast.app.until(
            lambda: renter.get(path), lambda seen: bool(seen["pay_url"])
        )
        await checkout.pay(self.cast.app, with_page["pay_url"])


class Teller(Protocol):
    """Whoever tells the story to people."""

    def begins(self, number: int, title: str) -> None:
        """A step begins."""
        ...

    def ends(self, outcome: str) -> None:
        """It has ended well."""
        ...

    async def pause(self, step: str) -> None:
        """Give people time to read."""
        ...


class StepFailed(Exception):  # noqa: N818 - named as what it is
    """A step failed; the text says which one and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step."""

    name: str
    act: Callable[[Tale], Awaitable[Facts]]
    at: str | None = None
    """The state that a rental is in when this is what comes next."""


async def play(cast: Cast, teller: Teller) -> dict[str, Any]:
    """Play a story to its end; the rental as it then is.

    Raises:
        StepFailed: the platform refused something, or something did not happen.
    """
    tale, lang = Tale(cast=cast, shop=cast.shop), cast.app.lang
    at = await _pick_up(tale)
    for number, step in enumerate(STEPS[at:], at + 1):
        title = words.title(step.name, lang, tale.names)
        teller.begins(number, title)
        try:
            facts = await step.act(tale)
        except Refused as why:
            sentence = words.say("failed", lang, number=number, step=title, why=why)
            raise StepFailed(sentence) from why
        teller.ends(words.outcome(step.name, lang, {**tale.names, **facts}))
        await teller.pause(step.name)
    return await tale.rental()


async def _pick_up(tale: Tale) -> int:
    """Find the rental to go on with, or a bank to begin with; which step comes next."""
    cast = tale.cast
    places = {step.at: place for place, step in enumerate(STEPS) if step.at is not None}
    try:
        for rental in (await cast.renter.get("/rentals"))["items"]:
            if rental["state"] in places:
                tale.rental_id = rental["id"]
                tale.shop = next(s for s in cast.city.shops if s.id == rental["merchant"]["id"])
                await _take_bank(tale, bank_id=rental["bank"]["id"])
                return places[rental["state"]]
        await _take_bank(tale)
    except Refused as why:
        raise StepFailed(words.say("not_ready", cast.app.lang, why=why)) from why
    return 0


async def _take_bank(tale: Tale, bank_id: str | None = None) -> None:
    """Find this bank of the shop, or the first that is for rent."""
    for bank in await tale.shop.stock():
        if bank["id"] == bank_id or (bank_id is None and bank["rentable"]):
            tale.bank_id, tale.qr_url = bank["id"], bank["qr_url"]
            return
    raise Refused(words.say("none_for_rent", tale.cast.app.lang))


# -- the steps ------------------------------------------------------------------------------


async def _look(tale: Tale) -> Facts:
    lang, (_, lat, lng) = tale.cast.app.lang, tale.cast.here
    token = tale.qr_url.rpartition("/")[2]
    offer = await tale.cast.renter.get(f"/qr/{token}", lat=lat, lng=lng)
    if not offer["rentable"]:
        raise Refused(", ".join(why["text"] for why in offer["why_not"]))
    terms = offer["tariff"]
    return {
        "shop": offer["merchant"]["name"],
        "battery": offer["bank"]["state"]["battery_pct"],
        "price": money(terms["block_price_minor"], terms["currency"]),
        "block": words.say("minutes", lang, n=terms["block_s"] // 60),
    }


async def _ask(tale: Tale) -> Facts:
    tale.asked_s = asyncio.get_running_loop().time()
    place = _place(tale, tale.cast.here)
    rental = await tale.cast.renter.post("/rentals", {"qr_token": tale.qr_url, **place})
    tale.rental_id = rental["id"]
    shop = Point(lat=rental["merchant"]["lat"], lng=rental["merchant"]["lng"])
    _, lat, lng = tale.cast.here
    return {
        "place": place["address"],
        "distance": distance_m(shop, Point(lat=lat, lng=lng)),
    }


async def _hear(tale: Tale) -> Facts:
    heard = [
        await person.hears("rental.requested", rental_id=tale.rental_id)
        for person in (tale.shop.owner, tale.shop.staff)
    ]
    last_s = max(news.heard_s for news in heard)
    return {"ms": round(1_000 * (last_s - tale.asked_s))}


async def _accept(tale: Tale) -> Facts:
    await tale.work("delivery", "accept")
    await tale.cast.renter.hears("rental.accepted", rental_id=tale.rental_id)
    return {}


async def _set_out(tale: Tale) -> Facts:
    await tale.work("delivery", "set-out", qr_token=tale.qr_url)
    return {}


async def _hand_over(tale: Tale) -> Facts:
    code = (await tale.rental())["code"]
    await tale.work("delivery", "hand-over", code=code)
    return {"code": code}


async def _notice(tale: Tale) -> Facts:
    body = {"qr_token": tale.qr_url}
    notice = await tale.cast.renter.post(f"/rentals/{tale.rental_id}/scan", body)
    return {"deposit": money(notice["amount_minor"], notice["currency"])}


async def _deposit(tale: Tale) -> Facts:
    path = f"/rentals/{tale.rental_id}/deposit"
    await tale.pay(await tale.cast.renter.post(path, {"accepted_disclosure": True}))
    seen = await tale.cast.app.until(tale.rental, lambda rental: _deposit_is(rental, "held"))
    return {"deposit": money(seen["deposit"]["amount_minor"], seen["currency"])}


async def _command(tale: Tale) -> Facts:
    await tale.bank_did("charge_start")
    return {}


async def _confirm(tale: Tale) -> Facts:
    seen = await tale.reaches("renting")
    await tale.cast.renter.hears("rental.renting", rental_id=tale.rental_id)
    return {"at": clock(seen["confirmed_at"])}


async def _plug(tale: Tale) -> Facts:
    await tale.cast.hands.do(tale.bank_id, "plug")
    seen = await tale.cast.app.until(tale.rental, lambda rental: bool(rental["billing_start_at"]))
    return {"at": clock(seen["billing_start_at"])}


async def _running(tale: Tale) -> Facts:
    """The first whole second is the first that costs anything: wait for it."""
    seen = await tale.cast.app.until(tale.rental, lambda rental: rental["duration_s"] >= 1)
    terms, currency = seen["tariff"], seen["currency"]
    blocks = sum(line["amount_minor"] for line in seen["lines"] if line["kind"] == "blocks")
    return {
        "amount": money(seen["amount_minor"], currency),
        "block": words.say("minutes", tale.cast.app.lang, n=terms["block_s"] // 60),
        "blocks": money(blocks, currency),
        "delivery": money(terms["delivery_fee_minor"], currency),
    }


async def _give_back(tale: Tale) -> Facts:
    await tale.cast.hands.do(tale.bank_id, "unplug")
    place = _place(tale, tale.cast.there)
    seen = await tale.cast.renter.post(f"/rentals/{tale.rental_id}/return", place)
    await tale.shop.staff.hears("rental.return_requested", rental_id=tale.rental_id)
    return {"place": place["address"], "at": clock(seen["return_requested_at"])}


async def _collect(tale: Tale) -> Facts:
    await tale.bank_did("charge_stop")
    await tale.work("collection", "accept")
    await tale.work("collection", "collect", qr_token=tale.qr_url)
    return {}


async def _bill(tale: Tale) -> Facts:
    seen = await tale.reaches("payment_due")
    return {
        "seconds": seen["duration_s"],
        "amount": money(seen["amount_minor"], seen["currency"]),
    }


async def _pay(tale: Tale) -> Facts:
    await tale.pay(await tale.cast.renter.post(f"/rentals/{tale.rental_id}/payment"))
    await tale.reaches("completed")
    return {}


async def _release(tale: Tale) -> Facts:
    seen = await tale.cast.app.until(tale.rental, lambda rental: _deposit_is(rental, "released"))
    return {"deposit": money(seen["deposit"]["amount_minor"], seen["currency"])}


async def _home(tale: Tale) -> Facts:
    await tale.work("collection", "check-in", qr_token=tale.qr_url)
    return {}


STEPS: Final = (
    Step(name="look", act=_look),
    Step(name="ask", act=_ask),
    Step(name="hear", act=_hear),
    Step(name="accept", act=_accept, at="requested"),
    Step(name="set_out", act=_set_out, at="accepted"),
    Step(name="hand_over", act=_hand_over, at="delivering"),
    Step(name="notice", act=_notice, at="delivered"),
    Step(name="deposit", act=_deposit, at="deposit_due"),
    Step(name="command", act=_command, at="starting"),
    Step(name="confirm", act=_confirm),
    Step(name="plug", act=_plug, at="renting"),
    Step(name="running", act=_running),
    Step(name="give_back", act=_give_back),
    Step(name="collect", act=_collect, at="returning"),
    Step(name="bill", act=_bill, at="payment_due"),
    Step(name="pay", act=_pay),
    Step(name="release", act=_release),
    Step(name="home", act=_home),
)


# -- saying it ------------------------------------------------------------------------------


def money(amount_minor: int, currency: str) -> str:
    """An amount, as people write it."""
    return show(Minor(amount_minor), Currency.of(currency))


def clock(moment: str | datetime) -> str:
    """A time of day, where the reader is."""
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{at.astimezone():%H:%M:%S}"


def _place(tale: Tale, place: Place) -> dict[str, object]:
    said, lat, lng = place
    return {"lat": lat, "lng": lng, "address": said.to(tale.cast.app.lang)}


def _deposit_is(rental: Mapping[str, Any], state: str) -> bool:
    return rental["deposit"] is not None and rental["deposit"]["state"] == state
