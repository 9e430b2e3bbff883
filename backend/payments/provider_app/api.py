"""The payee's API, under ``/v1``, and the sandbox's own knobs."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel

from backend.payments.provider_app.behaviour import Behaviour, Webhooks
from backend.payments.provider_app.desk import Desk, Played
from backend.payments.provider_app.memory import Answer
from backend.payments.provider_app.problems import MEDIA_TYPE, Code, Refused
from backend.payments.provider_app.settings import ProviderSettings
from backend.payments.provider_app.wire import AmountBody, CreateBody, EmptyBody, payment_view


def _settings(request: Request) -> ProviderSettings:
    settings: ProviderSettings = request.app.state.settings
    return settings


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def _behaviour(request: Request) -> Behaviour:
    behaviour: Behaviour = request.app.state.behaviour
    return behaviour


CurrentSettings = Annotated[ProviderSettings, Depends(_settings)]
CurrentDesk = Annotated[Desk, Depends(_desk)]
CurrentBehaviour = Annotated[Behaviour, Depends(_behaviour)]
Key = Annotated[str, Header(alias="Idempotency-Key", pattern=r"^[\x21-\x7e]{1,255}$")]


def _account(settings: CurrentSettings, authorization: Annotated[str, Header()] = "") -> None:
    """Only the account's own software comes past here."""
    expected = f"Bearer {settings.api_key}".encode()
    if not secrets.compare_digest(authorization.encode(), expected):
        raise Refused(Code.UNAUTHORIZED, "send the account's key: Authorization: Bearer <key>")


router = APIRouter(dependencies=[Depends(_account)])


class PlayBody(BaseModel):
    """What to play."""

    action: Played


class BehaviourBody(BaseModel):
    """How to behave from now on."""

    webhooks: Webhooks


@router.post("/v1/payments", status_code=201)
def create(body: CreateBody, key: Key, desk: CurrentDesk) -> Response:
    """Ask a payer for money, or for a hold."""
    return _said(desk.create(body.order(), key=key))


@router.get("/v1/payments/{payment_id}")
def fetch(payment_id: str, desk: CurrentDesk, settings: CurrentSettings) -> dict[str, object]:
    """How a payment stands."""
    return payment_view(desk.fetch(payment_id), public_url=settings.public_url)


@router.get("/v1/payments")
def find(
    reference: Annotated[str, Query(max_length=64)], desk: CurrentDesk, settings: CurrentSettings
) -> dict[str, object]:
    """The payment that bears a reference: a list of none or one."""
    found = desk.find(reference)
    views = [] if found is None else [payment_view(found, public_url=settings.public_url)]
    return {"data": views}


@router.post("/v1/payments/{payment_id}/capture")
def capture(payment_id: str, body: AmountBody, key: Key, desk: CurrentDesk) -> Response:
    """Take part or all of a hold; the rest is free again."""
    return _said(desk.capture(payment_id, body.amount_minor, key=key))


@router.post("/v1/payments/{payment_id}/cancel")
def cancel(payment_id: str, _body: EmptyBody, key: Key, desk: CurrentDesk) -> Response:
    """Let a hold go, or stop asking."""
    return _said(desk.cancel(payment_id, key=key))


@router.post("/v1/payments/{payment_id}/refund")
def refund(payment_id: str, body: AmountBody, key: Key, desk: CurrentDesk) -> Response:
    """Give part or all back."""
    return _said(desk.refund(payment_id, body.amount_minor, key=key))


@router.post("/v1/payments/{payment_id}/simulate")
def simulate(
    payment_id: str, body: PlayBody, desk: CurrentDesk, settings: CurrentSettings
) -> dict[str, object]:
    """Do as the payer would on the page, or let time run out."""
    return payment_view(desk.play(payment_id, body.action), public_url=settings.public_url)


@router.post("/sandbox/behaviour")
def behave(body: BehaviourBody, behaviour: CurrentBehaviour) -> BehaviourBody:
    """Misbehave, or stop misbehaving."""
    behaviour.webhooks = body.webhooks
    return body


def _said(answer: Answer) -> Response:
    media_type = "application/json" if answer.status < 400 else MEDIA_TYPE  # noqa: PLR2004
    return Response(answer.body, status_code=answer.status, media_type=media_type)
