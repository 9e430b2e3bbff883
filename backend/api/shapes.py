"""What rentals, banks, tariffs, payments and jobs look like on the wire."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Query
from pydantic import BeforeValidator, Field

from backend.api import words
from backend.api.deps import AppParts
from backend.api.schemas import Id, In, Latitude, Longitude, Out
from backend.db.seam import Seen
from backend.db.tables.market import BankRow, MerchantRow, MerchantStatus
from backend.db.tables.money import DepositRow, PaymentRow, PaymentState, Purpose
from backend.db.tables.rentals import JobKind, JobState, RentalStepRow
from backend.domain.cancellation import CancelStage
from backend.domain.custody import Holder, Proof
from backend.domain.deposit import DepositState
from backend.domain.dispatch import OfferState
from backend.domain.errors import Code, Refusal
from backend.domain.hours import parse, to_week
from backend.domain.lang import Lang
from backend.domain.precheck import WhyNot
from backend.domain.rental import RentalEvent, RentalState, Stage, stage_of
from backend.domain.tariff import BillingStart, Rounding, Terms, disclosure
from backend.limits import PAGE_MAX
from backend.services.jobs import JobView
from backend.services.places import Place
from backend.services.rentals import RentalView

# -- what comes in -------------------------------------------------------------------------

_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")


def _token_in(scanned: object) -> object:
    """Take the token out of what a camera read: the label's URL, or the token itself."""
    return scanned.rpartition("/")[2] if isinstance(scanned, str) else scanned


QrToken = Annotated[
    str,
    BeforeValidator(_token_in),
    Field(
        pattern=rf"^{_LABEL.pattern}$",
        description="What the bank's QR label says: its URL, or the token at the URL's end.",
        examples=["5rJ2mXg0S4mB0o5nE1c7Q9yYw3uT8zKd6hLpVtFaRiI"],
    ),
]
Address = Annotated[str, Field(min_length=1, max_length=200, examples=["人民大道 200 號 3 樓"])]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="Rows of this page.")]
Before = Annotated[Id | None, Query(description="`next` of the page before.")]


def _reader(accept_language: Annotated[str | None, Header()] = None) -> Lang:
    return words.language(accept_language)


Reader = Annotated[Lang, Depends(_reader)]
"""The language of who reads the answer."""


class PlaceIn(In):
    """Where to come."""

    lat: Latitude
    lng: Longitude
    address: Address

    def place(self) -> Place:
        """The same for the services."""
        return Place(lat=self.lat, lng=self.lng, address=self.address)


class ScanIn(In):
    """A scanned label."""

    qr_token: QrToken


# -- what goes out -------------------------------------------------------------------------


class PlaceOut(Out):
    """A place, WGS-84."""

    lat: float
    lng: float
    address: str


class TermsOut(Out):
    """A tariff's terms: amounts in minor units of the currency."""

    currency: str = Field(examples=["CNY"])
    free_s: int = Field(examples=[300])
    block_s: int = Field(examples=[900])
    block_price_minor: int = Field(examples=[100])
    cap_24h_minor: int = Field(examples=[3000])
    cap_total_minor: int = Field(examples=[9900])
    delivery_fee_minor: int = Field(examples=[500])
    deposit_minor: int = Field(examples=[9900])
    billing_start: BillingStart
    rounding: Rounding
    cancel_accepted_minor: int = Field(
        description="To call it off once staff have accepted.", examples=[0]
    )
    cancel_delivering_minor: int = Field(
        description="To call it off once staff are on the way.", examples=[300]
    )
    min_battery_pct: int = Field(description="The charge at the handover.", examples=[50])
    disclosure: str = Field(description="The same in words, in the reader's language.")

    @classmethod
    def of(cls, terms: Terms, lang: Lang) -> "TermsOut":
        """Show terms to a reader."""
        shown = {name: getattr(terms, name) for name in cls.model_fields if name != "disclosure"}
        return cls(**shown, disclosure=disclosure(terms, lang))


class BankStateOut(Out):
    """What the bank last said, and how old that is."""

    presence: str = Field(examples=["online"])
    battery_pct: int = Field(examples=[87])
    lock: str = Field(examples=["locked"])
    is_feeding: bool
    is_plugged: bool
    faults: list[str]
    told_at: datetime
    age_s: int = Field(description="Seconds since it told this.", examples=[12])


def state_of(seen: Seen | None, *, now: datetime) -> BankStateOut | None:
    """Show a shadow, with its age."""
    if seen is None:
        return None
    return BankStateOut(
        presence=seen.presence,
        battery_pct=seen.battery_pct,
        lock=seen.lock,
        is_feeding=seen.is_feeding,
        is_plugged=seen.is_plugged,
        faults=list(seen.faults),
        told_at=seen.state_at,
        age_s=max(0, int((now - seen.state_at).total_seconds())),
    )


class BankOut(Out):
    """A bank, as anybody may see it."""

    id: str = Field(examples=["LW-000123"])
    model: str = Field(examples=["LW-10K-A"])
    state: BankStateOut | None = Field(description="Null: it has not told anything yet.")

    @classmethod
    def of(cls, bank: BankRow, seen: Seen | None, *, now: datetime) -> "BankOut":
        """Show a bank and its shadow."""
        return cls(id=bank.id, model=bank.model, state=state_of(seen, now=now))


class ReasonOut(Out):
    """Why a bank cannot be rented now."""

    code: WhyNot
    text: str = Field(examples=["it is not charged enough"])


def reasons(why_not: tuple[WhyNot, ...], lang: Lang) -> list[ReasonOut]:
    """Say reasons in words."""
    texts = words.names(why_not, lang)
    return [ReasonOut(code=why, text=text) for why, text in zip(why_not, texts, strict=True)]


class MerchantCardOut(Out):
    """A merchant, as a renter sees it."""

    id: str
    name: str = Field(examples=["阿明的充電寶"])
    address: str
    lat: float
    lng: float
    service_radius_m: int = Field(examples=[3000])


def _week(stored: object) -> object:
    """Read opening hours as they are stored."""
    return to_week(parse(stored)) if isinstance(stored, str) else stored


Week = Annotated[
    dict[str, list[list[str]]],
    BeforeValidator(_week),
    Field(examples=[{"mon": [["09:00", "22:00"]], "fri": [["18:00", "02:00"]]}]),
]
"""Opening hours on the merchant's own clock."""


class MerchantOut(MerchantCardOut):
    """A merchant, as its owner and the operator see it."""

    status: MerchantStatus
    timezone: str = Field(examples=["Asia/Shanghai"])
    currency: str = Field(examples=["CNY"])
    is_open: bool = Field(description="The merchant's own switch for now.")
    hours: Week | None = Field(description="Spans by weekday; null: always open.")
    commission_bp: int = Field(description="The platform's part, basis points.", examples=[1000])
    created_at: datetime

    @classmethod
    def of(cls, merchant: MerchantRow) -> "MerchantOut":
        """Show a merchant."""
        return cls.model_validate(merchant)


class PaymentOut(Out):
    """A payment; follow it at `GET /payments/{id}`."""

    id: str
    rental_id: str
    purpose: Purpose
    state: PaymentState
    amount_minor: int = Field(examples=[9900])
    currency: str = Field(examples=["CNY"])
    pay_url: str | None = Field(description="The provider's page; null until it has answered.")
    created_at: datetime

    @classmethod
    def of(cls, payment: PaymentRow) -> "PaymentOut":
        """Show a payment."""
        return cls.model_validate(payment)


class DepositOut(Out):
    """The deposit of a rental."""

    state: DepositState
    amount_minor: int
    billed_minor: int = Field(description="What of it was taken for bills.", examples=[0])
    returned_minor: int = Field(
        description="What of it was taken, and went back or is on its way.", examples=[0]
    )
    currency: str
    held_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, deposit: DepositRow) -> "DepositOut":
        """Show a deposit."""
        return cls.model_validate(deposit)


class LineOut(Out):
    """A line of a bill, or of what it would be now."""

    kind: str = Field(examples=["blocks"])
    quantity: int = Field(examples=[3])
    amount_minor: int = Field(examples=[300])


class StepOut(Out):
    """Something that happened in a rental."""

    event: RentalEvent
    state: RentalState
    at: datetime
    proof: Proof | None
    why: str | None = Field(
        description="What the staff or the operator who took it for the renter said.",
        examples=["Rang for ten minutes."],
    )

    @classmethod
    def of(cls, step: RentalStepRow, *, renter_id: str) -> "StepOut":
        """Show a step; who took it stays inside."""
        is_said = step.proof is Proof.REASON and step.by_id not in {None, renter_id}
        why = step.evidence if is_said else None
        return cls(event=step.event, state=step.state, at=step.at, proof=step.proof, why=why)


class RentalOut(Out):
    """A rental, for its renter and for its merchant."""

    id: str
    state: RentalState
    stage: Stage
    merchant: MerchantCardOut
    bank: BankOut
    staff: str | None = Field(description="Who delivers.", examples=["小王"])
    collector: str | None = Field(description="Who collects.")
    place: PlaceOut
    return_place: PlaceOut | None
    requested_at: datetime
    accepted_at: datetime | None
    set_out_at: datetime | None
    handed_over_at: datetime | None
    confirmed_at: datetime | None = Field(description="When the bank said that it feeds.")
    billing_start_at: datetime | None
    return_requested_at: datetime | None
    collected_at: datetime | None
    returned_at: datetime | None = Field(description="The end of billing.")
    closed_at: datetime | None
    duration_s: int = Field(description="Time billed so far.")
    amount_minor: int = Field(description="The bill, or what it would be now.")
    is_final: bool = Field(description="Whether the amount is the bill.")
    currency: str
    lines: list[LineOut]
    buy_out_minor: int = Field(
        description="What keeping the bank costs, the time used included: the total cap, less what "
        "the rentals that this one replaces cost. Send it with the purchase.",
        examples=[9900],
    )
    tariff: TermsOut
    deposit: DepositOut | None
    payments: list[PaymentOut]
    steps: list[StepOut]
    promised_at: datetime | None = Field(
        description="By when it is delivered. Later, the delivery is free."
    )
    eta_at: datetime | None = Field(description="When it will arrive, as far as is known now.")
    abnormal_at: datetime | None = Field(
        description="Since when something is wrong with the delivery: late, or begun again."
    )
    is_abnormal: bool = Field(examples=[False])
    urges: int = Field(description="How often its renter asked where it is.", examples=[0])
    is_delivery_free: bool = Field(
        description="Whether the delivery costs nothing: it was late, or brings a substitute.",
        examples=[False],
    )
    cancel_fee_minor: int | None = Field(
        description="What calling it off costs now; null: it can not be called off any more. "
        "Send it with the cancellation.",
        examples=[200],
    )
    cancel_stage: CancelStage | None = Field(
        description="Why it costs that; `excused`: nothing, because you were kept waiting.",
        examples=[CancelStage.ACCEPTED],
    )
    cancelled_at: datetime | None
    claimed_returned_at: datetime | None = Field(
        description="Since when its renter says that it is back; null also once that was denied."
    )
    is_missing: bool = Field(
        description="Whether the bank is out and was not heard of for a day.", examples=[False]
    )
    given_mwh: int | None = Field(
        description="What the bank has given since it began to feed, mWh, as far as it told; null "
        "before that, and once it is collected.",
        examples=[4200],
    )
    payment_due_by: datetime | None = Field(
        description="Until when to pay the bill; then it is taken from the deposit."
    )
    credited_minor: int = Field(description="What of the bill was taken back.", examples=[0])
    bought_out_at: datetime | None = Field(
        description="Since when the bank is the renter's: lost, kept, or at the total cap."
    )
    replaces_id: str | None = Field(
        description="The rental whose broken bank this is a substitute for."
    )
    code: str | None = Field(
        default=None, description="For the renter, until it is handed over: tell it at the door."
    )

    @classmethod
    def of(cls, view: RentalView, lang: Lang, *, for_renter: bool) -> "RentalOut":
        """Show a rental; payments and the code are for its renter only."""
        rental = view.rental
        shows_code = for_renter and view.cancel_fee is not None
        return cls(
            id=rental.id,
            state=rental.state,
            stage=stage_of(rental.state, is_called_off=rental.cancelled_at is not None),
            merchant=MerchantCardOut.model_validate(view.merchant),
            bank=BankOut.of(view.bank, view.seen, now=view.now),
            staff=view.staff_name,
            collector=view.collector_name,
            place=PlaceOut(lat=rental.lat, lng=rental.lng, address=rental.address),
            return_place=_return_place(view),
            duration_s=view.elapsed_s,
            amount_minor=view.amount_minor,
            is_final=view.is_final,
            currency=view.terms.currency,
            lines=[LineOut.model_validate(line) for line in view.lines],
            buy_out_minor=view.buy_out_minor,
            tariff=TermsOut.of(view.terms, lang),
            deposit=None if view.deposit is None else DepositOut.of(view.deposit),
            payments=[PaymentOut.of(each) for each in view.payments] if for_renter else [],
            steps=[StepOut.of(step, renter_id=rental.renter_id) for step in view.steps],
            code=rental.code if shows_code else None,
            is_abnormal=rental.abnormal_at is not None,
            cancel_fee_minor=None if view.cancel_fee is None else view.cancel_fee.fee_minor,
            cancel_stage=None if view.cancel_fee is None else view.cancel_fee.stage,
            is_missing=view.is_missing,
            given_mwh=view.given_mwh,
            **{name: getattr(rental, name) for name in _AS_THEY_ARE},
            **{name: getattr(rental, name) for name in _MOMENTS},
        )


_MOMENTS: Final = tuple(name for name in RentalOut.model_fields if name.endswith("_at"))
_AS_THEY_ARE: Final = (
    "urges",
    "is_delivery_free",
    "payment_due_by",
    "credited_minor",
    "replaces_id",
)


def _return_place(view: RentalView) -> PlaceOut | None:
    rental = view.rental
    if rental.return_lat is None or rental.return_lng is None:
        return None
    return PlaceOut(
        lat=rental.return_lat, lng=rental.return_lng, address=rental.return_address or ""
    )


class RentalsOut(Out):
    """A page of rentals, newest first."""

    items: list[RentalOut]
    next: str | None = Field(description="Ask with `before` this for the next page; null: none.")

    @classmethod
    def of(
        cls, views: list[RentalView], lang: Lang, *, limit: int, for_renter: bool
    ) -> "RentalsOut":
        """Show a page."""
        items = [RentalOut.of(view, lang, for_renter=for_renter) for view in views]
        return cls(items=items, next=items[-1].id if len(items) == limit else None)


_SECOND: Final = timedelta(seconds=1)


class JobOut(Out):
    """A delivery or a collection."""

    id: str
    kind: JobKind
    state: JobState
    rental_id: str
    rental_state: RentalState
    merchant_id: str
    bank_id: str = Field(examples=["LW-000123"])
    bank_model: str
    bank_holder: Holder
    place: PlaceOut
    is_mine: bool
    has_bank: bool = Field(description="Whether the bank is in my hands: bring it home at the end.")
    offer_state: OfferState | None = Field(
        description="Whether I was asked. A lapsed offer may still be taken while the job is open."
    )
    offer_expires_at: datetime | None = Field(description="Until when I am asked.")
    offer_seconds_left: int | None = Field(examples=[41])
    deliver_by: datetime | None = Field(description="For a delivery: until when I should be there.")
    promised_at: datetime | None = Field(description="What the renter was promised.")
    late_at: datetime | None
    waits_until: datetime | None = Field(
        description="I am at the door: when I may say that the renter is absent."
    )
    urges: int = Field(description="How often the renter urged.")
    is_from_another: bool = Field(
        description="The renter asked at another merchant and keeps that one's terms."
    )
    terms: TermsOut
    commission_bp: int = Field(description="The platform's part, basis points.", examples=[1000])
    created_at: datetime
    accepted_at: datetime | None
    set_out_at: datetime | None
    done_at: datetime | None

    @classmethod
    def of(cls, view: JobView, lang: Lang, *, person_id: str, now: datetime) -> "JobOut":
        """Show a job to one of its merchant's people."""
        job, until = view.job, view.offered_until
        shared = ("id", "kind", "state", "rental_id", "merchant_id", "bank_id", "has_bank")
        moments = ("created_at", "accepted_at", "set_out_at", "done_at", "deliver_by", "late_at")
        values: dict[str, Any] = {name: getattr(job, name) for name in (*shared, *moments)}
        return cls(
            **values,
            rental_state=view.rental.state,
            bank_model=view.bank.model,
            bank_holder=view.bank.holder,
            place=PlaceOut(lat=job.lat, lng=job.lng, address=job.address),
            is_mine=job.staff_id == person_id,
            offer_state=None if view.offer is None else view.offer.state,
            offer_expires_at=until,
            offer_seconds_left=None if until is None else max(0, -((now - until) // _SECOND)),
            promised_at=view.rental.promised_at if job.kind is JobKind.DELIVERY else None,
            waits_until=view.waits_until,
            urges=view.rental.urges,
            is_from_another=view.is_from_another,
            terms=TermsOut.of(view.terms, lang),
            commission_bp=view.rental.commission_bp,
        )


def default_provider(parts: AppParts) -> str:
    """The name of the provider that new payments go to.

    Raises:
        Refusal: PROVIDER_AWAY, if none is configured.
    """
    if not parts.providers:
        raise Refusal(Code.PROVIDER_AWAY)
    return next(iter(parts.providers))


DefaultProvider = Annotated[str, Depends(default_provider)]
