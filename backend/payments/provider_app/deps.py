"""What a route is handed: the parts of the application, and who may come past."""

import secrets
from typing import Annotated

from fastapi import Depends, Header, Request

from backend.payments.provider_app.desk import Desk
from backend.payments.provider_app.faults import Faults
from backend.payments.provider_app.line import Line
from backend.payments.provider_app.payouts import PayoutDesk
from backend.payments.provider_app.problems import Code, Refused
from backend.payments.provider_app.settings import ProviderSettings


def _settings(request: Request) -> ProviderSettings:
    settings: ProviderSettings = request.app.state.settings
    return settings


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def _payouts(request: Request) -> PayoutDesk:
    payouts: PayoutDesk = request.app.state.payouts
    return payouts


def _faults(request: Request) -> Faults:
    faults: Faults = request.app.state.faults
    return faults


def _line(request: Request) -> Line:
    line: Line = request.app.state.line
    return line


CurrentSettings = Annotated[ProviderSettings, Depends(_settings)]
CurrentDesk = Annotated[Desk, Depends(_desk)]
CurrentPayouts = Annotated[PayoutDesk, Depends(_payouts)]
CurrentFaults = Annotated[Faults, Depends(_faults)]
CurrentLine = Annotated[Line, Depends(_line)]
Key = Annotated[str, Header(alias="Idempotency-Key", pattern=r"^[\x21-\x7e]{1,255}$")]


def account(settings: CurrentSettings, authorization: Annotated[str, Header()] = "") -> None:
    """Only the account's own software comes past here."""
    expected = f"Bearer {settings.api_key}".encode()
    if not secrets.compare_digest(authorization.encode(), expected):
        raise Refused(Code.UNAUTHORIZED, "send the account's key: Authorization: Bearer <key>")
