"""The backend's only source of new ids and secrets."""

import secrets
import time

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID_CHARS = 26
_RANDOM_BITS = 80


def new_id() -> str:
    """Make a ULID: 48 bits of milliseconds, 80 of chance, 26 characters that sort by time.

    Source: https://github.com/ulid/spec
    """
    value = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return "".join(_CROCKFORD[value >> 5 * place & 31] for place in reversed(range(_ULID_CHARS)))


def new_token() -> str:
    """Make 256 bits that nobody can guess, fit for a URL: 43 characters."""
    return secrets.token_urlsafe(32)


def new_digits(count: int) -> str:
    """Make a code of decimal digits for a person to type."""
    return "".join(secrets.choice("0123456789") for _ in range(count))
