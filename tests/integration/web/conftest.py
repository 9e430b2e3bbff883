"""One merchant with one bank, as rows in a SQLite file, and a browser without a script."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlmodel import SQLModel, select

import backend.db.tables  # noqa: F401
from backend import main
from backend.db.engine import Database, make_engine
from backend.db.seam import to_ms
from backend.db.tables.market import BankRow, MerchantRow, MerchantStatus, TariffRow
from backend.db.tables.people import Person
from backend.db.tables.rentals import RentalRow
from backend.domain.custody import Holder
from backend.domain.money import Minor
from backend.domain.rental import RentalState
from backend.domain.tariff import BillingStart, Rounding, Terms, to_json
from backend.ids import new_id, new_token
from backend.settings import Settings
from gateway.tables import BankShadow

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BANK = "LW-000123"
TERMS = Terms(
    free_s=300,
    block_s=900,
    block_price_minor=Minor(100),
    cap_24h_minor=Minor(3000),
    cap_total_minor=Minor(9900),
    delivery_fee_minor=Minor(500),
    deposit_minor=Minor(9900),
    billing_start=BillingStart.UNLOCKED,
    rounding=Rounding.FLOOR_AFTER_FIRST,
)
ACCEPTS = {"zh": "zh-TW,zh;q=0.9,en;q=0.5", "en": "en-GB,en;q=0.9,zh;q=0.5"}


@dataclass
class HandClock:
    """Stands still until it is turned."""

    time: datetime = NOON

    def now(self) -> datetime:
        return self.time

    def turn(self, **span: float) -> None:
        self.time += timedelta(**span)


@dataclass
class Browser:
    """The pages' app, what it reads, and a person in front of it."""

    client: TestClient
    database: Database
    clock: HandClock
    token: str = ""
    owner_id: str = ""
    merchant_id: str = ""

    def opens(self, path: str, lang: str = "en", **headers: str) -> Response:
        """Open an address, following nothing."""
        accepts = {"accept": "text/html,*/*;q=0.8", "accept-language": ACCEPTS[lang]}
        return self.client.get(path, headers=accepts | headers, follow_redirects=False)

    def scans(self, lang: str = "en") -> Response:
        return self.opens(f"/b/{self.token}", lang)

    def market(self, *, has_tariff: bool = True) -> None:
        """An approved merchant with a price, and a bank at home, full and just heard."""
        self.owner_id, self.merchant_id, self.token = new_id(), new_id(), new_token()
        with self.database.writing() as session:
            session.add(Person(id=self.owner_id, phone="+8613800000001", created_at=NOON))
            session.flush()
            session.add(
                MerchantRow(
                    id=self.merchant_id,
                    owner_id=self.owner_id,
                    name="阿明的充電寶",
                    status=MerchantStatus.APPROVED,
                    timezone="Asia/Shanghai",
                    currency="CNY",
                    lat=31.2304,
                    lng=121.4737,
                    address="人民大道 200 號",
                    service_radius_m=2500,
                    commission_bp=1000,
                    created_at=NOON,
                )
            )
            session.flush()
            session.add(
                BankRow(
                    id=BANK,
                    merchant_id=self.merchant_id,
                    model="LW-10K-A",
                    qr_token=self.token,
                    holder=Holder.MERCHANT,
                    held_since=NOON,
                    is_offered=True,
                    created_at=NOON,
                )
            )
            if has_tariff:
                session.add(
                    TariffRow(
                        id=new_id(),
                        merchant_id=self.merchant_id,
                        version=1,
                        terms=to_json(TERMS),
                        created_at=NOON,
                        created_by=self.owner_id,
                    )
                )
        self.bank_says()

    def bank_says(self, **state: Any) -> None:
        now_ms = to_ms(self.clock.now())
        fresh: dict[str, Any] = {
            "heard_at_ms": now_ms,
            "state_at_ms": now_ms,
            "presence": "online",
            "battery": 87,
            "lock": "locked",
            "output": "off",
            "plugged": False,
        }
        with self.database.writing() as session:
            row = session.get(BankShadow, BANK) or BankShadow(
                bank_id=BANK,
                conn_boot=1,
                conn=1,
                boot=1,
                seq=1,
                up_ms=1,
                heard_at_ms=now_ms,
                state_at_ms=now_ms,
                presence="online",
                sampled_at_ms=now_ms,
                sampled_battery=87,
            )
            for name, value in (fresh | state).items():
                setattr(row, name, value)
            session.add(row)

    def merchant_is(self, **values: Any) -> None:
        self._change(MerchantRow, self.merchant_id, values)

    def bank_is(self, **values: Any) -> None:
        self._change(BankRow, BANK, values)

    def is_rented(self) -> None:
        """The bank is with somebody who has rented it."""
        with self.database.writing() as session:
            price = session.exec(select(TariffRow)).one()
            session.add(
                RentalRow(
                    id=new_id(),
                    renter_id=self.owner_id,
                    merchant_id=self.merchant_id,
                    bank_id=BANK,
                    tariff_id=price.id,
                    terms=price.terms,
                    commission_bp=1000,
                    state=RentalState.RENTING,
                    requested_at=NOON,
                    lat=31.2304,
                    lng=121.4737,
                    address="人民大道 200 號",
                    code="1234",
                )
            )
        self.bank_is(holder=Holder.RENTER, holder_id=self.owner_id, is_offered=False)

    def _change(self, table: type[SQLModel], id_: str, values: dict[str, Any]) -> None:
        with self.database.writing() as session:
            row = session.get_one(table, id_)
            for name, value in values.items():
                setattr(row, name, value)
            session.add(row)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path,
        database_url=database_url,
        demo=True,
        provider_url="http://127.0.0.1:8001",
    )


@pytest.fixture
def browser(settings: Settings) -> Iterator[Browser]:
    engine = make_engine(settings.url_of_database())
    database, clock = Database(engine), HandClock()
    parts = main.make_parts(settings, database=database, clock=clock)
    app = main.create_app(parts)
    with TestClient(app, base_url="http://lendwatt.test", raise_server_exceptions=False) as client:
        yield Browser(client=client, database=database, clock=clock)
    engine.dispose()
