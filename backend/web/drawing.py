"""What is drawn on the operator's first page: the city's dots, and the charts' columns."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from backend.db.tables.market import MerchantStatus
from backend.db.tables.rentals import JobKind, JobRow, RentalRow
from backend.domain.lang import Lang
from backend.domain.money import Currency
from backend.domain.series import Share
from backend.services.overview import Charts, City
from backend.web import duties, names, trade
from backend.web.points import place_of, point
from backend.web.reader import Reader


def points(seen: City, reader: Reader) -> list[dict[str, Any]]:
    """Put the whole city on the map; what is wrong lies on top."""
    found = [
        point(
            "wait" if lender.merchant.status is MerchantStatus.PENDING else "shop",
            lender.merchant,
            f"{lender.merchant.name} · {lender.at_home}/{lender.banks}",
            href=f"/operator/merchants/{lender.merchant.id}",
        )
        for lender in seen.lenders
    ]
    found += [
        point("staff", hand, hand.name or reader.t("服務人員", "Staff")) for hand in seen.hands
    ]
    found += [_job_point(job, reader.lang) for job in seen.jobs]
    in_hand = {job.rental_id for job in seen.jobs}
    found += [
        _bank_point(rental, seen, reader)
        for rental in seen.out
        if _ails(rental, seen) or rental.id not in in_hand
    ]
    return sorted(found, key=lambda each: each["kind"] == "alarm")


def _job_point(job: JobRow, lang: Lang) -> dict[str, Any]:
    label = f"{names.JOBS[job.kind][lang]} · {duties.JOBS[job.state][lang]} · {job.bank_id}"
    kind = "alarm" if job.late_at else "door" if job.kind is JobKind.DELIVERY else "fetch"
    return point(kind, job, label, href=f"/operator/rentals/{job.rental_id}")


def _bank_point(rental: RentalRow, seen: City, reader: Reader) -> dict[str, Any]:
    told = seen.seen.get(rental.bank_id)
    level = "" if told is None else f" · {told.battery_pct} %"
    label = f"{rental.bank_id}{level} · {trade.RENTALS[rental.state][reader.lang]}"
    kind = "alarm" if _ails(rental, seen) else "bank"
    return point(kind, place_of(rental), label, href=f"/operator/rentals/{rental.id}")


def _ails(rental: RentalRow, seen: City) -> bool:
    """Whether a rented bank is silent, or says that something is wrong with it."""
    told = seen.seen.get(rental.bank_id)
    return told is None or bool(told.faults) or told.presence == "offline"


def charts(told: Charts, rates: Sequence[tuple[datetime, float]]) -> dict[str, Any]:
    """Give columns as ``chart.js`` reads them: seconds, and values."""
    return {
        "punctuality": [_seconds(told.days[:-1]), _percent(told.punctuality)],
        "utilisation": [_seconds(told.hours), _percent(told.utilisation)],
        "asked": [_seconds(told.hours[:-1]), list(told.asked)],
        "held": {
            currency: [_seconds(told.hours), list(levels)] for currency, levels in told.held.items()
        },
        "messages": [_seconds(at for at, _ in rates), [round(rate, 2) for _, rate in rates]],
        "digits": {currency: 10 ** Currency.of(currency).exponent for currency in told.held},
    }


def _seconds(moments: Iterable[datetime]) -> list[int]:
    return [int(moment.timestamp()) for moment in moments]


def _percent(shares: Iterable[Share]) -> list[float | None]:
    return [None if share is None else round(share * 100, 1) for share in shares]
