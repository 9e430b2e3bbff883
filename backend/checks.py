"""``lendwatt verify``: do the books balance, and does the provider say the same?

Only reads, in one snapshot, so it may run beside everything else.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr
from sqlalchemy.engine import make_url

from backend.db.engine import Database, make_engine
from backend.db.migrate import is_current
from backend.limits import ReconcileLimits
from backend.payments import choose
from backend.payments.choose import SANDBOX
from backend.payments.port import Provider
from backend.problems import StartError
from backend.services.reconcile import Found, Looked, look
from backend.services.verify import Break, Verified, verify
from backend.settings import Settings

SOUND: Final = 0
BROKEN: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What ``lendwatt verify`` found."""

    verified: Verified
    looked: Looked | None
    """None: no provider was asked."""

    @property
    def exit_code(self) -> int:
        """0 if nothing is broken, and everybody who was asked answered."""
        if self.verified.breaks:
            return BROKEN
        is_broken = self.looked is not None and (self.looked.breaks or self.looked.unasked)
        return BROKEN if is_broken else SOUND

    def lines(self) -> Iterator[str]:
        """The report for a person."""
        yield from map(_line, self.verified.breaks)
        verified = self.verified
        counted = f"{verified.transfers} transfers, {verified.accounts} accounts"
        if verified.is_sound:
            yield f"The books balance: {counted}."
        else:
            yield f"The books do not balance: {len(verified.breaks)} breaks in {counted}."
        for currency, amount in verified.topups.items():
            yield f"The platform has to have paid in at its providers: {amount} {currency}."
        if self.looked is not None:
            yield from _of_look(self.looked)

    def as_json(self) -> str:
        """The same for a program."""
        return json.dumps(self._values(), ensure_ascii=False)

    def _values(self) -> Mapping[str, Any]:
        verified = self.verified
        values: dict[str, Any] = {
            "balanced": verified.is_sound,
            "transfers": verified.transfers,
            "accounts": verified.accounts,
            "rentals": verified.rentals,
            "topups": dict(verified.topups),
            "breaks": [
                {"check": each.check, "row": each.row, "says": each.says}
                for each in verified.breaks
            ],
        }
        if self.looked is not None:
            values["provider"] = {
                "compared": self.looked.compared,
                "unasked": self.looked.unasked,
                "breaks": [_values_of(found) for found in self.looked.breaks],
            }
        return values


def _line(found: Break) -> str:
    return f"{found.check}: {found.row}: {found.says}"


def _of_look(looked: Looked) -> Iterator[str]:
    for found in looked.breaks:
        ours, theirs = found.difference.ours, found.difference.theirs
        yield (
            f"{found.difference.kind}: {found.subject} {found.subject_id}: "
            f"{ours} by us, {theirs} by the provider"
        )
    if looked.unasked:
        first = looked.unasked[0]
        yield f"No provider answered for {len(looked.unasked)}, {first} first: is it running?"
    if looked.compared or looked.breaks or not looked.unasked:
        agrees = "disagrees" if looked.breaks else "agrees"
        yield f"The provider {agrees}: {looked.compared} compared, {len(looked.breaks)} breaks."


def _values_of(found: Found) -> Mapping[str, str | None]:
    return {
        "kind": found.difference.kind,
        "subject": found.subject,
        "subject_id": found.subject_id,
        "rental_id": found.rental_id,
        "ours": found.difference.ours,
        "theirs": found.difference.theirs,
    }


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """Open a database that is there already, at this version.

    Raises:
        StartError: it is not; says what to do.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).is_file():
        msg = (
            f"There is no database {parsed.database}: say where it is with --data-dir or "
            "--database."
        )
        raise StartError(msg)
    engine = make_engine(url)
    try:
        if not is_current(engine):
            msg = "This database is not at this version: run `lendwatt migrate` first."
            raise StartError(msg)
        yield Database(engine)
    finally:
        engine.dispose()


@contextmanager
def asked(settings: Settings, url: str) -> Iterator[Mapping[str, Provider]]:
    """Give the providers that ``lendwatt up`` uses, with the keys that it keeps.

    Args:
        settings: which providers.
        url: the database's.

    Raises:
        StartError: there is no key to ask with, or no database.
    """
    if SANDBOX in settings.providers:
        given = settings.provider_api_key, settings.provider_webhook_secret
        keys = {
            "provider_api_key": _kept(settings, "provider-api-key", given[0]),
            "provider_webhook_secret": _kept(settings, "provider-webhook-secret", given[1]),
        }
        settings = settings.model_copy(update=keys)
    with opened(url) as database, choose.opened(settings, database) as providers:
        yield providers


def _kept(settings: Settings, name: str, given: SecretStr | None) -> SecretStr:
    file = settings.data_dir / name
    if file.is_file():
        return SecretStr(file.read_text())
    if given is None:
        msg = f"There is no {file} to ask the provider with: say where it is with --data-dir."
        raise StartError(msg)
    return given


def check(url: str, providers: Mapping[str, Provider] | None) -> Report:
    """Look at everything.

    Args:
        url: the database's.
        providers: whom to ask; None: nobody.

    Raises:
        StartError: the database cannot be looked at.
    """
    with opened(url) as database:
        with database.reading() as session:
            verified = verify(session)
        looked = None
        if providers is not None:
            looked = look(database, providers, ended_after=None, limits=ReconcileLimits())
        return Report(verified=verified, looked=looked)
