"""The bounds of the rental's own loops, retries and deadlines, and what happens at each."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

COMMAND_EXPIRY_S: Final = 60
"""How long a bank may take to begin or stop; then the gateway expires the command."""
COMMISSION_BP: Final = 1_000
"""The platform's part of a bill, in basis points, for merchants that agreed to nothing else."""
PAGE_MAX: Final = 100
"""Rows of one page; the next has a cursor."""
BANKS_PER_MERCHANT_MAX: Final = 10_000
"""More are refused."""
PAYMENT_WITHIN: Final = timedelta(hours=24)
"""How long a renter has to pay a bill; then it is taken from the deposit."""
DISPUTE_WINDOW: Final = timedelta(days=7)
"""How long after completion a bill may be disputed; then the merchant's part is theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowLimits:
    """How the backend works off facts."""

    batch: int = 100
    """Facts looked up at once; each is a transaction of its own."""
    tries: int = 5
    """Then the fact gets its ``problem``, for the operator, and the next ones go on."""
    poll_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxLimits:
    """How providers are asked."""

    batch: int = 20
    lease: timedelta = timedelta(seconds=30)
    """After it, whoever claimed a row and is not heard of has lost it."""
    first_wait: timedelta = timedelta(seconds=2)
    """Before the second asking; each wait is twice the one before."""
    longest_wait: timedelta = timedelta(minutes=10)
    attempts: int = 40
    """About six hours; then it is on the operator's stuck list."""
    poll_s: float = 1.0
    doubt_after: timedelta = timedelta(seconds=60)
    """A payment that nothing was heard of for so long is asked after."""
