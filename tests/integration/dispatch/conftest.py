"""A town: shops around one renter, and the sweeps that run by themselves in life."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from backend import sweeps
from backend.db import jobs, notifications
from backend.db.tables.rentals import JobKind, JobRow
from tests.integration.rentals.conftest import HOME, TERMS, Person, World, world

__all__ = ["Shop", "Town", "metres_north", "town", "world"]

_DEGREE_M = 111_195
"""Metres of one degree of latitude."""
_NUMBERS = count(1)


def metres_north(metres: int) -> dict[str, float]:
    """A point so far north of where the renter is."""
    return {"lat": HOME["lat"] + metres / _DEGREE_M, "lng": HOME["lng"]}  # type: ignore[operator]


@dataclass
class Shop:
    """A merchant, with its people and its banks."""

    id: str
    owner: Person
    staff: list[Person]
    banks: list[str]

    @property
    def team(self) -> list[Person]:
        return [*self.staff, self.owner]


@dataclass
class Town:
    """Shops around one renter, and hands for what people do."""

    world: World
    shops: list[Shop] = field(default_factory=list)

    @property
    def renter(self) -> Person:
        return self.world.people["renter"]

    # -- who there is

    def shop(self, away_m: int = 500, *, banks: int = 1, staff: int = 1, **changes: Any) -> Shop:
        """Open a shop: approved, with a price, staff on shift, and full banks at home."""
        terms = {**TERMS, **changes.pop("terms", {})}
        owner = self.newcomer()
        body = {
            "name": f"shop {len(self.shops)}",
            "timezone": "Asia/Shanghai",
            "currency": "CNY",
            "service_radius_m": 3000,
            "address": "around the corner",
            **metres_north(away_m),
            **changes,
        }
        shop = Shop(id=str(owner.did("/merchants", body)["id"]), owner=owner, staff=[], banks=[])
        self.world.people["operator"].did(
            f"/operator/merchants/{shop.id}/approve", {"reason": "papers checked"}
        )
        owner.did(f"/merchants/{shop.id}/tariffs", terms)
        for _ in range(staff):
            shop.staff.append(self.hire(shop))
        for _ in range(banks):
            bank = f"LW-{next(_NUMBERS):04}"
            made = owner.did(f"/merchants/{shop.id}/banks", {"bank_id": bank, "model": "LW-10K-A"})
            self.world.tokens[bank] = made["qr_token"]
            self.world.bank_is(bank)
            shop.banks.append(bank)
        self.shops.append(shop)
        return shop

    def newcomer(self) -> Person:
        """Somebody new in town."""
        return self.world.person(f"+86139{next(_NUMBERS):08}")

    def hire(self, shop: Shop) -> Person:
        """Somebody who works for this shop, on shift from now on."""
        phone = f"+86137{next(_NUMBERS):08}"
        shop.owner.did(f"/merchants/{shop.id}/staff", {"phone": phone, "name": "小王"})
        return self.world.person(phone)

    # -- what they do

    def ask(self, shop: Shop) -> str:
        """The renter scans a bank of this shop."""
        return self.world.ask(shop.banks[0])

    def job(self, person: Person) -> dict[str, Any]:
        """The one job that this person sees."""
        [job] = self.jobs(person)
        return job

    def jobs(self, person: Person) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = person.sees("/staff/jobs")["items"]
        return items

    def does(self, person: Person, verb: str, **body: Any) -> dict[str, Any]:
        """This person does something with their one job."""
        path = f"/staff/jobs/{self.job(person)['id']}/{verb}"
        return dict(person.did(path, body or None))

    def all_decline(self, shop: Shop) -> None:
        for person in shop.team:
            self.does(person, "decline")

    def takes_along(self, person: Person) -> dict[str, Any]:
        """Accept, and set out with the bank."""
        self.does(person, "accept")
        return self.sets_out(person)

    def sets_out(self, person: Person) -> dict[str, Any]:
        bank = self.job(person)["bank_id"]
        return self.does(person, "set-out", qr_token=self.world.tokens[bank])

    def hands_over(self, person: Person) -> dict[str, Any]:
        bank = self.job(person)["bank_id"]
        self.world.bank_is(bank)
        return self.does(person, "hand-over", qr_token=self.world.tokens[bank])

    def is_at(self, person: Person, away_m: int) -> None:
        """This person's phone tells that they are so far from the renter."""
        person.did("/staff/position", metres_north(away_m))

    # -- time

    def turn(self, **span: float) -> None:
        """Let time pass, and all that is due happen; banks go on reporting."""
        self.world.clock.turn(**span)
        for shop in self.shops:
            for bank in shop.banks:
                self.world.bank_is(bank)
        self.watch()

    def minutes(self, count: int) -> None:
        """Let so many minutes pass, one by one."""
        for _ in range(count):
            self.turn(minutes=1)

    def watch(self) -> int:
        """Do what is due, until nothing is."""
        done = 0
        while did := sweeps.watch(self.world.database, now=self.now):
            done += did
        return done

    @property
    def now(self) -> datetime:
        return self.world.clock.now()

    # -- what became of it

    def row(self, rental_id: str, kind: JobKind = JobKind.DELIVERY) -> JobRow:
        """The rental's newest job, as it is stored."""
        with self.world.database.reading() as session:
            job = jobs.newest(session, rental_id, kind)
            assert job is not None
            return job

    def told(self, person: Person, kind: str) -> list[dict[str, Any]]:
        """What this person was told of a kind, in order."""
        me = person.sees("/me")["id"]
        with self.world.database.reading() as session:
            told = notifications.after(session, person_id=me, seq=0, limit=1000)
            return [each.data for each in told if each.kind == kind]

    def hears(self, shop: Shop) -> str:
        """A computer of this shop's hears what its owner hears, from now on."""
        path = f"/merchants/{shop.id}/webhooks"
        return str(shop.owner.did(path, {"url": "https://shop.example/hook"})["id"])

    def messages(self, shop: Shop, hook: str) -> list[str]:
        """The kinds of what it was told."""
        told = shop.owner.sees(f"/merchants/{shop.id}/webhooks/{hook}/messages")
        return [message["kind"] for message in told["items"]]

    def delivery(self, rental_id: str) -> dict[str, Any]:
        return dict(self.renter.sees(f"/rentals/{rental_id}/delivery"))

    def holder(self, bank: str) -> str:
        return self.world.holder(bank)

    def promised(self, rental_id: str) -> timedelta:
        """How long from now the rental is promised for."""
        told = datetime.fromisoformat(self.delivery(rental_id)["promised_at"])
        return told - self.now


@pytest.fixture
def town(world: World) -> Town:
    return Town(world=world)
