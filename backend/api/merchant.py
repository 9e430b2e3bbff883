"""What a merchant does: register, report banks, set prices, hire, watch the rentals."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from backend.api.deps import AppParts, CurrentPrincipal, DbSession, Now
from backend.api.idempotency import IdempotentRoute
from backend.api.schemas import In, Latitude, Longitude, Out, Phone
from backend.api.shapes import (
    Address,
    BankOut,
    Before,
    Limit,
    MerchantOut,
    Reader,
    ReasonOut,
    RentalOut,
    RentalsOut,
    TermsOut,
    reasons,
)
from backend.db.tables.market import BankRow, StaffRow, TariffRow
from backend.domain.custody import Holder
from backend.domain.lang import Lang
from backend.domain.money import Currency, Minor
from backend.domain.rental import MerchantList, RentalState, states_in
from backend.domain.tariff import BillingStart, Rounding, Terms, from_json
from backend.services import market, rentals
from backend.services.availability import Looked

router = APIRouter(prefix="/merchants", tags=["merchant"], route_class=IdempotentRoute)
secrets = APIRouter(prefix="/merchants", tags=["merchant"])
"""Routes that show a secret once. What they answer is kept nowhere, so a repeat is no replay:
it is refused, or makes yet another secret."""

Name = Annotated[str, Field(min_length=1, max_length=80, examples=["阿明的充電寶"])]
Reason = Annotated[str, Field(min_length=1, max_length=200, examples=["counted in the shop"])]


class MerchantIn(In):
    """A merchant to register."""

    name: Name
    timezone: str = Field(max_length=64, examples=["Asia/Shanghai"])
    currency: str = Field(pattern=r"^[A-Z]{3}$", examples=["CNY"])
    lat: Latitude
    lng: Longitude
    address: Address
    service_radius_m: int = Field(ge=100, le=50_000, examples=[3000])


class MerchantsOut(Out):
    """Merchants."""

    items: list[MerchantOut]


class BankIn(In):
    """A bank to report."""

    bank_id: str = Field(pattern=r"^[A-Z0-9-]{4,32}$", examples=["LW-000123"])
    model: str = Field(pattern=r"^[A-Za-z0-9._+-]{1,32}$", examples=["LW-10K-A"])


class MqttOut(Out):
    """Where the bank connects."""

    host: str
    port: int


class RegisteredOut(Out):
    """A bank with what it needs to connect. The secret is shown this once."""

    bank: BankOut
    secret: str = Field(description="The MQTT password; the user name and client id are the id.")
    mqtt: MqttOut
    qr_token: str
    qr_url: str = Field(examples=["https://lendwatt.example/b/5rJ2mXg0S4mB0o5nE1c7Q9yY"])

    @classmethod
    def of(cls, made: market.Registered, parts: AppParts, now: datetime) -> "RegisteredOut":
        """Show what was made."""
        host, port = parts.mqtt
        return cls(
            bank=BankOut.of(made.bank, None, now=now),
            secret=made.secret,
            mqtt=MqttOut(host=host, port=port),
            qr_token=made.bank.qr_token,
            qr_url=_label_url(parts, made.bank),
        )


class StockBankOut(BankOut):
    """A bank, as its merchant sees it."""

    holder: Holder
    held_since: datetime
    qr_url: str
    rentable: bool
    why_not: list[ReasonOut]


class TotalsOut(Out):
    """How many."""

    all: int
    rentable: int
    rented: int = Field(description="With renters.")


class StockOut(Out):
    """A merchant's banks."""

    totals: TotalsOut
    items: list[StockBankOut]


class TermsIn(In):
    """Terms of a new tariff version, in minor units of the merchant's currency."""

    free_s: int = Field(examples=[300])
    block_s: int = Field(examples=[900])
    block_price_minor: int = Field(examples=[100])
    cap_24h_minor: int = Field(examples=[3000])
    cap_total_minor: int = Field(examples=[9900])
    delivery_fee_minor: int = Field(examples=[500])
    deposit_minor: int = Field(examples=[9900])
    billing_start: BillingStart = Field(strict=False)
    rounding: Rounding = Field(strict=False)

    def terms(self, currency: str) -> Terms:
        """The same for the domain, which lints it."""
        return Terms(
            currency=Currency.of(currency),
            free_s=self.free_s,
            block_s=self.block_s,
            block_price_minor=Minor(self.block_price_minor),
            cap_24h_minor=Minor(self.cap_24h_minor),
            cap_total_minor=Minor(self.cap_total_minor),
            delivery_fee_minor=Minor(self.delivery_fee_minor),
            deposit_minor=Minor(self.deposit_minor),
            billing_start=self.billing_start,
            rounding=self.rounding,
        )


class TariffOut(Out):
    """A tariff version; the highest is in force."""

    id: str
    version: int
    terms: TermsOut
    created_at: datetime

    @classmethod
    def of(cls, row: TariffRow, lang: Lang) -> "TariffOut":
        """Show a version."""
        terms = TermsOut.of(from_json(row.terms), lang)
        return cls(id=row.id, version=row.version, terms=terms, created_at=row.created_at)


class TariffsOut(Out):
    """All versions, newest first."""

    items: list[TariffOut]


class StaffIn(In):
    """Somebody to hire."""

    phone: Phone
    name: Name


class StaffOut(Out):
    """A member of staff."""

    id: str
    person_id: str
    name: str
    joined_at: datetime

    @classmethod
    def of(cls, row: StaffRow) -> "StaffOut":
        """Show a member of staff."""
        return cls.model_validate(row)


class StaffListOut(Out):
    """Who works for a merchant now."""

    items: list[StaffOut]


class ReceiveIn(In):
    """Taking a bank back without a scan."""

    reason: Reason


@router.post("", status_code=201)
def register(body: MerchantIn, session: DbSession, who: CurrentPrincipal, now: Now) -> MerchantOut:
    """Register as a merchant; an operator approves it before it can lend."""
    return MerchantOut.of(market.register(session, who=who, now=now, **body.model_dump()))


@router.get("/mine")
def mine(session: DbSession, who: CurrentPrincipal) -> MerchantsOut:
    """List the merchants that are mine."""
    return MerchantsOut(items=[MerchantOut.of(row) for row in market.mine(session, who=who)])


@secrets.post("/{merchant_id}/banks", status_code=201)
def register_bank(
    *,
    merchant_id: str,
    body: BankIn,
    parts: AppParts,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
) -> RegisteredOut:
    """Report a bank. A repeat is refused; a secret that was lost is replaced, not shown again."""
    made = market.register_bank(
        session, who=who, merchant_id=merchant_id, bank_id=body.bank_id, model=body.model, now=now
    )
    return RegisteredOut.of(made, parts, now)


@secrets.post("/{merchant_id}/banks/{bank_id}/secret")
def rotate_secret(
    *,
    merchant_id: str,
    bank_id: str,
    parts: AppParts,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
) -> RegisteredOut:
    """Replace a bank's secret; the old one ends at once."""
    made = market.rotate_secret(session, who=who, merchant_id=merchant_id, bank_id=bank_id, now=now)
    return RegisteredOut.of(made, parts, now)


@router.get("/{merchant_id}/banks")
def banks(
    *,
    merchant_id: str,
    parts: AppParts,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
) -> StockOut:
    """List my banks, what speaks against renting each, and the totals."""
    stock = market.stock(session, who=who, merchant_id=merchant_id, now=now)
    totals = TotalsOut(all=len(stock.banks), rentable=stock.rentable, rented=stock.rented)
    items = [_stock_bank(looked, parts, now=now, lang=lang) for looked in stock.banks]
    return StockOut(totals=totals, items=items)


def _stock_bank(looked: Looked, parts: AppParts, *, now: datetime, lang: Lang) -> StockBankOut:
    bank = looked.bank
    return StockBankOut(
        **BankOut.of(bank, looked.seen, now=now).model_dump(),
        holder=bank.holder,
        held_since=bank.held_since,
        qr_url=_label_url(parts, bank),
        rentable=not looked.why_not,
        why_not=reasons(looked.why_not, lang),
    )


def _label_url(parts: AppParts, bank: BankRow) -> str:
    return f"{parts.settings.public_url}/b/{bank.qr_token}"


@router.post("/{merchant_id}/banks/{bank_id}/receive")
def receive(
    *,
    merchant_id: str,
    bank_id: str,
    body: ReceiveIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
) -> BankOut:
    """Take a bank back from staff and put it up for rent again, in my own word."""
    bank = market.receive(
        session,
        who=who,
        merchant_id=merchant_id,
        bank_id=bank_id,
        reason=body.reason,
        now=now,
    )
    return BankOut.of(bank, None, now=now)


@router.post("/{merchant_id}/tariffs", status_code=201)
def set_tariff(
    *,
    merchant_id: str,
    body: TermsIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
) -> TariffOut:
    """Put a new version of the price in force, for rentals asked for from now on."""
    currency = market.own(session, who, merchant_id).currency
    terms = body.terms(currency)
    row = market.set_tariff(session, who=who, merchant_id=merchant_id, terms=terms, now=now)
    return TariffOut.of(row, lang)


@router.get("/{merchant_id}/tariffs")
def tariffs(
    merchant_id: str, session: DbSession, who: CurrentPrincipal, lang: Reader
) -> TariffsOut:
    """List all versions of the price, newest first."""
    rows = market.tariffs(session, who=who, merchant_id=merchant_id)
    return TariffsOut(items=[TariffOut.of(row, lang) for row in rows])


@router.post("/{merchant_id}/staff", status_code=201)
def hire(
    *, merchant_id: str, body: StaffIn, session: DbSession, who: CurrentPrincipal, now: Now
) -> StaffOut:
    """Hire somebody by their phone."""
    row = market.hire(
        session, who=who, merchant_id=merchant_id, phone=body.phone, name=body.name, now=now
    )
    return StaffOut.of(row)


@router.get("/{merchant_id}/staff")
def staff(merchant_id: str, session: DbSession, who: CurrentPrincipal) -> StaffListOut:
    """List who works for me."""
    rows = market.staff(session, who=who, merchant_id=merchant_id)
    return StaffListOut(items=[StaffOut.of(row) for row in rows])


@router.get("/{merchant_id}/rentals")
def rentals_by_state(
    *,
    merchant_id: str,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
    state: Annotated[MerchantList | None, Query(description="Which list.")] = None,
    before: Before = None,
    limit: Limit = 20,
) -> RentalsOut:
    """List my rentals: to fulfil, in progress, to collect, completed."""
    states = tuple(RentalState) if state is None else tuple(states_in(state))
    views = rentals.at_merchant(
        session,
        who=who,
        merchant_id=merchant_id,
        states=states,
        before=before,
        limit=limit,
        now=now,
    )
    return RentalsOut.of(views, lang, limit=limit, for_renter=False)


@router.get("/{merchant_id}/rentals/{rental_id}")
def rental(
    *,
    merchant_id: str,
    rental_id: str,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
) -> RentalOut:
    """Show one of my rentals."""
    view = rentals.one_at_merchant(
        session, who=who, merchant_id=merchant_id, rental_id=rental_id, now=now
    )
    return RentalOut.of(view, lang, for_renter=False)
