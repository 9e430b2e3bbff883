"""People, shops and banks of one city, each seen through the public surface alone."""

import itertools
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import urljoin

import httpx

from tests.acceptance import clock
from tests.acceptance.processes import BOUND_S, until
from tests.acceptance.stream import Stream, listening
from tests.acceptance.system import OPERATOR, Platform, Simulator

SHOP: Final = {"lat": 31.2304, "lng": 121.4737, "address": "人民大道 200 號"}
HERE: Final = {"lat": 31.2312, "lng": 121.4751, "address": "南京東路 1 號 3 樓"}
_DEGREE_M: Final = 111_195
"""Metres of one degree of latitude."""
THERE: Final = {"lat": 31.2287, "lng": 121.4702, "address": "淮海中路 99 號 B1"}
TERMS: Final[dict[str, Any]] = {
    "free_s": 0,
    "block_s": 900,
    "block_price_minor": 100,
    "cap_24h_minor": 3000,
    "cap_total_minor": 9900,
    "delivery_fee_minor": 500,
    "deposit_minor": 9900,
    "billing_start": "unlocked",
    "rounding": "ceil",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody signed in on a phone."""

    http: httpx.Client
    api: str
    phone: str
    token: str
    refresh_token: str

    def headers(self, lang: str = "en") -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}", "accept-language": lang}

    def get(self, path: str, *, lang: str = "en", **query: Any) -> httpx.Response:
        return self.http.get(f"{self.api}{path}", params=query, headers=self.headers(lang))

    def post(
        self, path: str, body: Any = None, *, key: str = "", lang: str = "en"
    ) -> httpx.Response:
        headers = {**self.headers(lang), "idempotency-key": key or f"key-{next(_NUMBERS)}"}
        return self.http.post(f"{self.api}{path}", json=body, headers=headers)

    def sees(self, path: str, **query: Any) -> dict[str, Any]:
        """Get, and expect a yes."""
        answer = self.get(path, **query)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def does(self, path: str, body: Any = None) -> dict[str, Any]:
        """Post, and expect a yes."""
        answer = self.post(path, body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def refused(self, path: str, body: Any = None) -> dict[str, Any]:
        """Post, and expect a no, told as a problem."""
        return problem(self.post(path, body))

    def listening(self, *, after: str = "") -> AbstractContextManager[Stream]:
        """This person's live events: from now on, or all that came after one that was heard."""
        resumes = {"last-event-id": after} if after else {}
        return listening(self.http, f"{self.api}/stream", {**self.headers(), **resumes})

    @property
    def id(self) -> str:
        return str(self.sees("/me")["id"])

    def jobs(self, rental_id: str) -> list[dict[str, Any]]:
        """What this person may do, or has in hand, for a rental."""
        jobs = self.sees("/staff/jobs")["items"]
        return [job for job in jobs if job["rental_id"] == rental_id]


def problem(answer: httpx.Response) -> dict[str, Any]:
    """The problem details (RFC 9457) of a refusal."""
    assert answer.is_client_error, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = dict(answer.json())
    assert told["status"] == answer.status_code
    return told


def moment(told: dict[str, Any], name: str) -> datetime:
    """A time that an answer tells."""
    return datetime.fromisoformat(told[name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """What a merchant was given for a bank: its credential, where it connects, its label."""

    id: str
    secret: str
    host: str
    port: int
    label: str
    """What the QR code says."""

    @classmethod
    def of(cls, made: dict[str, Any]) -> "Bank":
        return cls(
            id=made["bank"]["id"],
            secret=made["secret"],
            host=made["mqtt"]["host"],
            port=made["mqtt"]["port"],
            label=made["qr_url"],
        )

    @property
    def token(self) -> str:
        return self.label.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """An approved merchant: an owner, one member of staff, and a price."""

    id: str
    owner: Person
    staff: Person

    def report(self, bank_id: str, model: str = "LW-10K-A") -> Bank:
        body = {"bank_id": bank_id, "model": model}
        return Bank.of(self.owner.does(f"/merchants/{self.id}/banks", body))

    def orders(self, name: str) -> dict[str, Any]:
        """A page of one of the merchant's lists, with the fields that this list is for."""
        return self.owner.sees(f"/merchants/{self.id}/orders", list=name)

    def settlement(self) -> dict[str, Any]:
        return self.owner.sees(f"/merchants/{self.id}/settlement")

    def score(self, lang: str = "en") -> dict[str, Any]:
        return dict(self.owner.get(f"/merchants/{self.id}/score", lang=lang).json())

    def rentals(self, state: str) -> list[dict[str, Any]]:
        """One of the merchant's lists."""
        return list(self.owner.sees(f"/merchants/{self.id}/rentals", state=state)["items"])

    def stock(self, bank: Bank) -> dict[str, Any]:
        """A bank, as its merchant sees it."""
        items = self.owner.sees(f"/merchants/{self.id}/banks")["items"]
        return dict(next(item for item in items if item["id"] == bank.id))

    def totals(self) -> dict[str, int]:
        return dict(self.owner.sees(f"/merchants/{self.id}/banks")["totals"])


_NUMBERS: Final = itertools.count(1)
"""Of people, banks, keys: no two alike in one process, whichever platform they are on."""
_TOWNS: Final = itertools.count(1)


def new_town() -> dict[str, Any]:
    """A door in a town where there is no shop yet, and where none of another town comes."""
    return {**HERE, "lng": HERE["lng"] - next(_TOWNS) / 4}


def away(metres: int, door: dict[str, Any]) -> dict[str, Any]:
    """A place so far north of a door."""
    return {**door, "lat": door["lat"] + metres / _DEGREE_M, "address": f"{metres} m"}


class City:
    """One platform, one fleet of simulated banks, and everybody in between."""

    def __init__(self, platform: Platform, simulator: Simulator) -> None:
        self.platform = platform
        self.simulator = simulator
        self._forward = timedelta(0)
        self._http = httpx.Client(timeout=BOUND_S)
        self.operator = self.person(OPERATOR)

    def close(self) -> None:
        self._http.close()

    # -- time

    def now(self) -> datetime:
        """What time it is on this platform."""
        return clock.now() + self._forward

    def turn(self, by: timedelta, *, heard: Iterable["Bank"] = ()) -> None:
        """Turn the platform's clock forward.

        Args:
            by: how far; sign-ins outlive all the turns of a test.
            heard: banks that start anew after it, and say how they are: their words are old now.
        """
        self.operator = self.again(self.operator)
        body = {"forward_s": max(1, round(by.total_seconds()))}
        turned_at = datetime.fromisoformat(self.operator.does("/demo/clock", body)["now"])
        self._forward = turned_at - clock.now()
        for bank in heard:
            self.simulator.do(bank.id, "reboot")
        for bank in heard:
            until(lambda b=bank: self._told_at(b) >= turned_at, what=f"{bank.id} is heard again")

    def turn_past(self, at: datetime, *, heard: Iterable["Bank"] = ()) -> None:
        """Turn the clock past a moment, so that banks have only just been heard when it comes."""
        self.turn(at - self.now() - timedelta(seconds=90), heard=heard)
        self.turn(at - self.now() + timedelta(seconds=1))

    def _told_at(self, bank: "Bank") -> datetime:
        return moment(self.offer(bank)["bank"]["state"], "told_at")

    # -- people

    def person(self, phone: str = "") -> Person:
        """Somebody new, or the person with this phone, signed in with a one-time code."""
        phone = phone or f"+86139{next(_NUMBERS):08}"
        api = self.platform.api
        asked = self._http.post(f"{api}/auth/codes", json={"phone": phone})
        assert asked.status_code == 202, asked.text
        body = {"phone": phone, "code": asked.json()["demo_code"]}
        return self._signed_in(phone, self._http.post(f"{api}/auth/tokens", json=body))

    def again(self, person: Person) -> Person:
        """The same device, its sign-in drawn out: codes are counted by the hour."""
        body = {"refresh_token": person.refresh_token}
        return self._signed_in(
            person.phone, self._http.post(f"{person.api}/auth/refresh", json=body)
        )

    def _signed_in(self, phone: str, answer: httpx.Response) -> Person:
        assert answer.status_code == 200, answer.text
        told = answer.json()
        return Person(
            http=self._http,
            api=self.platform.api,
            phone=phone,
            token=told["access_token"],
            refresh_token=told["refresh_token"],
        )

    def stranger(self, path: str, **query: Any) -> httpx.Response:
        """What somebody gets who is not signed in."""
        return self._http.get(f"{self.platform.api}{path}", params=query)

    def merchant(self, owner: Person, *, at: dict[str, Any] = SHOP) -> str:
        """Register as a merchant; nobody has approved it yet."""
        body = {
            "name": f"阿明的充電寶 {next(_NUMBERS)}",
            "timezone": "Asia/Shanghai",
            "currency": "CNY",
            "service_radius_m": 3000,
            **at,
        }
        return str(owner.does("/merchants", body)["id"])

    def shop(self, owner: Person | None = None, *, at: dict[str, Any] = SHOP, **terms: Any) -> Shop:
        """A merchant that may lend, on these terms."""
        owner, staff = owner or self.person(), self.person()
        merchant_id = self.merchant(owner, at=at)
        self.operator.does(f"/operator/merchants/{merchant_id}/approve", {"reason": "papers seen"})
        owner.does(f"/merchants/{merchant_id}/tariffs", {**TERMS, **terms})
        owner.does(f"/merchants/{merchant_id}/staff", {"phone": staff.phone, "name": "小王"})
        return Shop(id=merchant_id, owner=owner, staff=staff)

    # -- banks

    def new_bank_id(self) -> str:
        return f"LW-{next(_NUMBERS):06}"

    def bank(self, shop: Shop, *, battery: int = 90, **more: object) -> Bank:
        """A bank of this shop, reported, made by the simulator, connected, and for rent."""
        bank = shop.report(self.new_bank_id())
        self.switch_on(bank, battery=battery, **more)
        until(lambda: self.offer(bank)["rentable"], what=f"{bank.id} is for rent")
        return bank

    def switch_on(self, bank: Bank, **more: object) -> None:
        """Have the simulator be this bank, with the credential that its merchant was given."""
        self.simulator.add(bank_id=bank.id, secret=bank.secret, port=bank.port, **more)

    def offer(self, bank: Bank) -> dict[str, Any]:
        """What anybody sees who scans a bank."""
        answer = self.stranger(f"/qr/{bank.token}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    # -- money

    def answer(self, pay_url: str, *, action: str = "pay", lang: str = "zh") -> str:
        """Open the provider's page as a browser does, and press a button; the page after it."""
        shown = self._http.get(pay_url, headers={"accept-language": lang})
        assert shown.status_code == 200, shown.text
        form = _Form.on(shown.text)
        answered = self._http.post(
            urljoin(pay_url, form.action),
            data={**form.fields, "action": action},
            follow_redirects=True,
        )
        assert answered.status_code == 200, answered.text
        return answered.text

    # -- rentals

    def rental(
        self,
        shop: Shop,
        bank: Bank | None = None,
        renter: Person | None = None,
        *,
        door: dict[str, Any] = HERE,
    ) -> "Rental":
        """Somebody asks for a bank to be brought to their door."""
        bank, renter = bank or self.bank(shop), renter or self.person()
        asked = renter.does("/rentals", {"qr_token": bank.label, **door})
        return Rental(city=self, shop=shop, bank=bank, renter=renter, id=asked["id"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rental:
    """One rental, and the hands of the people who take it from step to step."""

    city: City
    shop: Shop
    bank: Bank
    renter: Person
    id: str

    def now(self) -> dict[str, Any]:
        """As its renter sees it."""
        return self.renter.sees(f"/rentals/{self.id}")

    def reaches(self, state: str) -> dict[str, Any]:
        """Wait until it is in a state; then as its renter sees it."""
        until(lambda: self.now()["state"] == state, what=f"{self.id} is {state}")
        return self.now()

    def staff_does(self, kind: str, verb: str, **body: Any) -> dict[str, Any]:
        """Staff work on the delivery or the collection of this rental."""
        job = next(job for job in self.shop.staff.jobs(self.id) if job["kind"] == kind)
        return self.shop.staff.does(f"/staff/jobs/{job['id']}/{verb}", body or None)

    def delivery(self) -> dict[str, Any]:
        """As its renter follows it."""
        return self.renter.sees(f"/rentals/{self.id}/delivery")

    def brought_by(self, shop: Shop, bank: Bank) -> "Rental":
        """The same rental, once another shop's people have it in hand."""
        return replace(self, shop=shop, bank=bank)

    def take_along(self) -> "Rental":
        """Accepted, and on the way with the bank."""
        self.staff_does("delivery", "accept")
        self.staff_does("delivery", "set-out", qr_token=self.bank.label)
        return self

    def bring(self) -> "Rental":
        """Accepted, taken along, and handed over on the renter's code."""
        self.take_along()
        self.staff_does("delivery", "hand-over", code=self.now()["code"])
        return self

    def scan(self) -> dict[str, Any]:
        """The renter scans to charge; the deposit notice."""
        return self.renter.does(f"/rentals/{self.id}/scan", {"qr_token": self.bank.label})

    def accept_notice(self) -> str:
        """The renter accepts the deposit notice; the provider's page to pay on."""
        self.scan()
        body = {"accepted_disclosure": True}
        return self._page_of(self.renter.does(f"/rentals/{self.id}/deposit", body))

    def start(self) -> "Rental":
        """Brought, scanned, the deposit paid, and charging."""
        self.bring()
        self.city.answer(self.accept_notice())
        self.reaches("renting")
        return self

    def ask_return(self) -> dict[str, Any]:
        return self.renter.does(f"/rentals/{self.id}/return", THERE)

    def collect(self) -> "Rental":
        """Staff come for it, and scan it."""
        self.staff_does("collection", "accept")
        self.staff_does("collection", "collect", qr_token=self.bank.label)
        return self

    def ask_bill(self) -> str:
        """The renter wants to pay; the provider's page to pay on."""
        return self._page_of(self.renter.does(f"/rentals/{self.id}/payment"))

    def complete(self) -> "Rental":
        """Returned, collected and paid."""
        self.ask_return()
        self.collect()
        self.city.answer(self.ask_bill())
        self.reaches("completed")
        return self

    def payment(self, payment_id: str) -> dict[str, Any]:
        return self.renter.sees(f"/payments/{payment_id}")

    def _page_of(self, payment: dict[str, Any]) -> str:
        def page() -> str | None:
            url: str | None = self.payment(payment["id"])["pay_url"]
            return url

        return str(until(page, what="the provider has a page for the payment"))


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
        assert form.fields, page
        return form

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = given["action"]
        elif tag == "input" and given.get("type") == "hidden":
            self.fields[given["name"]] = given["value"]
