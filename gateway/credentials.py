"""What a bank proves itself with, and what it may touch.

The theory
----------
Each bank has a secret of its own: 256 random bits, shown once, stored only as a hash. There
is no shared secret anywhere, so a bank that is taken apart tells nothing about another.

The hash has Mosquitto's own form, ``$7$iterations$salt$hash`` (PBKDF2-HMAC-SHA512), so one
stored value serves both brokers. It takes 101 iterations, Mosquitto's default. Stretching
makes guessing a *human's* password dear; 256 random bits cannot be guessed at any speed, and
a broker checks one at every connect, thousands in a minute after an outage, on one thread.

A bank publishes exactly its ``status``, ``state`` and ``result``, and hears exactly its
``command`` and ``config``. Which bank it is, the broker knows from the user name.

Every change moves ``changed_at_ms`` of its row on, so :func:`fingerprint` differs whenever a
broker's copy is out of date.
"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from gateway.protocol import FROM_BANK, TO_BANK, BankId, Channel, is_bank_id, topic
from gateway.tables import BankCredential

GATEWAY_USER = "gateway"
"""The gateway's user name on a broker that we start; lower case, so that it is no bank's id."""

_SECRET_BYTES = 32
_SALT_BYTES = 12  # Mosquitto 2.0.11 reads no other length
_ITERATIONS = 101
_SHA512_BYTES = 64


class AlreadyIssuedError(Exception):
    """The bank has a live secret: rotate it, or revoke it first."""


class NotIssuedError(Exception):
    """The bank has no live secret to rotate or revoke."""


# -- secrets --------------------------------------------------------------------------


def new_secret() -> str:
    """256 random bits, as 43 characters that are safe in URLs, on labels and in spreadsheets.

    One that begins with a hyphen is drawn again: a shell takes it for an option, a spreadsheet
    for a formula.
    """
    while (secret := secrets.token_urlsafe(_SECRET_BYTES)).startswith("-"):
        pass
    return secret


def hashed(secret: str) -> str:
    """A secret as it is stored, with a fresh salt."""
    return _hash(secret, salt=secrets.token_bytes(_SALT_BYTES), iterations=_ITERATIONS)


def verify(stored_hash: str | None, secret: str) -> bool:
    """Whether a secret is the one that was stored.

    None, for a bank that nobody knows, costs as much time as a wrong secret.
    """
    _, kind, iterations, salt, _ = (stored_hash or _NOBODYS_HASH).split("$")
    if kind != "7":
        msg = f"a stored hash of kind {kind!r}, not 7"
        raise ValueError(msg)
    found = _hash(secret, salt=b64decode(salt), iterations=int(iterations))
    return hmac.compare_digest(found, stored_hash or _NOBODYS_HASH) and stored_hash is not None


def _hash(secret: str, *, salt: bytes, iterations: int) -> str:
    digest = hashlib.pbkdf2_hmac(
        "sha512", secret.encode("utf-8", "surrogatepass"), salt, iterations, _SHA512_BYTES
    )
    return f"$7${iterations}${b64encode(salt).decode()}${b64encode(digest).decode()}"


_NOBODYS_HASH = hashed(new_secret())


# -- the rows: in the caller's transaction --------------------------------------------


def issue(session: Session, bank_id: BankId, *, now_ms: int) -> str:
    """Give a bank its first secret, or a new one after it was revoked.

    Returns:
        The secret, for the only time.

    Raises:
        AlreadyIssuedError: it has one that works.
        ValueError: not a bank's id.
    """
    _check_id(bank_id)
    secret = new_secret()
    row = session.get(BankCredential, bank_id, with_for_update=True)
    if row is None:
        session.add(
            BankCredential(
                bank_id=bank_id,
                secret_hash=hashed(secret),
                issued_at_ms=now_ms,
                changed_at_ms=now_ms,
            )
        )
    elif row.revoked_at_ms is None:
        raise AlreadyIssuedError(bank_id)
    else:
        _replace(row, secret, now_ms=now_ms)
    session.flush()
    return secret


def issue_all(session: Session, bank_ids: Sequence[str], *, now_ms: int) -> dict[str, str]:
    """Give many banks their first secrets, in as many statements as for one.

    Returns:
        The secrets, for the only time.

    Raises:
        AlreadyIssuedError: one of them has, or had, a secret.
        ValueError: not a bank's id.
    """
    for bank_id in bank_ids:
        _check_id(bank_id)
    had = session.scalars(
        select(col(BankCredential.bank_id))
        .where(col(BankCredential.bank_id).in_(bank_ids))
        .limit(1)
    ).first()
    if had is not None:
        raise AlreadyIssuedError(had)
    issued = {bank_id: new_secret() for bank_id in bank_ids}
    session.add_all(
        BankCredential(
            bank_id=bank_id, secret_hash=hashed(secret), issued_at_ms=now_ms, changed_at_ms=now_ms
        )
        for bank_id, secret in issued.items()
    )
    session.flush()
    return issued


def _check_id(bank_id: str) -> None:
    if not is_bank_id(bank_id):
        msg = f"a bank's id is 4 to 32 of A-Z 0-9 -, not {bank_id!r}"
        raise ValueError(msg)


def rotate(session: Session, bank_id: BankId, *, now_ms: int) -> str:
    """Replace a bank's secret: the old one is refused, and its live connection ends.

    Raises:
        NotIssuedError: the bank has no live secret.
    """
    secret = new_secret()
    _replace(_live(session, bank_id), secret, now_ms=now_ms)
    session.flush()
    return secret


def revoke(session: Session, bank_id: BankId, *, now_ms: int) -> None:
    """Shut a bank out; its live connection ends within seconds.

    Raises:
        NotIssuedError: the bank has no live secret.
    """
    row = _live(session, bank_id)
    row.revoked_at_ms = now_ms
    row.changed_at_ms = _later(row, now_ms)
    session.flush()


def _live(session: Session, bank_id: BankId) -> BankCredential:
    row = session.get(BankCredential, bank_id, with_for_update=True)
    if row is None or row.revoked_at_ms is not None:
        raise NotIssuedError(bank_id)
    return row


def _replace(row: BankCredential, secret: str, *, now_ms: int) -> None:
    row.secret_hash = hashed(secret)
    row.issued_at_ms = now_ms
    row.revoked_at_ms = None
    row.changed_at_ms = _later(row, now_ms)


def _later(row: BankCredential, now_ms: int) -> int:
    """Now, or a little later: never the same twice, even when the clock went back."""
    return max(now_ms, row.changed_at_ms + 1)


# -- what brokers read ----------------------------------------------------------------


def fingerprint(engine: Engine) -> tuple[int, int]:
    """A value that differs after each committed change.

    Rows and the sum of ``changed_at_ms``: each change makes one of them larger and none
    smaller. The maximum would miss one that commits late, behind a newer one.
    """
    rows, total = func.count(), func.coalesce(func.sum(col(BankCredential.changed_at_ms)), 0)
    with engine.connect() as connection:
        count, changed = connection.execute(select(rows, total).select_from(BankCredential)).one()
        return int(count), int(changed)


def live_hashes(engine: Engine) -> dict[BankId, str]:
    """The stored hash of each bank that may connect."""
    live = select(col(BankCredential.bank_id), col(BankCredential.secret_hash)).where(
        col(BankCredential.revoked_at_ms).is_(None)
    )
    with engine.connect() as connection:
        return {BankId(bank_id): stored for bank_id, stored in connection.execute(live)}


# -- what a bank may touch ------------------------------------------------------------


def may_publish(bank: BankId, name: str) -> bool:
    """Whether a bank may publish on a topic, its Last Will included."""
    return any(name == topic(bank, channel) for channel in FROM_BANK)


def may_receive(bank: BankId, name: str) -> bool:
    """Whether a message on a topic may reach a bank, whatever it subscribed to."""
    return any(name == topic(bank, channel) for channel in TO_BANK)


def may_subscribe(bank: BankId, topic_filter: str) -> bool:
    """Whether a bank may subscribe: to what it may hear, by name or by wildcard below its id."""
    own = topic(bank, Channel.COMMAND).removesuffix(Channel.COMMAND)
    return may_receive(bank, topic_filter) or topic_filter in {f"{own}+", f"{own}#"}
