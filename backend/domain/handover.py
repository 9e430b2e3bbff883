"""Proving a handover: the bank's own QR label, or the renter's four digits.

The code is shown to the renter only, and told to the staff member at the door. It is four
digits, so it must not be guessed at leisure: five wrong tries lock it, and then only a new
code opens. A lock that a repeated request resets is no lock, so :func:`try_code` does not
raise: it gives back the code with its tries counted, and whoever asked writes that down
*before* saying no. Tries are counted per code, whoever made them.
"""

from dataclasses import dataclass, replace
from typing import Final

from backend.domain.errors import Code, Refusal

CODE_DIGITS: Final = 4
CODE_TRIES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverCode:
    """Four digits, and how often somebody was wrong about them."""

    digits: str
    wrong_tries: int = 0

    @property
    def tries_left(self) -> int:
        """How many wrong tries it still bears."""
        return CODE_TRIES - self.wrong_tries

    @property
    def is_locked(self) -> bool:
        """Whether even the right digits no longer open; a new code does."""
        return self.tries_left <= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of a try: the code to write down, and the refusal to raise after it."""

    code: HandoverCode
    refusal: Refusal | None
    """None: the code was right."""


def try_code(code: HandoverCode, *, given: str) -> Tried:
    """Try a code; a right one proves the handover, unless it was locked before."""
    if code.is_locked:
        return Tried(code=code, refusal=Refusal(Code.CODE_LOCKED))
    if given == code.digits:
        return Tried(code=code, refusal=None)
    tried = replace(code, wrong_tries=code.wrong_tries + 1)
    if tried.is_locked:
        return Tried(code=tried, refusal=Refusal(Code.CODE_LOCKED))
    return Tried(code=tried, refusal=Refusal(Code.BAD_CODE, tries_left=tried.tries_left))


def check_scan(*, expected: str, scanned: str) -> None:
    """Let a scan prove the handover of this bank only.

    Args:
        expected: the id of the bank that is handed over.
        scanned: the id of the bank whose label was scanned.

    Raises:
        Refusal: WRONG_BANK, naming both: staff in front of two banks must know which.
    """
    if scanned != expected:
        raise Refusal(Code.WRONG_BANK, expected=expected, scanned=scanned)
