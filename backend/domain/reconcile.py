"""Where we and a provider do not agree on a payment or a payout.

The theory
----------
Three copies of one truth: the provider's, ours (payments, holds, refunds, withdrawals), and the
books'. The provider holds the money, so where they differ ours is wrong or something is lost: each
difference is a **break**, named by what it is about, for a person to look at. Nothing is mended
here.

Not everything that differs is a break. What we know to be in doubt may be anything. What was asked
for and not answered may have happened or not. And news may be on its way: whoever compares looks
twice, and a break is what both looks show.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from backend.domain.money import Minor


class BreakKind(StrEnum):
    """What does not agree."""

    UNKNOWN_TO_PROVIDER = "unknown_to_provider"
    """We know a payment or a payout; they never heard of it."""
    UNKNOWN_TO_US = "unknown_to_us"
    """They took money; we know of no such payment."""
    AMOUNT_DIFFERS = "amount_differs"
    STATE_DIFFERS = "state_differs"
    CAPTURED_DIFFERS = "captured_differs"
    REFUND_DIFFERS = "refund_differs"
    BOOKS_DIFFER = "books_differ"
    """They hold another sum for us than the books say."""
    ACCOUNT_DIFFERS = "account_differs"
    """A payout went elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that we and they say differently."""

    kind: BreakKind
    ours: str
    theirs: str


class Standing(StrEnum):
    """Where a payment or a payout stands, as far as money goes."""

    DOUBTED = "doubted"
    """Nobody knows: whatever they say is no contradiction."""
    WAITING = "waiting"
    HELD = "held"
    TAKEN = "taken"
    OVER = "over"
    """Ended, and no money moved."""
    SENT = "sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment, as one side has it."""

    standing: Standing
    amount_minor: Minor
    currency: str
    captured_minor: Minor
    """What was taken."""
    refunded_minor: Minor
    """What went back."""
    asked_back_minor: Minor
    """What went back or was asked for; theirs: the same as what went."""
    booked_minor: Minor | None = None
    """What of it the books have as cash; None: they have none to ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """A payout, as one side has it."""

    standing: Standing
    amount_minor: Minor
    currency: str
    account: str


def of_payment(ours: Payment, theirs: Payment | None) -> Iterator[Difference]:
    """Name what we and they say differently of a payment.

    Args:
        ours: as we have it.
        theirs: as they have it; None: they never heard of it.
    """
    if theirs is None:
        if ours.standing not in {Standing.DOUBTED, Standing.OVER}:
            yield Difference(
                kind=BreakKind.UNKNOWN_TO_PROVIDER, ours=ours.standing, theirs="nothing"
            )
        return
    if (ours.amount_minor, ours.currency) != (theirs.amount_minor, theirs.currency):
        yield Difference(
            kind=BreakKind.AMOUNT_DIFFERS,
            ours=f"{ours.amount_minor} {ours.currency}",
            theirs=f"{theirs.amount_minor} {theirs.currency}",
        )
    if ours.standing is not Standing.DOUBTED and ours.standing is not theirs.standing:
        yield Difference(kind=BreakKind.STATE_DIFFERS, ours=ours.standing, theirs=theirs.standing)
        return
    yield from _of_money(ours, theirs)


def _of_money(ours: Payment, theirs: Payment) -> Iterator[Difference]:
    if ours.standing is not Standing.TAKEN:
        return
    if ours.captured_minor != theirs.captured_minor:
        yield _differs(BreakKind.CAPTURED_DIFFERS, ours.captured_minor, theirs.captured_minor)
    if not ours.refunded_minor <= theirs.refunded_minor <= ours.asked_back_minor:
        yield _differs(BreakKind.REFUND_DIFFERS, ours.refunded_minor, theirs.refunded_minor)
    held = theirs.captured_minor - theirs.refunded_minor
    is_quiet = ours.refunded_minor == ours.asked_back_minor
    if is_quiet and ours.booked_minor is not None and ours.booked_minor != held:
        yield _differs(BreakKind.BOOKS_DIFFER, ours.booked_minor, held)


def _differs(kind: BreakKind, ours: int, theirs: int) -> Difference:
    return Difference(kind=kind, ours=str(ours), theirs=str(theirs))


def of_payout(ours: Payout, theirs: Payout | None) -> Iterator[Difference]:
    """Name what we and they say differently of a payout.

    Args:
        ours: as we have it.
        theirs: as they have it; None: they never heard of it.
    """
    if theirs is None:
        if ours.standing is Standing.SENT:
            yield Difference(
                kind=BreakKind.UNKNOWN_TO_PROVIDER, ours=ours.standing, theirs="nothing"
            )
        return
    if (ours.amount_minor, ours.currency) != (theirs.amount_minor, theirs.currency):
        yield Difference(
            kind=BreakKind.AMOUNT_DIFFERS,
            ours=f"{ours.amount_minor} {ours.currency}",
            theirs=f"{theirs.amount_minor} {theirs.currency}",
        )
    if ours.account != theirs.account:
        yield Difference(kind=BreakKind.ACCOUNT_DIFFERS, ours=ours.account, theirs=theirs.account)
    if ours.standing is not Standing.DOUBTED and ours.standing is not theirs.standing:
        yield Difference(kind=BreakKind.STATE_DIFFERS, ours=ours.standing, theirs=theirs.standing)
