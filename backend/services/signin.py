"""Signing in by phone and one-time code, and staying signed in.

A code is six digits, good for one use, five minutes and five guesses; a try is counted in
the database before the guess is compared, so guessing in parallel gains nothing. How many
codes go out is counted per phone and per network address, in the database too.

A device that signed in holds two tokens. The *access* token is a signed statement, good for
minutes, read without asking anybody; but each request also looks whether its device is still
signed in, so signing out works at once. The *refresh* token is opaque and changes at every
use. Only the newest is good: whoever shows an older one has a copy, and which of the two is
the thief cannot be known, so the device is signed out.

A browser that signed in on a page holds one token instead, in a cookie that no script reads. It
is good for as long as a refresh token, since several of a page's requests are under way at once
and could not take turns in changing it. It is for another audience: neither kind passes for the
other.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, Protocol

import jwt
from sqlmodel import Session

from backend import ids
from backend.db import people
from backend.db.engine import keep_despite_refusal, tell
from backend.db.tables.people import Person, SignIn, SigninCode
from backend.domain.errors import Code, Refusal
from backend.principal import Principal, Scope, Standing
from backend.settings import Settings

CODE_DIGITS: Final = 6
_ALGORITHM: Final = "HS256"
_ISSUER: Final = "lendwatt"
_API: Final = "lendwatt-api"
_PAGES: Final = "lendwatt-pages"
_V6_HOME_BITS: Final = 64
"""What one household is given of IPv6: counted as one address."""


class CodeSender(Protocol):
    """Brings a one-time code to a phone. Called after the commit, in a worker thread."""

    def send(self, *, phone: str, code: str) -> None:
        """Send it; what cannot be sent is lost, the person asks again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a good access token says."""

    person_id: str
    sign_in_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Makes and reads access tokens, and keys the hashes of codes."""

    secret: str
    access_s: int
    page_s: int
    """How long a browser stays signed in."""

    def issue(self, *, person_id: str, sign_in_id: str, now: datetime) -> str:
        """Make an access token for one device."""
        return self._sign(_API, self.access_s, person_id, sign_in_id, now)

    def issue_to_page(self, *, person_id: str, sign_in_id: str, now: datetime) -> str:
        """Make what a browser's cookie holds."""
        return self._sign(_PAGES, self.page_s, person_id, sign_in_id, now)

    def _sign(
        self, audience: str, lives_s: int, person_id: str, sign_in_id: str, now: datetime
    ) -> str:
        claims = {
            "iss": _ISSUER,
            "aud": audience,
            "sub": person_id,
            "sid": sign_in_id,
            "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + lives_s,
        }
        return jwt.encode(claims, self.secret, algorithm=_ALGORITHM)

    def read(self, token: str, *, now: datetime) -> Claims:
        """Check an access token.

        Raises:
            Refusal: it is not ours, or over.
        """
        return self._read(_API, token, now)

    def read_of_page(self, token: str, *, now: datetime) -> Claims:
        """Check what a browser's cookie holds.

        Raises:
            Refusal: it is not ours, or over.
        """
        return self._read(_PAGES, token, now)

    def _read(self, audience: str, token: str, now: datetime) -> Claims:
        try:
            claims = jwt.decode(
                token,
                self.secret,
                algorithms=[_ALGORITHM],
                audience=audience,
                issuer=_ISSUER,
                options={
                    "require": ["aud", "exp", "iat", "iss", "sid", "sub"],
                    # PyJWT would read the machine's clock: the time is checked below, with ours.
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC)
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError) as wrong:
            raise Refusal(Code.UNAUTHENTICATED) from wrong
        if expires_at <= now:
            raise Refusal(Code.UNAUTHENTICATED)
        return Claims(person_id=claims["sub"], sign_in_id=str(claims["sid"]), expires_at=expires_at)

    def seal(self, sign_in_id: str) -> str:
        """Make a refresh token: whose it is, 256 bits of chance, and our mark on both."""
        text = f"{sign_in_id}.{ids.new_token()}"
        return f"{text}.{self._mark(text)}"

    def unseal(self, refresh_token: str) -> str | None:
        """Tell whose a refresh token is, new or old; None if we never made it."""
        text, _, mark = refresh_token.rpartition(".")
        if not hmac.compare_digest(mark.encode(), self._mark(text).encode()):
            return None
        return text.partition(".")[0]

    def _mark(self, text: str) -> str:
        return hmac.new(self.secret.encode(), f"refresh:{text}".encode(), "sha256").hexdigest()

    def hash_of_code(self, *, code_id: str, code: str) -> str:
        """Hash a one-time code so that the database alone does not give it away."""
        return hmac.new(self.secret.encode(), f"{code_id}:{code}".encode(), "sha256").hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """What a device is given."""

    person_id: str
    sign_in_id: str
    access_token: str
    refresh_token: str
    expires_in_s: int
    """How long the access token is good."""


def request_code(
    session: Session,
    *,
    settings: Settings,
    tokens: Tokens,
    phone: str,
    address: str,
    code: str,
    now: datetime,
) -> None:
    """Note that ``code`` was made for ``phone``; the caller sends it after the commit.

    Args:
        session: A writing transaction.
        settings: For the code's life and the caps.
        tokens: For the key of the hash.
        phone: E.164.
        address: The network address that asks.
        code: Six random digits.
        now: The time.

    Raises:
        Refusal: this phone or this address had its share for the hour.
    """
    hour = now.replace(minute=0, second=0, microsecond=0)
    for subject, sends_max in (
        (f"phone:{phone}", settings.signin_sends_per_phone_max),
        (f"address:{home_of(address)}", settings.signin_sends_per_address_max),
    ):
        if not people.spend_send(session, subject=subject, hour=hour, sends_max=sends_max):
            wait_s = int((hour + timedelta(hours=1) - now).total_seconds()) + 1
            raise Refusal(Code.TOO_MANY_REQUESTS, retry_after_s=wait_s)
    code_id = ids.new_id()
    session.add(
        SigninCode(
            id=code_id,
            phone=phone,
            code_hash=tokens.hash_of_code(code_id=code_id, code=code),
            created_at=now,
            expires_at=now + timedelta(seconds=settings.signin_code_s),
        )
    )


def home_of(address: str) -> str:
    """Name the household that an address belongs to."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:45]
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped  # as a socket for both kinds writes it
    bits = parsed.max_prefixlen if parsed.version == 4 else _V6_HOME_BITS  # noqa: PLR2004
    return str(ip_network((parsed, bits), strict=False).network_address)


def verify(
    session: Session,
    *,
    settings: Settings,
    tokens: Tokens,
    phone: str,
    code: str,
    language: str,
    now: datetime,
) -> SignedIn:
    """Sign a device in with the newest code of its phone; the first time, make the person.

    Raises:
        Refusal: the code is wrong, over, used, or has been guessed at too often. The try
            counts all the same.
    """
    keep_despite_refusal(session)
    guess = people.spend_guess(session, phone=phone, tries_max=settings.signin_tries_max, now=now)
    if guess is None:
        raise Refusal(Code.SIGN_IN_CODE_EXPIRED)
    expected = tokens.hash_of_code(code_id=guess.code_id, code=code)
    if not hmac.compare_digest(expected, guess.code_hash):
        tries_left = settings.signin_tries_max - guess.tries
        raise Refusal(Code.SIGN_IN_CODE_WRONG, tries_left=tries_left)
    if not people.use_code(session, code_id=guess.code_id, now=now):
        raise Refusal(Code.SIGN_IN_CODE_EXPIRED)
    person = people.person_for_phone(session, phone=phone, new_id=ids.new_id(), now=now)
    person.language = language
    person.is_operator = phone in settings.operator_phones
    return _sign_in(session, settings=settings, tokens=tokens, person=person, now=now)


def _sign_in(
    session: Session, *, settings: Settings, tokens: Tokens, person: Person, now: datetime
) -> SignedIn:
    sign_in_id = ids.new_id()
    refresh_token = tokens.seal(sign_in_id)
    session.add(
        SignIn(
            id=sign_in_id,
            person_id=person.id,
            refresh_hash=_hash(refresh_token),
            created_at=now,
            refreshed_at=now,
            expires_at=now + timedelta(seconds=settings.refresh_token_s),
        )
    )
    return _tokens(
        tokens,
        person_id=person.id,
        sign_in_id=sign_in_id,
        refresh_token=refresh_token,
        now=now,
    )


def _tokens(
    tokens: Tokens, *, person_id: str, sign_in_id: str, refresh_token: str, now: datetime
) -> SignedIn:
    return SignedIn(
        person_id=person_id,
        sign_in_id=sign_in_id,
        access_token=tokens.issue(person_id=person_id, sign_in_id=sign_in_id, now=now),
        refresh_token=refresh_token,
        expires_in_s=tokens.access_s,
    )


def _hash(secret: str) -> str:
    """Hash a secret that is itself 256 bits of chance: no salt, no slowness needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def refresh(
    session: Session, *, settings: Settings, tokens: Tokens, refresh_token: str, now: datetime
) -> SignedIn:
    """Take a refresh token and give new tokens.

    Raises:
        Refusal: it is not the newest one of a signed-in device. If it once was, the device
            is signed out; one that was never ours signs nobody out.
    """
    sign_in_id = tokens.unseal(refresh_token)
    if sign_in_id is None:
        raise Refusal(Code.SESSION_ENDED)
    new = tokens.seal(sign_in_id)
    person_id = people.rotate(
        session,
        sign_in_id=sign_in_id,
        old_hash=_hash(refresh_token),
        new_hash=_hash(new),
        now=now,
        expires_at=now + timedelta(seconds=settings.refresh_token_s),
    )
    if person_id is None:
        sign_out(session, tokens=tokens, refresh_token=refresh_token, now=now)
        keep_despite_refusal(session)
        raise Refusal(Code.SESSION_ENDED)
    return _tokens(tokens, person_id=person_id, sign_in_id=sign_in_id, refresh_token=new, now=now)


def sign_out(session: Session, *, tokens: Tokens, refresh_token: str, now: datetime) -> None:
    """Sign the device out that this token, new or old, was given to."""
    sign_in_id = tokens.unseal(refresh_token)
    if sign_in_id is not None:
        end(session, sign_in_id=sign_in_id, now=now)


def end(session: Session, *, sign_in_id: str, now: datetime) -> None:
    """Sign a device out, at once; its streams end."""
    if people.revoke(session, sign_in_id=sign_in_id, now=now):
        tell(session, topic(sign_in_id))


def topic(sign_in_id: str) -> str:
    """Name the news of one signed-in device, for ``Database.listen``."""
    return f"sign_in:{sign_in_id}"


def recognise(
    session: Session,
    *,
    claims: Claims,
    standing_of: Callable[[Session, str], Standing],
    now: datetime,
) -> Principal:
    """Tell who holds a token that says this, and what they may act as now.

    Raises:
        Refusal: the token's device was signed out.
    """
    device = people.signed_in(session, sign_in_id=claims.sign_in_id, now=now)
    if device is None or device.person_id != claims.person_id:
        raise Refusal(Code.SESSION_ENDED)
    standing = standing_of(session, device.person_id)
    scopes = {
        Scope.RENTER: True,
        Scope.MERCHANT: bool(standing.merchant_ids),
        Scope.STAFF: bool(standing.staff_of),
        Scope.OPERATOR: device.is_operator,
    }
    return Principal(
        person_id=device.person_id,
        sign_in_id=device.sign_in_id,
        scopes=frozenset(scope for scope, held in scopes.items() if held),
        merchant_ids=standing.merchant_ids,
        staff_of=standing.staff_of,
        expires_at=claims.expires_at,
    )


def is_signed_in(session: Session, *, sign_in_id: str, now: datetime) -> bool:
    """Tell whether a device still is."""
    return people.signed_in(session, sign_in_id=sign_in_id, now=now) is not None
