"""A merchant's prices: presets to begin with, a preview, versions."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from backend.api import words
from backend.api.deps import CurrentPrincipal, DbSession, Now
from backend.api.idempotency import IdempotentRoute
from backend.api.schemas import Id, In, Out
from backend.api.shapes import LineOut, Reader, TermsOut
from backend.db.tables.market import TariffRow
from backend.domain.disclosure_words import MARKETS
from backend.domain.lang import Lang
from backend.domain.markets import RULES, Market
from backend.domain.money import ZERO, Currency, Minor
from backend.domain.presets import PRESETS
from backend.domain.quotes import Quote, in_words
from backend.domain.tariff import BillingStart, Problem, Rounding, Terms, disclosure, from_json
from backend.services import market, tariffs

router = APIRouter(tags=["merchant"], route_class=IdempotentRoute)

Amount = Annotated[int, Field(description="Minor units of the merchant's currency.")]


class TermsIn(In):
    """Terms of a tariff, in minor units of the merchant's currency."""

    free_s: int = Field(examples=[300])
    block_s: int = Field(examples=[900])
    block_price_minor: Amount = Field(examples=[100])
    cap_24h_minor: Amount = Field(examples=[3000])
    cap_total_minor: Amount = Field(examples=[9900])
    delivery_fee_minor: Amount = Field(examples=[500])
    deposit_minor: Amount = Field(examples=[9900])
    billing_start: BillingStart = Field(strict=False, examples=["plugged"])
    rounding: Rounding = Field(strict=False, examples=["ceil"])
    cancel_accepted_minor: Amount = Field(default=ZERO, examples=[0])
    cancel_delivering_minor: Amount = Field(default=ZERO, examples=[300])
    min_battery_pct: int = Field(default=50, examples=[50])
    market: Market = Field(
        default=Market.PLAIN, strict=False, description="Whose rules it keeps.", examples=["plain"]
    )

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
            cancel_accepted_minor=Minor(self.cancel_accepted_minor),
            cancel_delivering_minor=Minor(self.cancel_delivering_minor),
            min_battery_pct=self.min_battery_pct,
        )


class TariffOut(Out):
    """A tariff version; the highest is in force."""

    id: str = Field(examples=["01JD9ZV3C8R000000000000000"])
    version: int = Field(examples=[2])
    market: Market = Field(description="Whose rules it keeps.")
    terms: TermsOut
    created_at: datetime

    @classmethod
    def of(cls, row: TariffRow, lang: Lang) -> "TariffOut":
        """Show a version."""
        return cls(
            id=row.id,
            version=row.version,
            market=row.market,
            terms=TermsOut.of(from_json(row.terms), lang),
            created_at=row.created_at,
        )


class TariffsOut(Out):
    """All versions, newest first."""

    items: list[TariffOut]


class RulesOut(Out):
    """What a market asks of every price in it."""

    currency: Currency | None = Field(description="Null: any.", examples=["CNY"])
    block_most_s: int | None = Field(description="Null: any.", examples=[900])
    free_least_s: int = Field(examples=[300])
    are_later_parts_free: bool = Field(description="`floor_after_first` is asked for.")
    battery_least_pct: int = Field(examples=[50])


class PresetOut(Out):
    """A price to begin with."""

    market: Market = Field(examples=["beijing"])
    name: str = Field(examples=["Beijing"])
    about: str = Field(examples=["By the 2025 pact of the city's lenders: …"])
    rules: RulesOut
    terms: TermsOut

    @classmethod
    def of(cls, preset: Market, lang: Lang) -> "PresetOut":
        """Show a market's preset."""
        name, about = MARKETS[lang][preset]
        return cls(
            market=preset,
            name=name,
            about=about,
            rules=RulesOut.model_validate(RULES[preset]),
            terms=TermsOut.of(PRESETS[preset], lang),
        )


class PresetsOut(Out):
    """A price to begin with for each market."""

    items: list[PresetOut]


class ProblemOut(Out):
    """Why terms cannot be put in force."""

    code: str = Field(examples=["tariff_cap_under_block"])
    fields: list[str] = Field(examples=[["cap_24h_minor", "block_price_minor"]])
    text: str = Field(examples=["The daily cap is under one block's price"])

    @classmethod
    def of(cls, problem: Problem, lang: Lang) -> "ProblemOut":
        """Say a problem in words."""
        (text,) = words.names([problem.code], lang)
        return cls(code=problem.code, fields=list(problem.fields), text=text)


class QuoteOut(Out):
    """What a span would cost."""

    span_s: int = Field(examples=[3600])
    amount_minor: int = Field(description="With the delivery fee.", examples=[900])
    late_minor: int = Field(description="If the delivery was late.", examples=[400])
    lines: list[LineOut]
    is_bought: bool = Field(description="The total cap is reached, and the bank with it.")
    text: str = Field(examples=["1 h: ¥9.00, or ¥4.00 if the delivery is late"])

    @classmethod
    def of(cls, quote: Quote, terms: Terms, lang: Lang) -> "QuoteOut":
        """Show a quote."""
        return cls(
            span_s=quote.span_s,
            amount_minor=quote.price.total_minor,
            late_minor=quote.late_minor,
            lines=[LineOut.model_validate(line) for line in quote.price.lines],
            is_bought=quote.is_bought,
            text=in_words(quote, terms, lang),
        )


class PreviewOut(Out):
    """What would come of terms, which were not kept."""

    problems: list[ProblemOut] = Field(description="Empty: they may be put in force.")
    quotes: list[QuoteOut] = Field(description="Empty if there is a problem.")
    disclosure: str | None = Field(description="What renters would accept; null with a problem.")


@router.get("/tariff-presets")
def presets(_who: CurrentPrincipal, lang: Reader) -> PresetsOut:
    """List a price to begin with for each market, and the market's rules."""
    return PresetsOut(items=[PresetOut.of(preset, lang) for preset in PRESETS])


@router.post("/merchants/{merchant_id}/tariffs", status_code=201)
def set_tariff(
    *,
    merchant_id: Id,
    body: TermsIn,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
) -> TariffOut:
    """Put a new version of my price in force; rentals that were asked for keep theirs."""
    terms = body.terms(market.own(session, who, merchant_id).currency)
    row = tariffs.put_in_force(
        session, who=who, merchant_id=merchant_id, terms=terms, market=body.market, now=now
    )
    return TariffOut.of(row, lang)


@router.post("/merchants/{merchant_id}/tariffs/preview")
def preview(
    *, merchant_id: Id, body: TermsIn, session: DbSession, who: CurrentPrincipal, lang: Reader
) -> PreviewOut:
    """Try terms out: what is wrong with them, or what they come to, in words. Nothing is kept."""
    terms = body.terms(market.own(session, who, merchant_id).currency)
    seen = tariffs.preview(
        session, who=who, merchant_id=merchant_id, terms=terms, market=body.market
    )
    return PreviewOut(
        problems=[ProblemOut.of(problem, lang) for problem in seen.problems],
        quotes=[QuoteOut.of(quote, terms, lang) for quote in seen.quotes],
        disclosure=None if seen.problems else disclosure(terms, lang),
    )


@router.get("/merchants/{merchant_id}/tariffs")
def versions(
    merchant_id: Id, session: DbSession, who: CurrentPrincipal, lang: Reader
) -> TariffsOut:
    """List all versions of my price, newest first."""
    rows = tariffs.versions(session, who=who, merchant_id=merchant_id)
    return TariffsOut(items=[TariffOut.of(row, lang) for row in rows])
