"""The page where a payer says yes or no, and the receipt of money that was sent.

Whoever has a payment's link may answer it, as on any checkout page. The form carries a token
made from the payment's id and the account's key, so that
another site cannot post it blindly. All that others wrote is escaped; there is no script.
"""

import hashlib
import hmac
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Header, Query, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from backend.payments.provider_app.deps import CurrentDesk, CurrentPayouts, CurrentSettings
from backend.payments.provider_app.desk import Played
from backend.payments.provider_app.money import written
from backend.payments.provider_app.payment import Mode, Payment, Status
from backend.payments.provider_app.payout import PayoutStatus
from backend.payments.provider_app.problems import Refused
from backend.payments.provider_app.settings import ProviderSettings
from backend.payments.provider_app.words import WORDS, Lang, Words, chosen_lang, span

HERE: Final = Path(__file__).parent
HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",  # the address is what opens the payment
    "x-content-type-options": "nosniff",
}
_ANSWERS: Final = {"pay": Played.PAY, "decline": Played.DECLINE}
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _lang(
    asked: Annotated[str, Query(alias="lang", max_length=20)] = "",
    accepted: Annotated[str, Header(alias="Accept-Language", max_length=1000)] = "",
) -> Lang:
    return chosen_lang(asked, accepted)


ReadersLang = Annotated[Lang, Depends(_lang)]
router = APIRouter(include_in_schema=False)


@router.get("/pay/{payment_id}")
def show(
    payment_id: str, desk: CurrentDesk, settings: CurrentSettings, lang: ReadersLang
) -> Response:
    """The question, or how it was answered."""
    try:
        payment = desk.shown(payment_id)
    except Refused:
        return _missing(lang)
    return _page(payment, settings, lang)


@router.post("/pay/{payment_id}")
def answer(
    *,
    payment_id: str,
    action: Annotated[str, Form(max_length=20)] = "",
    token: Annotated[str, Form(max_length=100)] = "",
    desk: CurrentDesk,
    settings: CurrentSettings,
    lang: ReadersLang,
) -> Response:
    """Yes or no. Then, or if it is too late for either, the page shows how things stand."""
    if action not in _ANSWERS or not _is_ours(token, payment_id, settings):
        words = WORDS[lang]
        return _sorry(lang, HTTPStatus.FORBIDDEN, words.stale_form, words.stale_form_more)
    with suppress(Refused):
        desk.play(payment_id, _ANSWERS[action])
    address = f"/pay/{payment_id}?lang={lang}"
    return RedirectResponse(address, status_code=HTTPStatus.SEE_OTHER, headers=HEADERS)


@router.get("/payouts/{payout_id}")
def receipt(
    payout_id: str, payouts: CurrentPayouts, settings: CurrentSettings, lang: ReadersLang
) -> Response:
    """What became of money that was sent."""
    words = WORDS[lang]
    try:
        payout = payouts.fetch(payout_id)
    except Refused:
        return _sorry(lang, HTTPStatus.NOT_FOUND, words.no_payout, words.not_found_more)
    titles = {
        PayoutStatus.PENDING: words.payout_pending,
        PayoutStatus.PAID: words.payout_paid,
        PayoutStatus.FAILED: words.payout_failed,
    }
    return _html(
        "payout.html",
        lang,
        payout=payout,
        payer=settings.payee,
        amount=written(payout.order.amount_minor, payout.order.currency, lang),
        title=titles[payout.status],
        mood=_PAYOUT_MOODS[payout.status],
    )


def _page(payment: Payment, settings: ProviderSettings, lang: Lang) -> HTMLResponse:
    words = WORDS[lang]
    is_hold = payment.order.mode is Mode.MANUAL
    title, lines = _said(payment, lang)
    return _html(
        "pay.html",
        lang,
        payment=payment,
        payee=settings.payee,
        is_hold=is_hold,
        amount=written(payment.order.amount_minor, payment.order.currency, lang),
        about=words.about_hold.format(span=span(settings.hold_s, words))
        if is_hold
        else words.about_payment,
        title=title,
        lines=lines,
        mood=_MOODS[payment.status],
        token=_token(payment.id, settings),
    )


_MOODS: Final = {
    Status.OPEN: "asking",
    Status.AUTHORIZED: "good",
    Status.PAID: "good",
    Status.FAILED: "bad",
    Status.CANCELED: "still",
    Status.EXPIRED: "still",
}


_PAYOUT_MOODS: Final = {
    PayoutStatus.PENDING: "waiting",
    PayoutStatus.PAID: "good",
    PayoutStatus.FAILED: "bad",
}


def _said(payment: Payment, lang: Lang) -> tuple[str, list[str]]:
    """The headline and the sentences below it."""
    words = WORDS[lang]
    untaken = words.nothing_taken if payment.capture_before is None else words.hold_ended
    match payment.status:
        case Status.OPEN:
            return words.hold if payment.order.mode is Mode.MANUAL else words.payment, []
        case Status.AUTHORIZED:
            return words.authorized, [words.authorized_more]
        case Status.PAID:
            return words.paid, _taken(payment, words, lang)
        case Status.FAILED:
            return words.failed, [untaken]
        case Status.CANCELED:
            return words.canceled, [untaken]
        case Status.EXPIRED:
            return words.expired, [untaken]


def _taken(payment: Payment, words: Words, lang: Lang) -> list[str]:
    rest = payment.order.amount_minor - payment.captured_minor
    told = (
        (words.paid_more, payment.captured_minor),
        (words.paid_rest, rest),
        (words.refunded, payment.refunded_minor),
    )
    currency = payment.order.currency
    return [text.format(amount=written(sum_, currency, lang)) for text, sum_ in told if sum_]


def _missing(lang: Lang) -> HTMLResponse:
    words = WORDS[lang]
    return _sorry(lang, HTTPStatus.NOT_FOUND, words.not_found, words.not_found_more)


def _sorry(lang: Lang, status: HTTPStatus, title: str, more: str) -> HTMLResponse:
    return _html("sorry.html", lang, status=status, title=title, more=more)


def _html(name: str, lang: Lang, status: int = HTTPStatus.OK, **values: object) -> HTMLResponse:
    other = Lang.EN if lang is Lang.ZH else Lang.ZH
    text = _TEMPLATES.get_template(name).render(w=WORDS[lang], lang=lang, other=other, **values)
    return HTMLResponse(text, status_code=status, headers=HEADERS)


def _token(payment_id: str, settings: ProviderSettings) -> str:
    return hmac.digest(
        settings.api_key.encode(), f"pay page {payment_id}".encode(), hashlib.sha256
    ).hex()


def _is_ours(token: str, payment_id: str, settings: ProviderSettings) -> bool:
    return hmac.compare_digest(token.encode(), _token(payment_id, settings).encode())
