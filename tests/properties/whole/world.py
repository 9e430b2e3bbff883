"""A market that can be begun again and again, that may die at any commit, and be lied to.

The stage is set once: two merchants, their people, two renters, three banks. Each play gets a copy
of its database and an app of its own, on the real services. What is played here is all that is not
ours: people's phones, who repeat themselves; a payment provider with a truth of its own, told late,
twice or never; the gateway's side of the seam, with banks that may be silent.

A process dies by raising out of a commit: before it, and nothing has happened; or after it, and all
has, but nobody heard. What a process keeps in its memory dies with it.

Ids, codes and tokens are counted, not drawn, so that a play can be played again.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from unittest import mock

from httpx2 import Response
from sqlalchemy import event
from sqlmodel import Session, col, select

from backend import ids, sweeps
from backend.api.idempotency import REPLAYED_HEADER
from backend.db.engine import Database
from backend.db.seam import from_ms, to_ms
from backend.follow import Follower
from backend.limits import FollowLimits
from backend.payments.port import PaymentStatus, PayoutStatus, ProviderPayment, ProviderPayout
from gateway import events
from gateway.tables import BankShadow, CommandRow
from tests.databases import Databases
from tests.integration.rentals.conftest import (
    PHONES,
    TERMS,
    FakeProvider,
    HandClock,
    Person,
    World,
    at_work,
)

RENTERS = ("renter", "other")
OWNERS = ("owner", "rival")
COURIERS = ("staff", *OWNERS)
PHONE_OF = {**PHONES, "rival": "+8613800000009"}
BANKS = {"LW-0001": "owner", "LW-0002": "owner", "LW-0003": "rival"}
SHOP_OF_RIVAL = {"lat": 31.2320, "lng": 121.4750, "address": "南京東路 1 號"}
CANCEL_FEES = {"cancel_accepted_minor": 100, "cancel_delivering_minor": 200}
HOLD_FOR = timedelta(days=7)
TOKENS_LAST = timedelta(days=80)
PAGE_OPEN_FOR = timedelta(days=1)
"""How long a provider's page can be paid on."""


# -- dying ------------------------------------------------------------------------------------


class Crash(Exception):  # noqa: N818 - not an error: the end of a process
    """The process is gone."""


@dataclass(frozen=True)
class Death:
    """When a process dies."""

    commits: int
    """How many go well before."""
    is_durable: bool
    """Whether the commit that it dies at is written."""


class Mortality:
    """Stands where a database commits, and lets no process live for longer than it shall."""

    def __init__(self, database: Database) -> None:
        self.commits = 0
        self._really = database._commit
        self._death: Death | None = None
        self._until = 0
        database._commit = self._commit

    def doom(self, death: Death | None) -> None:
        self._death = death
        self._until = self.commits + (0 if death is None else death.commits)

    def _commit(self, session: Session) -> None:
        death = self._death if self.commits >= self._until else None
        if death is not None and not death.is_durable:
            self._die()
        self._really(session)
        self.commits += 1
        if death is not None:
            self._die()

    def _die(self) -> None:
        self._death = None
        raise Crash


class Fault(StrEnum):
    """What happens to a request besides being served."""

    NONE = "none"
    SENT_TWICE = "sent twice"
    """With the same key: one effect, one answer."""
    WISHED_TWICE = "wished twice"
    """With a new key: whatever follows."""
    DIES_BEFORE = "dies before the commit"
    DIES_AFTER = "dies after the commit"
    """And is sent again: the answer is there."""


# -- the provider -----------------------------------------------------------------------------


@dataclass
class Provider(FakeProvider):
    """Has the truth, remembers all that it ever was, and lets go of what nobody came for."""

    clock: HandClock = field(default_factory=HandClock)
    truths: list[ProviderPayment] = field(default_factory=list)
    """Every state of every payment, in order: what notices may tell of."""
    made_at: dict[str, datetime] = field(default_factory=dict)

    def create(self, **how: Any) -> ProviderPayment:
        before = len(self.payments)
        if how["key"] in self.keys:  # a key that was served is not declined any more
            with mock.patch.object(self, "declines", new=False):
                return super().create(**how)
        try:
            return super().create(**how)
        finally:
            for payment in list(self.payments.values())[before:]:
                self.made_at[payment.ref] = self.clock.now()
                self.truths.append(payment)

    def pay_out(self, **how: Any) -> ProviderPayout:
        declines = self.declines and how["key"] not in self.payouts
        with mock.patch.object(self, "declines", new=declines):
            return super().pay_out(**how)

    def known(self, reference: str) -> ProviderPayment | None:
        """The truth about a payment of ours, not by way of the port."""
        payments = self.payments.values()
        return next((each for each in payments if each.reference == reference), None)

    def change(self, ref: str, **changes: Any) -> ProviderPayment:
        payment = super().change(ref, **changes)
        self.truths.append(payment)
        return payment

    def agree(self, ref: str) -> ProviderPayment:
        agreed = super().agree(ref)
        if agreed.status is not PaymentStatus.AUTHORIZED:
            return agreed
        self.payments[ref] = replace(agreed, capture_before=self.clock.now() + HOLD_FOR)
        self.truths[-1] = self.payments[ref]
        return self.payments[ref]

    def having(self, status: PaymentStatus) -> list[str]:
        return [ref for ref, payment in self.payments.items() if payment.status is status]

    def let_go(self) -> None:
        """End what has stood for too long."""
        now = self.clock.now()
        for ref in self.having(PaymentStatus.OPEN):
            if self.made_at[ref] + PAGE_OPEN_FOR <= now:
                self.change(ref, status=PaymentStatus.EXPIRED)
        for ref in self.having(PaymentStatus.AUTHORIZED):
            until = self.payments[ref].capture_before
            if until is not None and until <= now:
                self.change(ref, status=PaymentStatus.EXPIRED)

    @property
    def held_minor(self) -> int:
        held = self.having(PaymentStatus.AUTHORIZED)
        return sum(self.payments[ref].amount_minor for ref in held)

    @property
    def cash_minor(self) -> int:
        came = sum(each.captured_minor - each.refunded_minor for each in self.payments.values())
        out = (each for each in self.payouts.values() if each.status is PayoutStatus.PAID)
        return came - sum(each.amount_minor for each in out)


# -- banks ------------------------------------------------------------------------------------


@dataclass
class Bank:
    """A bank as it really is."""

    id: str
    is_feeding: bool = False
    is_plugged: bool = False
    is_silent: bool = False


# -- ids --------------------------------------------------------------------------------------


@dataclass
class Counted:
    """Stands for chance and for the time of day where ids are made."""

    clock: HandClock
    count: int

    def time_ns(self) -> int:
        return int(self.clock.now().timestamp() * 1_000) * 1_000_000

    def randbits(self, _bits: int) -> int:
        self.count += 1
        return self.count

    def token_urlsafe(self, _bytes: int) -> str:
        return f"{self.randbits(0):043d}"

    def choice(self, of: Sequence[str]) -> str:
        return of[self.randbits(0) % len(of)]


@contextmanager
def counted_ids(clock: HandClock, *, first: int) -> Iterator[None]:
    counted = Counted(clock, first)
    with mock.patch.multiple(ids, time=counted, secrets=counted):
        yield


# -- the world --------------------------------------------------------------------------------


@dataclass
class Whole(World):
    """The world, and all that may go wrong in it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.mortality = Mortality(self.database)
        self.banks = {bank: Bank(bank) for bank in BANKS}
        self.began_at = self.signed_in_at = self.clock.now()
        self.shops: dict[str, str] = {}
        """Each owner's merchant."""
        self.tools = sweeps.Tools(
            database=self.database,
            providers=self.providers,
            settings=self.client.app.state.parts.settings,
        )

    # -- people

    def act(
        self, who: str, path: str, body: dict[str, Any] | None = None, fault: Fault = Fault.NONE
    ) -> Response | None:
        """Let somebody post; whatever is answered, it is no failure of ours.

        Returns:
            None, if nobody lived to answer.
        """
        key = ids.new_id()
        self.signed_in(who)
        if fault is Fault.DIES_BEFORE:
            self.mortality.doom(Death(0, is_durable=False))
        elif fault is Fault.DIES_AFTER:
            self.mortality.doom(Death(0, is_durable=True))
        try:
            first = self._post(who, path, body, key)
        except Crash:
            self.begin_anew()
            return self._post_again(who, path, body, key) if fault is Fault.DIES_AFTER else None
        finally:
            self.mortality.doom(None)
        if fault is Fault.WISHED_TWICE:
            self._post(who, path, body, ids.new_id())
        elif fault is Fault.SENT_TWICE and first.is_success:
            again = self._post_again(who, path, body, key)
            assert (again.status_code, again.text) == (first.status_code, first.text), path
        return first

    def _post_again(self, who: str, path: str, body: dict[str, Any] | None, key: str) -> Response:
        """What was done is answered again."""
        again = self._post(who, path, body, key)
        assert again.headers.get(REPLAYED_HEADER) == "true", (path, again.status_code, again.text)
        return again

    def _post(self, who: str, path: str, body: dict[str, Any] | None, key: str) -> Response:
        answer = self.signed_in(who).post(path, body, key)
        assert answer.status_code < 500, f"{path}: {answer.status_code} {answer.text}"
        return answer

    def signed_in(self, who: str) -> Person:
        """Somebody with a token that is good for a while yet."""
        if self.clock.now() > self.signed_in_at + TOKENS_LAST:
            self.people.clear()
            self.signed_in_at = self.clock.now()
        if who not in self.people:
            self.people[who] = self.person(PHONE_OF[who])
        return self.people[who]

    def begin_anew(self) -> None:
        """A new process, with nothing in its memory."""
        self.follower = Follower(self.database, self.clock, FollowLimits())

    # -- what runs by itself in life

    def runs(self, name: str, death: Death | None = None) -> None:
        """Let one thing run, and perhaps die of it."""
        self.dies_of(lambda: self._run(name), death)

    def dies_of(self, act: Callable[[], object], death: Death | None) -> None:
        """Do something, and perhaps die of it."""
        self.mortality.doom(death)
        try:
            act()
        except Crash:
            self.begin_anew()
        finally:
            self.mortality.doom(None)

    def _run(self, name: str) -> None:
        if name in {"follow", "all"}:
            self.follow()
        if name in {"send_outbox", "all"}:
            self.send()
        for sweep in sweeps.ALL:
            if name in {sweep.name, "all"}:
                sweep.run(self.tools, self.clock.now())

    def passes(self, **span: float) -> None:
        """Time passes: the provider lets go, and banks that are not silent talk."""
        self.clock.turn(**span)
        self.provider.let_go()
        now_ms = to_ms(self.clock.now())
        with Session(self.database.engine) as session:
            talking = [bank.id for bank in self.banks.values() if not bank.is_silent]
            for row in session.exec(select(BankShadow).where(col(BankShadow.bank_id).in_(talking))):
                row.heard_at_ms = row.state_at_ms = now_ms
            session.commit()

    # -- the provider

    def knocks(self, truth: ProviderPayment, *, id_: str = "") -> None:
        answer = self.notice(truth, id_=id_)
        assert answer.status_code < 500, answer.text

    def tells_of_payouts(self, status: PayoutStatus) -> None:
        """The provider's bank did what it was to do, or did not; a notice tells."""
        pending = [
            each.reference
            for each in self.provider.payouts.values()
            if each.status is PayoutStatus.PENDING
        ]
        for reference in pending:
            told = self.provider.change_payout(reference, status=status)
            self.notices_sent += 1
            fields = {name: getattr(told, name) for name in told.__dataclass_fields__}
            answer = self.knock({"id": f"n{self.notices_sent}", "payout": fields})
            assert answer.status_code < 500, answer.text

    # -- banks

    def command(self, bank: str, *statuses: str) -> CommandRow | None:
        """The newest command of a bank, if it has come so far."""
        with self.database.reading() as session:
            return session.exec(
                select(CommandRow)
                .where(CommandRow.bank_id == bank, col(CommandRow.status).in_(statuses))
                .order_by(col(CommandRow.created_at_ms).desc(), col(CommandRow.id).desc())
                .limit(1)
            ).first()

    def command_goes_out(self, command: CommandRow) -> None:
        with self.database.writing() as session:
            row = session.get_one(CommandRow, command.id)
            row.status, row.attempts = "sent", row.attempts + 1
            session.add(row)

    def command_ends(
        self, command: CommandRow, kind: type[events.CommandOutcome], *, ago_s: int = 0
    ) -> None:
        """The gateway tells how a command ended, and if it was done, the bank is so now."""
        now_ms = to_ms(self.clock.now())
        at_ms = max(command.created_at_ms, now_ms - ago_s * 1_000)
        with self.database.writing() as session:
            row = session.get_one(CommandRow, command.id)
            row.status = kind.kind.removeprefix("command_")
            session.add(row)
        if kind is events.CommandDone:
            self.feeds_or_not(command.bank_id, command.kind == "charge_start", at=from_ms(at_ms))
        self.tell(
            kind(
                bank=command.bank_id,
                key=command.id,
                occurred_at_ms=at_ms,
                received_at_ms=now_ms,
                command=command.id,
                command_kind=command.kind,
            )
        )

    def feeds_or_not(self, bank: str, is_feeding: bool, *, at: datetime | None = None) -> None:
        """A bank begins to feed, or ends."""
        self.banks[bank].is_feeding = is_feeding
        self.shows(bank)
        self.since(events.OutputOn if is_feeding else events.OutputOff, bank, at=at)

    def is_plugged_or_not(self, bank: str, is_plugged: bool) -> None:
        self.banks[bank].is_plugged = is_plugged
        self.shows(bank)
        self.since(events.LoadPlugged if is_plugged else events.LoadUnplugged, bank)

    def is_silent_or_not(self, bank: str, is_silent: bool) -> None:
        self.banks[bank].is_silent = is_silent
        if is_silent:
            self.bank_is(bank, presence="offline", heard_at_ms=to_ms(self.clock.now()))
        else:
            self.shows(bank)
        now_ms = to_ms(self.clock.now())
        kind = events.BankOffline if is_silent else events.BankOnline
        times = {"occurred_at_ms": now_ms, "received_at_ms": now_ms}
        self.tell(kind(bank=bank, key=str(now_ms), **times))

    def shows(self, bank: str) -> None:
        """Write down what a bank says of itself."""
        really = self.banks[bank]
        self.bank_is(
            bank,
            presence="online",
            output="on" if really.is_feeding else "off",
            lock="unlocked" if really.is_feeding else "locked",
            plugged=really.is_plugged,
        )


# -- the stage --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """Where every play begins."""

    folder: Path
    at: datetime
    labels: dict[str, str]
    tokens: dict[str, str]
    shops: dict[str, str]
    """Each owner's merchant."""

    @classmethod
    def set_up(cls, databases: Databases, folder: Path) -> "Stage":
        """Open both shops, and sign everybody in."""
        clock = HandClock()
        with (
            counted_ids(clock, first=0),
            databases.with_tables("sqlite", folder) as url,
            at_work(folder, url, kind=Whole, clock=clock) as world,
        ):
            shops = {"owner": world.market(banks=("LW-0001", "LW-0002"), **CANCEL_FEES)}
            shops["rival"] = _second_shop(world)
            for owner, shop in shops.items():
                world.people[owner].did(
                    f"/merchants/{shop}/payout-account", {"account": f"acct-of-{owner}"}
                )
            tokens = {who: world.signed_in(who).token for who in PHONE_OF}
            clock.turn(minutes=1)
            return cls(folder, clock.now(), world.tokens, tokens, shops)

    @contextmanager
    def play(self, folder: Path) -> Iterator[Whole]:
        """Begin from here once more."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        clock = HandClock(self.at)
        provider = Provider(clock=clock)
        url = f"sqlite:///{folder / 'lendwatt.db'}"
        with ExitStack() as until:
            until.enter_context(counted_ids(clock, first=1_000_000))
            world: Any = until.enter_context(
                at_work(folder, url, kind=Whole, clock=clock, providers={"fake": provider})
            )
            be_careless(world.database)
            world.provider, world.shops = provider, self.shops
            world.tokens.update(self.labels)
            for who, token in self.tokens.items():
                world.people[who] = Person(client=world.client, token=token)
            yield world


def be_careless(database: Database) -> None:
    """What is lost with the machine is a test's."""
    event.listen(database.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
    database.engine.dispose()


def _second_shop(world: Whole) -> str:
    rival = world.signed_in("rival")
    body = {
        "name": "阿強",
        "timezone": "Asia/Shanghai",
        "currency": "CNY",
        "service_radius_m": 3000,
        **SHOP_OF_RIVAL,
    }
    shop = str(rival.did("/merchants", body)["id"])
    world.people["operator"].did(f"/operator/merchants/{shop}/approve", {"reason": "well known"})
    rival.did(f"/merchants/{shop}/tariffs", {**TERMS, **CANCEL_FEES})
    made = rival.did(f"/merchants/{shop}/banks", {"bank_id": "LW-0003", "model": "LW-10K-A"})
    world.tokens["LW-0003"] = made["qr_token"]
    world.bank_is("LW-0003")
    return shop
