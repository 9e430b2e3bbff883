"""The payee's API, under ``/v1``: payments, payouts, and the payer's part to be played."""

import json
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime, BaseModel

from backend.payments.provider_app.deps import (
    CurrentDesk,
    CurrentLine,
    CurrentPayouts,
    CurrentSettings,
    Key,
    account,
)
from backend.payments.provider_app.desk import Played
from backend.payments.provider_app.faults import At
from backend.payments.provider_app.rows import Answer
from backend.payments.provider_app.wire import (
    AmountBody,
    CreateBody,
    EmptyBody,
    PayOutBody,
    payment_view,
    payout_view,
)

router = APIRouter(dependencies=[Depends(account)])
Reference = Annotated[str, Query(max_length=64)]


class PlayBody(BaseModel):
    """What to play."""

    action: Played


# -- payments -----------------------------------------------------------------------------


@router.post("/v1/payments", status_code=201)
def create(body: CreateBody, key: Key, desk: CurrentDesk, line: CurrentLine) -> Response:
    """Ask a payer for money, or for a hold."""
    return line.say(At.CREATE, body.reference, lambda: desk.create(body.order(), key=key))


@router.get("/v1/payments/paid")
def paid(
    desk: CurrentDesk,
    settings: CurrentSettings,
    line: CurrentLine,
    since: AwareDatetime,
    after: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """What was taken since then, a page at a time: the next begins ``after`` the last id."""

    def listed() -> dict[str, object]:
        found, has_more = desk.paid_since(since, after=after)
        views = [payment_view(each, public_url=settings.public_url) for each in found]
        return {"data": views, "has_more": has_more}

    return line.say(At.LIST, "", _told(listed))


@router.get("/v1/payments/{payment_id}")
def fetch(
    payment_id: str, desk: CurrentDesk, settings: CurrentSettings, line: CurrentLine
) -> Response:
    """How a payment stands."""
    return line.say(
        At.FETCH,
        desk.reference_of(payment_id),
        _told(lambda: payment_view(desk.fetch(payment_id), public_url=settings.public_url)),
    )


@router.get("/v1/payments")
def find(
    reference: Reference, desk: CurrentDesk, settings: CurrentSettings, line: CurrentLine
) -> Response:
    """The payment that bears a reference: a list of none or one."""

    def found() -> dict[str, object]:
        payment = desk.find(reference)
        return {"data": [payment_view(payment, public_url=settings.public_url)] if payment else []}

    return line.say(At.FIND, reference, _told(found))


@router.post("/v1/payments/{payment_id}/capture")
def capture(
    payment_id: str, body: AmountBody, key: Key, desk: CurrentDesk, line: CurrentLine
) -> Response:
    """Take part or all of a hold; the rest is free again."""
    return line.say(
        At.CAPTURE,
        desk.reference_of(payment_id),
        lambda: desk.capture(payment_id, body.amount_minor, key=key),
    )


@router.post("/v1/payments/{payment_id}/cancel")
def cancel(
    payment_id: str, _body: EmptyBody, key: Key, desk: CurrentDesk, line: CurrentLine
) -> Response:
    """Let a hold go, or stop asking."""
    return line.say(
        At.CANCEL, desk.reference_of(payment_id), lambda: desk.cancel(payment_id, key=key)
    )


@router.post("/v1/payments/{payment_id}/refund")
def refund(
    payment_id: str, body: AmountBody, key: Key, desk: CurrentDesk, line: CurrentLine
) -> Response:
    """Give part or all back."""
    return line.say(
        At.REFUND,
        desk.reference_of(payment_id),
        lambda: desk.refund(payment_id, body.amount_minor, key=key),
    )


@router.post("/v1/payments/{payment_id}/simulate")
def simulate(
    payment_id: str, body: PlayBody, desk: CurrentDesk, settings: CurrentSettings
) -> dict[str, object]:
    """Do as the payer would on the page, or let time run out."""
    return payment_view(desk.play(payment_id, body.action), public_url=settings.public_url)


# -- payouts ------------------------------------------------------------------------------


@router.post("/v1/payouts", status_code=201)
def pay_out(body: PayOutBody, key: Key, payouts: CurrentPayouts, line: CurrentLine) -> Response:
    """Send money to an account."""
    return line.say(At.PAY_OUT, body.reference, lambda: payouts.pay_out(body.order(), key=key))


@router.get("/v1/payouts/{payout_id}")
def fetch_payout(
    payout_id: str, payouts: CurrentPayouts, settings: CurrentSettings, line: CurrentLine
) -> Response:
    """How a payout stands."""
    return line.say(
        At.FETCH_PAYOUT,
        payouts.reference_of(payout_id),
        _told(lambda: payout_view(payouts.fetch(payout_id), public_url=settings.public_url)),
    )


@router.get("/v1/payouts")
def find_payouts(
    payouts: CurrentPayouts,
    settings: CurrentSettings,
    line: CurrentLine,
    reference: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """The payout that bears a reference, or none; without a reference, the newest."""

    def found() -> dict[str, object]:
        one = None if reference is None else payouts.find(reference)
        listed = payouts.newest() if reference is None else filter(None, [one])
        return {"data": [payout_view(each, public_url=settings.public_url) for each in listed]}

    return line.say(At.FIND_PAYOUT, reference or "", _told(found))


def _told(view: Callable[[], dict[str, object]]) -> Callable[[], Answer]:
    return lambda: Answer(wish="", status=200, body=json.dumps(view()))
