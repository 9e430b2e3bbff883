"""A whole market on either database: people on HTTP, a provider of our own port, banks as rows.

The gateway's side of the seam is written by hand: shadows and domain events, through
``gateway.events``. Nothing runs by itself: a test says when facts are followed and when the
outbox is sent.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlmodel import col, func, select
from starlette.routing import BaseRoute

from backend import main, sweeps
from backend.db import market, money, notifications
from backend.db.engine import Database, make_engine
from backend.db.seam import to_ms
from backend.db.tables.money import PaymentRow, PostingRow
from backend.domain import ledger
from backend.domain.errors import Refusal
from backend.follow import Follower
from backend.ids import new_id
from backend.limits import FollowLimits, OutboxLimits
from backend.payments.port import (
    BadNotice,
    Capture,
    NoticeFault,
    PaymentStatus,
    PayoutStatus,
    Provider,
    ProviderAway,
    ProviderDeclined,
    ProviderNotice,
    ProviderPayment,
    ProviderPayout,
    ProviderRefund,
)
from backend.principal import Principal, Scope
from backend.services import by_hand, returns
from backend.settings import Settings
from gateway import events
from gateway.tables import BankShadow, CommandRow, DomainEvent

OPERATOR = "+8613900139000"
STAFF = "+8613800000002"
PHONES = {
    "operator": OPERATOR,
    "owner": "+8613800000001",
    "staff": STAFF,
    "renter": "+8613800000003",
    "other": "+8613800000004",
}
HOME = {"lat": 31.2304, "lng": 121.4737, "address": "人民大道 200 號"}
TERMS: dict[str, Any] = {
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


@dataclass
class HandClock:
    """Stands still until it is turned."""

    time: datetime = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def turn(self, **span: float) -> None:
        self.time += timedelta(**span)


@dataclass
class Phones:
    """Everybody's phone: remembers the codes that were sent."""

    codes: dict[str, str] = field(default_factory=dict)

    def send(self, *, phone: str, code: str) -> None:
        self.codes[phone] = code


@dataclass
class FakeProvider:
    """The port in memory: keys, holds, signed notices, and days on which it is away."""

    payments: dict[str, ProviderPayment] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    payouts: dict[str, ProviderPayout] = field(default_factory=dict)
    captures: dict[str, Capture] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    is_away: bool = False
    loses_answers: bool = False
    declines: bool = False
    refuses: frozenset[str] = frozenset()
    """What it says no to: ``capture``, ``release``, ``refund``; to the same key ever after."""
    noes: set[str] = field(default_factory=set)
    """The keys that it said no to."""

    def create(
        self,
        *,
        key: str,
        reference: str,
        amount_minor: int,
        currency: str,
        capture: Capture,
        description: str,
        return_url: str,
    ) -> ProviderPayment:
        self._called("create", key)
        assert description
        assert return_url.startswith("http")
        if self.declines:
            raise declined()
        if key not in self.keys:
            ref = f"fake-{len(self.payments) + 1}"
            self.keys[key] = ref
            self.captures[ref] = capture
            self.payments[ref] = ProviderPayment(
                ref=ref,
                status=PaymentStatus.OPEN,
                amount_minor=amount_minor,
                captured_minor=0,
                refunded_minor=0,
                currency=currency,
                reference=reference,
                pay_url=f"http://provider.test/{ref}",
                capture_before=None,
            )
        return self._answer(self.payments[self.keys[key]])

    def fetch(self, ref: str) -> ProviderPayment:
        self._called("fetch", ref)
        return self.payments[ref]

    def find(self, reference: str) -> ProviderPayment | None:
        self._called("find", reference)
        found = [each for each in self.payments.values() if each.reference == reference]
        return found[0] if found else None

    def capture(self, ref: str, *, key: str, amount_minor: int) -> ProviderPayment:
        self._asked("capture", key)
        if key not in self.keys:
            hold = self.payments[ref]
            if hold.status is not PaymentStatus.AUTHORIZED or amount_minor > hold.amount_minor:
                raise declined()
            self.keys[key] = ref
            self.change(ref, status=PaymentStatus.PAID, captured_minor=amount_minor)
        return self._answer(self.payments[ref])

    def release(self, ref: str, *, key: str) -> ProviderPayment:
        self._asked("release", key)
        if key not in self.keys:
            status = self.payments[ref].status
            if status not in {PaymentStatus.OPEN, PaymentStatus.AUTHORIZED}:
                raise declined()
            self.keys[key] = ref
            self.change(ref, status=PaymentStatus.CANCELED)
        return self._answer(self.payments[ref])

    def refund(self, ref: str, *, key: str, amount_minor: int) -> ProviderPayment:
        self._asked("refund", key)
        if key not in self.keys:
            paid = self.payments[ref]
            if paid.refunded_minor + amount_minor > paid.captured_minor:
                raise declined()
            self.keys[key] = ref
            self.change(ref, refunded_minor=paid.refunded_minor + amount_minor)
        return self._answer(self.payments[ref])

    def pay_out(
        self,
        *,
        key: str,
        reference: str,
        amount_minor: int,
        currency: str,
        account: str,
        description: str,
    ) -> ProviderPayout:
        self._called("pay_out", key)
        assert description
        if self.declines:
            raise declined()
        if key not in self.payouts:
            self.payouts[key] = ProviderPayout(
                ref=f"fake-out-{len(self.payouts) + 1}",
                status=PayoutStatus.PENDING,
                amount_minor=amount_minor,
                currency=currency,
                reference=reference,
                account=account,
            )
        if self.loses_answers:
            raise away()
        return self.payouts[key]

    def find_payout(self, reference: str) -> ProviderPayout | None:
        self._called("find_payout", reference)
        found = [each for each in self.payouts.values() if each.reference == reference]
        return found[0] if found else None

    def change_payout(self, reference: str, **changes: Any) -> ProviderPayout:
        """What the provider says of a payout from now on."""
        [key] = [key for key, each in self.payouts.items() if each.reference == reference]
        self.payouts[key] = replace(self.payouts[key], **changes)
        return self.payouts[key]

    def read_notice(
        self, *, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> ProviderNotice:
        if headers.get("signature") != _sign(body):
            raise BadNotice(NoticeFault.FORGED, "the signature does not fit")
        told = json.loads(body)
        if "payout" in told:
            status = PayoutStatus(told["payout"]["status"])
            payout = ProviderPayout(**{**told["payout"], "status": status})
            return ProviderNotice(id=told["id"], kind="payout", at=now, payment=None, payout=payout)
        if "refund" in told:
            at = datetime.fromisoformat(told["at"]) if "at" in told else now
            refund = ProviderRefund(**told["refund"])
            return ProviderNotice(id=told["id"], kind="refund", at=at, payment=None, refund=refund)
        if "payment" not in told:
            raise BadNotice(NoticeFault.UNREADABLE, "no payment in it")
        payment = told["payment"]
        until = payment["capture_before"]
        return ProviderNotice(
            id=told["id"],
            kind="payment",
            at=now,
            payment=ProviderPayment(
                **{
                    **payment,
                    "status": PaymentStatus(payment["status"]),
                    "capture_before": None if until is None else datetime.fromisoformat(until),
                }
            ),
        )

    def change(self, ref: str, **changes: Any) -> ProviderPayment:
        self.payments[ref] = replace(self.payments[ref], **changes)
        return self.payments[ref]

    def agree(self, ref: str) -> ProviderPayment:
        """The payer agrees on the provider's page."""
        asked = self.payments[ref]
        if self.captures[ref] is Capture.MANUAL:
            until = datetime(2026, 11, 29, 12, tzinfo=UTC)
            return self.change(ref, status=PaymentStatus.AUTHORIZED, capture_before=until)
        return self.change(ref, status=PaymentStatus.PAID, captured_minor=asked.amount_minor)

    def _called(self, what: str, key: str) -> None:
        self.calls.append((what, key))
        if self.is_away:
            raise away()

    def _asked(self, what: str, key: str) -> None:
        self._called(what, key)
        if what in self.refuses and key not in self.keys:
            self.noes.add(key)
        if key in self.noes:
            raise declined()

    def _answer(self, payment: ProviderPayment) -> ProviderPayment:
        if self.loses_answers:
            raise away()
        return payment


def declined() -> ProviderDeclined:
    return ProviderDeclined("refused", "no")


def away() -> ProviderAway:
    return ProviderAway("nobody answers")


def _sign(body: bytes) -> str:
    return hashlib.sha256(b"secret" + body).hexdigest()


@dataclass
class Person:
    """Somebody signed in on a phone."""

    client: TestClient
    token: str

    def get(self, path: str, **query: Any) -> Response:
        return self.client.get(f"/api/v1{path}", params=query, headers=self._headers())

    def post(self, path: str, body: dict[str, Any] | None = None, key: str = "") -> Response:
        headers = {**self._headers(), "idempotency-key": key or new_id()}
        return self.client.post(f"/api/v1{path}", json=body, headers=headers)

    def did(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Post, and expect a yes."""
        answer = self.post(path, body)
        assert answer.is_success, answer.text
        return answer.json()

    def sees(self, path: str, **query: Any) -> Any:
        """Get, and expect a yes."""
        answer = self.get(path, **query)
        assert answer.is_success, answer.text
        return answer.json()

    def news(self) -> list[str]:
        """The kinds of all that this person was notified of, in order."""
        world: World = self.client.app.state.world
        me = self.sees("/me")["id"]
        with world.database.reading() as session:
            told = notifications.after(session, person_id=me, seq=0, limit=1000)
            return [each.kind for each in told]

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}", "accept-language": "en"}


class People(dict[str, Person]):
    """Everybody by name, signed in when first needed."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world

    def __missing__(self, name: str) -> Person:
        self[name] = self._world.person(PHONES[name])
        return self[name]


@dataclass
class World:
    """The app, the provider, the clock, and the hands that move what runs by itself in life."""

    client: TestClient
    database: Database
    clock: HandClock
    provider: FakeProvider
    follower: Follower
    phones: Phones
    providers: Mapping[str, Provider]
    limits: OutboxLimits = field(default_factory=OutboxLimits)
    notices_sent: int = 0
    up_ms: int = 1000
    tokens: dict[str, str] = field(default_factory=dict)

    # -- people

    def __post_init__(self) -> None:
        self.people = People(self)

    def person(self, phone: str) -> Person:
        """This phone's person, signed in."""
        asked = self.client.post("/api/v1/auth/codes", json={"phone": phone})
        assert asked.status_code == 202, asked.text
        body = {"phone": phone, "code": self.phones.codes[phone]}
        signed_in = self.client.post("/api/v1/auth/tokens", json=body).json()
        return Person(client=self.client, token=signed_in["access_token"])

    def market(self, *, banks: tuple[str, ...] = ("LW-0001",), **terms: Any) -> str:
        """A merchant, approved, with staff, a price and banks that are at home and full."""
        owner = self.people["owner"]
        body = {
            "name": "阿明",
            "timezone": "Asia/Shanghai",
            "currency": "CNY",
            "service_radius_m": 3000,
            **HOME,
        }
        merchant_id = str(owner.did("/merchants", body)["id"])
        self.people["operator"].did(
            f"/operator/merchants/{merchant_id}/approve", {"reason": "papers checked"}
        )
        owner.did(f"/merchants/{merchant_id}/tariffs", {**TERMS, **terms})
        owner.did(f"/merchants/{merchant_id}/staff", {"phone": STAFF, "name": "小王"})
        for bank in banks:
            made = owner.did(
                f"/merchants/{merchant_id}/banks", {"bank_id": bank, "model": "LW-10K-A"}
            )
            self.tokens[bank] = made["qr_token"]
            self.bank_is(bank)
        return merchant_id

    # -- banks

    def bank_is(self, bank: str, **state: Any) -> None:
        """Write what the bank last said."""
        now_ms = to_ms(self.clock.now())
        with self.database.writing() as session:
            row = session.get(BankShadow, bank) or BankShadow(
                bank_id=bank,
                conn_boot=1,
                conn=1,
                boot=1,
                seq=1,
                up_ms=1,
                heard_at_ms=now_ms,
                state_at_ms=now_ms,
                presence="online",
                battery=90,
                lock="locked",
                lock_ms=0,
                output="off",
                output_ms=0,
                plugged=False,
                plugged_ms=0,
                sampled_at_ms=now_ms,
                sampled_battery=90,
            )
            fresh = {"heard_at_ms": now_ms, "state_at_ms": now_ms, **state}
            for name, value in fresh.items():
                setattr(row, name, value)
            session.add(row)

    def tell(self, event: events.Event) -> None:
        """Write a fact, as the gateway does: twice is once."""
        with self.database.writing() as session:
            if session.get(DomainEvent, event.id) is None:
                session.add(DomainEvent(**events.to_row(event)._asdict()))

    def since(self, kind: type[events.Since], bank: str, *, at: datetime | None = None) -> None:
        """The bank's state took a value."""
        self.up_ms += 1
        told_at = to_ms(at or self.clock.now())
        self.tell(
            kind(
                bank=bank,
                key=f"1.{self.up_ms}",
                occurred_at_ms=told_at,
                received_at_ms=to_ms(self.clock.now()),
                boot=1,
                bank_ms=self.up_ms,
                battery_pct=90,
                sessions=1,
                on_s=1,
                energy_mwh=1,
            )
        )

    def ended(self, kind: type[events.CommandOutcome], reason: str | None = None) -> None:
        """The newest command ended so."""
        with self.database.writing() as session:
            row = session.exec(
                select(CommandRow).order_by(col(CommandRow.created_at_ms).desc()).limit(1)
            ).one()
            row.status = kind.kind.removeprefix("command_")
            session.add(row)
            now_ms = to_ms(self.clock.now())
            told = kind(
                bank=row.bank_id,
                key=row.id,
                occurred_at_ms=now_ms,
                received_at_ms=now_ms,
                command=row.id,
                command_kind=row.kind,
                reason=reason,
            )
        self.tell(told)

    def feeds(self, bank: str) -> None:
        """The bank carried charge_start out."""
        self.bank_is(bank, output="on", lock="unlocked")
        self.since(events.OutputOn, bank)
        self.ended(events.CommandDone)

    def commands(self) -> list[tuple[str, str]]:
        """All commands so far: kind and status."""
        with self.database.reading() as session:
            rows = session.exec(
                select(CommandRow).order_by(col(CommandRow.created_at_ms), col(CommandRow.id))
            )
            return [(row.kind, row.status) for row in rows]

    # -- what runs by itself in life

    def follow(self) -> None:
        while self.follower.work():
            pass

    def send(self) -> int:
        """Ask providers for all that is due; how much that was."""
        return sum(iter(self._send_one, 0))

    def _send_one(self) -> int:
        return sweeps.send_outbox(
            self.database,
            self.providers,
            public_url="http://lendwatt.test",
            limits=self.limits,
            now=self.clock.now(),
        )

    def ask_in_doubt(self) -> int:
        return sweeps.ask_in_doubt(
            self.database, self.providers, limits=self.limits, now=self.clock.now()
        )

    def notice(self, payment: ProviderPayment, *, id_: str = "", signature: str = "") -> Response:
        """The provider knocks."""
        self.notices_sent += 1
        told = asdict(payment)
        if payment.capture_before is not None:
            told["capture_before"] = payment.capture_before.isoformat()
        return self.knock({"id": id_ or f"n{self.notices_sent}", "payment": told}, signature)

    def knock(self, told: dict[str, Any], signature: str = "") -> Response:
        body = json.dumps(told).encode()
        return self.client.post(
            "/api/v1/webhooks/fake",
            content=body,
            headers={"signature": signature or _sign(body), "content-type": "application/json"},
        )

    def look_after_banks(self) -> int:
        return sweeps.look_after_banks(self.database, now=self.clock.now())

    def command_is(self, status: str) -> None:
        """The gateway has come so far with the newest command."""
        with self.database.writing() as session:
            newest = select(CommandRow).order_by(col(CommandRow.created_at_ms).desc()).limit(1)
            row = session.exec(newest).one()
            row.status, row.attempts = status, 1
            session.add(row)

    def holder(self, bank: str) -> str:
        """Who has it."""
        with self.database.reading() as session:
            return str(market.bank(session, bank).holder)

    def by_hand(self, verb: str, rental_id: str, **how: Any) -> str | None:
        """An operator puts a rental right; the code, if that is refused."""
        who = Principal(
            person_id=self.id_of("operator"),
            sign_in_id="",
            scopes=frozenset({Scope.OPERATOR}),
            expires_at=self.clock.now(),
        )
        act = returns.deny_for_good if verb == "deny_for_good" else getattr(by_hand, verb)
        now = self.clock.now()
        try:
            with self.database.writing() as session:
                act(session, who=who, rental_id=rental_id, reason="looked into", now=now, **how)
        except Refusal as refusal:
            return refusal.code
        return None

    # -- a rental, step by step

    def ask(self, bank: str = "LW-0001", who: str = "renter") -> str:
        body = {"qr_token": self.tokens[bank], **HOME}
        return str(self.people[who].did("/rentals", body)["id"])

    def job(self) -> dict[str, Any]:
        """The one job that is not done."""
        items = self.people["staff"].sees("/staff/jobs")["items"]
        assert len(items) == 1, items
        return dict(items[0])

    def staff_does(self, verb: str, **body: Any) -> dict[str, Any]:
        path = f"/staff/jobs/{self.job()['id']}/{verb}"
        return dict(self.people["staff"].did(path, body or None))

    def delivered(self, bank: str = "LW-0001") -> str:
        """Asked for, taken, brought, handed over."""
        rental = self.ask(bank)
        self.staff_does("accept")
        self.staff_does("set-out", qr_token=self.tokens[bank])
        self.bank_is(bank)
        self.staff_does("hand-over", qr_token=self.tokens[bank])
        return rental

    def deposit_asked(self, bank: str = "LW-0001") -> tuple[str, str]:
        """Scanned, accepted, and made at the provider: the rental and the provider's ref."""
        rental = self.delivered(bank)
        renter_ = self.people["renter"]
        renter_.did(f"/rentals/{rental}/scan", {"qr_token": self.tokens[bank]})
        payment = renter_.did(f"/rentals/{rental}/deposit", {"accepted_disclosure": True})
        self.send()
        return rental, self.ref(payment["id"])

    def starting(self) -> str:
        """The deposit is held, and the bank was told to feed."""
        rental, ref = self.deposit_asked()
        assert self.notice(self.provider.agree(ref)).status_code == 204
        return rental

    def renting(self) -> str:
        """The bank feeds."""
        rental = self.starting()
        self.clock.turn(seconds=2)
        self.feeds("LW-0001")
        self.follow()
        assert self.state(rental) == "renting"
        return rental

    def payment_due(self) -> str:
        """An hour later, the bank was asked back and collected."""
        rental = self.renting()
        self.clock.turn(hours=1)
        self.people["renter"].did(f"/rentals/{rental}/return", HOME)
        self.staff_does("accept")
        self.staff_does("collect", qr_token=self.tokens["LW-0001"])
        return rental

    def bill_asked(self) -> tuple[str, str]:
        """The renter is about to pay: the rental and the provider's ref."""
        rental = self.payment_due()
        payment = self.people["renter"].did(f"/rentals/{rental}/payment")
        self.send()
        return rental, self.ref(payment["id"])

    def ref(self, payment_id: str) -> str:
        with self.database.reading() as session:
            found = select(PaymentRow.provider_ref).where(PaymentRow.id == payment_id)
            return str(session.exec(found).one())

    def rental(self, rental_id: str, who: str = "renter") -> dict[str, Any]:
        return dict(self.people[who].sees(f"/rentals/{rental_id}"))

    def state(self, rental_id: str) -> str:
        return str(self.rental(rental_id)["state"])

    # -- the books

    def balance(self, account: str) -> int:
        """From the account's natural side."""
        code = ledger.AccountCode(account)
        with self.database.reading() as session:
            return ledger.natural(code, money.balance(session, code, "CNY"))

    def sum_of_books(self) -> int:
        with self.database.reading() as session:
            return int(session.exec(select(func.sum(PostingRow.amount_minor))).one() or 0)

    def id_of(self, who: str) -> str:
        return str(self.people[who].sees("/me")["id"])


_ROUTES: list[BaseRoute] = []


def routes_of(app: FastAPI) -> list[BaseRoute]:
    """The routes of the first app that was made: FastAPI works each out when it is first asked."""
    if not _ROUTES:
        _ROUTES.extend(app.router.routes)
    return _ROUTES


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    with at_work(tmp_path, database_url) as world:
        yield world


@contextmanager
def at_work(
    folder: Path,
    database_url: str,
    *,
    kind: type[World] = World,
    clock: HandClock | None = None,
    providers: Mapping[str, Provider] | None = None,
) -> Iterator[World]:
    """The app at work: by itself with the provider in memory, else with these."""
    settings = Settings(
        data_dir=folder,
        database_url=database_url,
        demo=True,
        operator_phones=frozenset({OPERATOR}),
        signin_sends_per_address_max=1000,
        signins_per_minute_max=100_000,
        writes_per_minute_max=100_000,
        reads_per_minute_max=100_000,
        access_token_s=90 * 86_400,
    )
    engine = make_engine(settings.url_of_database())
    database, clock, provider, phones = (
        Database(engine),
        clock or HandClock(),
        FakeProvider(),
        Phones(),
    )
    providers = providers or {"fake": provider}
    parts = main.make_parts(
        settings,
        database=database,
        clock=clock,
        code_sender=phones,
        standing_of=market.standing,
        providers=providers,
    )
    app = main.create_app(parts)
    app.router.routes[:] = routes_of(app)
    with TestClient(app) as client:
        app.state.world = kind(
            client=client,
            database=database,
            clock=clock,
            provider=provider,
            follower=Follower(database, clock, FollowLimits()),
            phones=phones,
            providers=providers,
        )
        yield app.state.world
    engine.dispose()
