"""Signing in by phone and one-time code."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlmodel import Session

from backend.principal import Principal, Standing


class CodeSender(Protocol):
    """Brings a one-time code to a phone. Called after the commit, in a worker thread."""

    def send(self, *, phone: str, code: str) -> None:
        """Send it; what cannot be sent is lost, the person asks again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Makes and reads access tokens."""

    secret: str


def recognise(
    session: Session,
    *,
    tokens: Tokens,
    access_token: str,
    standing_of: Callable[[Session, str], Standing],
    now: datetime,
) -> Principal:
    """Tell who holds this access token."""
    raise NotImplementedError
