"""Who and what the demo's city is made of, and how it comes to be on the platform.

Three individual merchants in Shanghai, each with staff, a price and banks: one for each of the
three moments at which a tariff may start the meter. All of it is registered over HTTP, as
anybody would, and what is there already is left as it is, so that a second start goes on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from backend.demo.client import App, Person
from backend.domain.lang import Lang

OPERATOR_PHONE: Final = "+8613000000000"
BANKS: Final = 20
MODEL: Final = "LW-10K-A"
_LEVELS: Final = (92, 78, 85, 64, 97, 71, 34, 88, 59, 81)
"""Charge of new banks, percent, over and over. One is too low to be rented."""


@dataclass(frozen=True, slots=True)
class Said:
    """One name in both languages."""

    zh: str
    en: str

    def to(self, lang: Lang) -> str:
        """As a reader of this language knows it."""
        return self.zh if lang is Lang.ZH else self.en


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A merchant to be."""

    prefix: str
    """Their banks' ids begin with it."""
    name: Said
    owner: Said
    owner_phone: str
    staff: Said
    staff_phone: str
    address: Said
    lat: float
    lng: float
    terms: Mapping[str, object]

    def place(self, lang: Lang) -> dict[str, object]:
        """Where it is, WGS-84."""
        return {"lat": self.lat, "lng": self.lng, "address": self.address.to(lang)}


PLANS: Final = (
    Plan(
        prefix="NJL",
        name=Said("阿明的充電寶", "Ming's Power Banks"),
        owner=Said("阿明", "Ming"),
        owner_phone="+8613000000001",
        staff=Said("小王", "Wang"),
        staff_phone="+8613000000002",
        address=Said("南京東路 299 號", "299 East Nanjing Road"),
        lat=31.2385,
        lng=121.4800,
        # No free minutes and `ceil`: even a rental of seconds has an amount to show.
        terms={
            "free_s": 0,
            "block_s": 900,
            "block_price_minor": 150,
            "cap_24h_minor": 3000,
            "cap_total_minor": 9900,
            "delivery_fee_minor": 300,
            "deposit_minor": 9900,
            "billing_start": "plugged",
            "rounding": "ceil",
        },
    ),
    Plan(
        prefix="YUY",
        name=Said("豫園小陳電站", "Chen at Yu Garden"),
        owner=Said("小陳", "Chen"),
        owner_phone="+8613000000003",
        staff=Said("小李", "Li"),
        staff_phone="+8613000000004",
        address=Said("方浜中路 218 號", "218 Middle Fangbang Road"),
        lat=31.2262,
        lng=121.4896,
        terms={
            "free_s": 300,
            "block_s": 900,
            "block_price_minor": 100,
            "cap_24h_minor": 2400,
            "cap_total_minor": 9900,
            "delivery_fee_minor": 0,
            "deposit_minor": 5000,
            "billing_start": "unlocked",
            "rounding": "floor_after_first",
        },
    ),
    Plan(
        prefix="JAS",
        name=Said("靜安寺電力驛", "Jing'an Power Stop"),
        owner=Said("老顧", "Gu"),
        owner_phone="+8613000000005",
        staff=Said("小趙", "Zhao"),
        staff_phone="+8613000000006",
        address=Said("愚園路 68 號", "68 Yuyuan Road"),
        lat=31.2249,
        lng=121.4437,
        terms={
            "free_s": 0,
            "block_s": 600,
            "block_price_minor": 120,
            "cap_24h_minor": 3600,
            "cap_total_minor": 12000,
            "delivery_fee_minor": 500,
            "deposit_minor": 9900,
            "billing_start": "arrival",
            "rounding": "ceil",
        },
    ),
)
HERE: Final = (Said("南京東路 580 號 3 樓", "580 East Nanjing Road, 3rd floor"), 31.2365, 121.4751)
"""Where the story's renter is."""
THERE: Final = (Said("中山東一路 18 號", "18 The Bund"), 31.2402, 121.4858)
"""Where they give it back."""
RENTER: Final = (Said("林小雨", "Lin"), "+8613000000010")
OTHERS: Final = (
    (Said("周舟", "Zhou"), "+8613000000011"),
    (Said("吳桐", "Wu"), "+8613000000012"),
    (Said("鄭好", "Zheng"), "+8613000000013"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """What a merchant is given for a bank, and how full it is when it is new."""

    id: str
    secret: str
    host: str
    port: int
    qr_url: str
    battery_pct: int

    def spec(self) -> dict[str, object]:
        """The same for the simulator."""
        return {
            "bank_id": self.id,
            "secret": self.secret,
            "host": self.host,
            "port": self.port,
            "model": MODEL,
            "battery": self.battery_pct,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A merchant at work."""

    plan: Plan
    id: str
    owner: Person
    staff: Person
    banks: tuple[Bank, ...]

    async def stock(self) -> list[dict[str, Any]]:
        """Its banks, as it sees them."""
        return list((await self.owner.get(f"/merchants/{self.id}/banks"))["items"])


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """Everybody."""

    shops: tuple[Shop, ...]
    renter: Person
    others: tuple[Person, ...]

    @property
    def people(self) -> tuple[Person, ...]:
        """All who hear of rentals."""
        team = (person for shop in self.shops for person in (shop.owner, shop.staff))
        return (*team, self.renter, *self.others)

    @property
    def banks(self) -> tuple[Bank, ...]:
        """All banks."""
        return tuple(bank for shop in self.shops for bank in shop.banks)


def bank_ids(count: int) -> dict[str, tuple[str, ...]]:
    """Share so many banks out to the merchants: prefix to ids."""
    each = {plan.prefix: len(range(at, count, len(PLANS))) for at, plan in enumerate(PLANS)}
    return {
        prefix: tuple(f"{prefix}-{number:02}" for number in range(1, held + 1))
        for prefix, held in each.items()
    }


async def found(app: App, *, count: int) -> City:
    """Have everybody sign in and do what is still to do before the first rental.

    Raises:
        Refused: in the platform's words.
    """
    operator = await Person.signed_in(app, name="", phone=OPERATOR_PHONE)
    ids = bank_ids(count)
    shops = [await _open(app, plan, operator, ids[plan.prefix]) for plan in PLANS]
    renter, *others = [
        await Person.signed_in(app, name=name.to(app.lang), phone=phone)
        for name, phone in (RENTER, *OTHERS)
    ]
    return City(shops=tuple(shops), renter=renter, others=tuple(others))


async def _open(app: App, plan: Plan, operator: Person, wanted: tuple[str, ...]) -> Shop:
    name, lang = plan.name.to(app.lang), app.lang
    owner = await Person.signed_in(app, name=plan.owner.to(lang), phone=plan.owner_phone)
    staff = await Person.signed_in(app, name=plan.staff.to(lang), phone=plan.staff_phone)
    mine = (await owner.get("/merchants/mine"))["items"]
    merchant = mine[0] if mine else await owner.post("/merchants", _registration(plan, name, lang))
    path = f"/merchants/{merchant['id']}"
    if merchant["status"] == "pending":
        await operator.post(f"/operator{path}/approve", {"reason": "papers seen"})
    if not (await owner.get(f"{path}/tariffs"))["items"]:
        await owner.post(f"{path}/tariffs", plan.terms)
    if not (await owner.get(f"{path}/staff"))["items"]:
        await owner.post(f"{path}/staff", {"phone": staff.phone, "name": staff.name})
    here = {bank["id"]: bank["qr_url"] for bank in (await owner.get(f"{path}/banks"))["items"]}
    banks = [
        await _bank(owner, path, bank_id, is_new=bank_id not in here, place=place)
        for place, bank_id in enumerate(wanted)
    ]
    await _bring_home(staff, here)
    return Shop(plan=plan, id=merchant["id"], owner=owner, staff=staff, banks=tuple(banks))


def _registration(plan: Plan, name: str, lang: Lang) -> dict[str, object]:
    return {
        "name": name,
        "timezone": "Asia/Shanghai",
        "currency": "CNY",
        "service_radius_m": 3000,
        **plan.place(lang),
    }


async def _bank(owner: Person, path: str, bank_id: str, *, is_new: bool, place: int) -> Bank:
    """Report a bank; one that is there already gets a new secret, since the old is not told."""
    if is_new:
        made = await owner.post(f"{path}/banks", {"bank_id": bank_id, "model": MODEL})
    else:
        made = await owner.post(f"{path}/banks/{bank_id}/secret")
    return Bank(
        id=bank_id,
        secret=made["secret"],
        host=made["mqtt"]["host"],
        port=made["mqtt"]["port"],
        qr_url=made["qr_url"],
        battery_pct=_LEVELS[(place + ord(bank_id[0])) % len(_LEVELS)],
    )


async def _bring_home(staff: Person, labels: Mapping[str, str]) -> None:
    """Check in what an earlier demo left in this person's hands."""
    for job in (await staff.get("/staff/jobs"))["items"]:
        if job["has_bank"] and job["rental_state"] in {"completed", "cancelled"}:
            path = f"/staff/jobs/{job['id']}/check-in"
            await staff.post(path, {"qr_token": labels[job["bank_id"]]})
