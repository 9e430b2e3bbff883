"""What a renter does: scan, ask, scan to charge, pay the deposit, give back, pay."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import Field

from backend.api.deps import Asker, CurrentPrincipal, DbSession, Now
from backend.api.idempotency import IdempotentRoute
from backend.api.schemas import Id, In, Latitude, Longitude, Out
from backend.api.shapes import (
    BankOut,
    Before,
    DefaultProvider,
    Limit,
    MerchantCardOut,
    PaymentOut,
    PlaceIn,
    QrToken,
    Reader,
    ReasonOut,
    RentalOut,
    RentalsOut,
    ScanIn,
    TermsOut,
    reasons,
)
from backend.domain.geo import Point
from backend.domain.lang import Lang
from backend.domain.money import Minor
from backend.domain.rental import Stage
from backend.services import payments, purchases, rentals, returns, swaps
from backend.services.rentals import Offer

router = APIRouter(tags=["renter"], route_class=IdempotentRoute)


class OfferOut(Out):
    """What a label leads to: a bank, its price, and whether it can be rented now."""

    bank: BankOut
    merchant: MerchantCardOut
    tariff: TermsOut | None = Field(description="Null: no price, so not for rent.")
    rentable: bool
    why_not: list[ReasonOut] = Field(description="Every reason against, the most lasting first.")

    @classmethod
    def of(cls, offer: Offer, lang: Lang, *, now: datetime) -> Self:
        """Show an offer."""
        return cls(
            bank=BankOut.of(offer.bank, offer.seen, now=now),
            merchant=MerchantCardOut.model_validate(offer.merchant),
            tariff=None if offer.terms is None else TermsOut.of(offer.terms, lang),
            rentable=not offer.why_not,
            why_not=reasons(offer.why_not, lang),
        )


class AskIn(PlaceIn):
    """Ask for the bank with this label to be brought here."""

    qr_token: QrToken


class CancelIn(In):
    """The fee that was seen."""

    fee_minor: int = Field(
        default=0,
        ge=0,
        description="`cancel_fee_minor` as you saw it; if it costs more by now, nothing happens.",
        examples=[200],
    )


class ClaimIn(PlaceIn):
    """Where the bank was left, and with whom."""

    note: str = Field(default="", max_length=150, examples=["given to the lady at the counter"])


class SwapIn(In):
    """What is wrong with the bank, and where to bring another."""

    reason: str = Field(min_length=1, max_length=150, examples=["the cable is broken"])
    place: PlaceIn | None = Field(default=None, description="Null: where this one was brought to.")


class BuyOutIn(In):
    """The price of keeping the bank."""

    amount_minor: int = Field(
        ge=0, description="The rental's `buy_out_minor`, as you saw it.", examples=[9900]
    )


class DepositNoticeOut(Out):
    """The deposit notice: what to accept before the bank charges."""

    rental_id: str
    amount_minor: int = Field(examples=[9900])
    currency: str = Field(examples=["CNY"])
    disclosure: str
    disclosure_sha256: str


class AcceptIn(In):
    """The renter read the notice."""

    accepted_disclosure: bool


@router.get("/qr/{qr_token}")
def look(
    *,
    qr_token: QrToken,
    session: DbSession,
    asker: Asker,
    now: Now,
    lang: Reader,
    lat: Annotated[Latitude | None, Query()] = None,
    lng: Annotated[Longitude | None, Query()] = None,
) -> OfferOut:
    """Say what this bank is, what it costs, and in words why it cannot be rented now."""
    here = None if lat is None or lng is None else Point(lat=lat, lng=lng)
    asker_id = None if asker is None else asker.person_id
    offer = rentals.look(session, qr_token=qr_token, asker_id=asker_id, here=here, now=now)
    return OfferOut.of(offer, lang, now=now)


@router.post("/rentals", status_code=201)
def ask(
    *, body: AskIn, session: DbSession, who: CurrentPrincipal, now: Now, lang: Reader
) -> RentalOut:
    """Ask for a bank; its merchant's people hear at once."""
    rental = rentals.ask(session, who=who, qr_token=body.qr_token, place=body.place(), now=now)
    return RentalOut.of(rentals.view(session, rental, now=now), lang, for_renter=True)


@router.get("/rentals")
def mine(
    *,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
    stage: Annotated[Stage | None, Query(description="Only those of this stage.")] = None,
    before: Before = None,
    limit: Limit = 20,
) -> RentalsOut:
    """List my rentals, newest first."""
    views = rentals.mine(session, who=who, stage=stage, before=before, limit=limit, now=now)
    return RentalsOut.of(views, lang, limit=limit, for_renter=True)


@router.get("/rentals/{rental_id}")
def one(
    rental_id: Id, session: DbSession, who: CurrentPrincipal, now: Now, lang: Reader
) -> RentalOut:
    """Show one of my rentals: where it stands, what it costs so far, how full the bank is."""
    view = rentals.one(session, who=who, rental_id=rental_id, now=now)
    return RentalOut.of(view, lang, for_renter=True)


@router.post("/rentals/{rental_id}/cancel")
def cancel(
    *,
    rental_id: Id,
    body: CancelIn | None = None,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
) -> RentalOut:
    """Call it off before it is handed over, for the fee that you saw."""
    seen_minor = Minor(0 if body is None else body.fee_minor)
    rental = rentals.cancel(session, who=who, rental_id=rental_id, seen_minor=seen_minor, now=now)
    return RentalOut.of(rentals.view(session, rental, now=now), lang, for_renter=True)


@router.post("/rentals/{rental_id}/code")
def renew_code(
    rental_id: Id, session: DbSession, who: CurrentPrincipal, now: Now, lang: Reader
) -> RentalOut:
    """Make a new handover code, when the old one is locked."""
    rental = rentals.renew_code(session, who=who, rental_id=rental_id)
    return RentalOut.of(rentals.view(session, rental, now=now), lang, for_renter=True)


@router.post("/rentals/{rental_id}/scan")
def scan(
    *,
    rental_id: Id,
    body: ScanIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
) -> DepositNoticeOut:
    """Scan to charge the bank that was handed over: answered with a deposit notice."""
    notice = rentals.scan(
        session, who=who, rental_id=rental_id, qr_token=body.qr_token, lang=lang, now=now
    )
    return DepositNoticeOut(
        rental_id=notice.rental.id,
        amount_minor=notice.terms.deposit_minor,
        currency=notice.terms.currency,
        disclosure=notice.disclosure,
        disclosure_sha256=notice.disclosure_sha256,
    )


@router.post("/rentals/{rental_id}/deposit", status_code=202)
def pay_deposit(
    *,
    rental_id: Id,
    body: AcceptIn,
    session: DbSession,
    who: CurrentPrincipal,
    provider: DefaultProvider,
    now: Now,
) -> PaymentOut:
    """Accept the notice and have the deposit held: follow the payment to its `pay_url`."""
    payment = payments.start_deposit(
        session,
        who=who,
        rental_id=rental_id,
        is_accepted=body.accepted_disclosure,
        provider=provider,
        now=now,
    )
    return PaymentOut.of(payment)


@router.post("/rentals/{rental_id}/return")
def ask_return(
    *,
    rental_id: Id,
    body: PlaceIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
) -> RentalOut:
    """Ask for the bank to be fetched here. The meter stops now."""
    rental = returns.ask_return(session, who=who, rental_id=rental_id, place=body.place(), now=now)
    return RentalOut.of(rentals.view(session, rental, now=now), lang, for_renter=True)


@router.post("/rentals/{rental_id}/claim-returned")
def claim_returned(
    *,
    rental_id: Id,
    body: ClaimIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
) -> RentalOut:
    """Say that it is back already. The meter stops now; staff look, and confirm or deny it."""
    rental = returns.claim(
        session, who=who, rental_id=rental_id, place=body.place(), note_=body.note, now=now
    )
    return RentalOut.of(rentals.view(session, rental, now=now), lang, for_renter=True)


@router.post("/rentals/{rental_id}/swap", status_code=201)
def swap(
    *,
    rental_id: Id,
    body: SwapIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
) -> RentalOut:
    """Have a broken bank fetched and another brought for nothing: answered with its rental."""
    place = None if body.place is None else body.place.place()
    rental = swaps.swap(
        session, who=who, rental_id=rental_id, place=place, reason=body.reason, now=now
    )
    return RentalOut.of(rentals.view(session, rental, now=now), lang, for_renter=True)


@router.post("/rentals/{rental_id}/buy-out")
def buy_out(
    *,
    rental_id: Id,
    body: BuyOutIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
) -> RentalOut:
    """Keep the bank, or pay for having lost it. If it is found in time, that is given back."""
    rental = purchases.buy(
        session, who=who, rental_id=rental_id, amount_minor=Minor(body.amount_minor), now=now
    )
    return RentalOut.of(rentals.view(session, rental, now=now), lang, for_renter=True)


@router.post("/rentals/{rental_id}/payment", status_code=202)
def pay(
    *,
    rental_id: Id,
    session: DbSession,
    who: CurrentPrincipal,
    provider: DefaultProvider,
    now: Now,
) -> PaymentOut:
    """Pay the bill: follow the payment to its `pay_url`."""
    payment = payments.start_bill(session, who=who, rental_id=rental_id, provider=provider, now=now)
    return PaymentOut.of(payment)


@router.get("/payments/{payment_id}")
def payment(payment_id: Id, session: DbSession, who: CurrentPrincipal) -> PaymentOut:
    """Show where a payment of mine stands."""
    return PaymentOut.of(payments.one(session, who=who, payment_id=payment_id))
