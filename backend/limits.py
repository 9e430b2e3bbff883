"""The bounds of the rental's own loops, retries and deadlines, and what happens at each."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

COMMAND_EXPIRY_S: Final = 60
"""How long a bank may take to begin or stop; then the gateway expires the command."""
STOP_AGAIN: Final = timedelta(minutes=10)
"""Before a bank that was told to stop, and feeds on, is told again."""
STOPS_MAX: Final = 6
"""How often it is told; then it is on the operator's stuck list."""
COMMISSION_BP: Final = 1_000
"""The platform's part of a bill, in basis points, for merchants that agreed to nothing else."""
PAGE_MAX: Final = 100
"""Rows of one page; the next has a cursor."""
BANKS_PER_MERCHANT_MAX: Final = 10_000
"""More are refused."""
BANK_SAMPLES_SHOWN: Final = 2_100
"""Levels of one bank in one answer: a week of them, one each five minutes; then the newest."""
BANK_MOVES_SHOWN: Final = 20
"""Changes of hands of one bank in one answer: the newest."""
IMPORT_ROWS_MAX: Final = 2_000
"""Banks in one file; more are refused."""
RECALLED_AT_ONCE_MAX: Final = 200
"""Banks that one request may recall; more are refused, and recalled by several."""
LABELS_PER_REQUEST_MAX: Final = 240
"""Banks whose labels one request may name: ten sheets."""
OPEN_RENTALS_MAX: Final = 3
"""Banks that one renter may wait for or have at once; another is refused."""
CLAIMS_MAX: Final = 3
"""How often a merchant may deny that a bank is back; then an operator decides, once."""
SWAPS_MAX: Final = 2
"""How often a substitute may be sent for a substitute; then it is a new rental."""
UNPAID_AFTER: Final = timedelta(days=7)
"""How long after its deadline a bill that nothing more can be taken for is on the stuck list."""
PAYMENT_WITHIN: Final = timedelta(hours=24)
"""How long a renter has to pay a bill; then it is taken from the deposit."""
DISPUTE_WINDOW: Final = timedelta(days=7)
"""How long after completion a bill may be disputed; then the merchant's part is theirs."""
HOLD_MARGIN: Final = timedelta(hours=24)
"""How long before a hold runs out by itself it is taken, if something may yet be owed."""
DISPUTES_MAX: Final = 3
"""How often one bill may be disputed; then the answer stands."""
MONEY_BATCH: Final = 100
"""Deadlines, holds and deposits looked at by one sweep; the next takes the rest."""

WITHDRAWAL_MIN_MAJOR: Final = 1
"""The least that is paid out, in whole units of the currency; less is refused."""
PAYOUT_CHECK: Final = timedelta(minutes=10)
"""How often a payout is asked after that the provider says is on its way."""
PAYOUT_TOO_LONG: Final = timedelta(days=7)
"""A withdrawal that is not over by then is on the operator's stuck list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutLimits:
    """How providers are asked to pay out."""

    batch: int = 20
    lease: timedelta = timedelta(seconds=60)
    """After it, whoever claimed a withdrawal and is not heard of has lost it."""
    first_wait: timedelta = timedelta(seconds=10)
    """Before it is asked after again; each wait is twice the one before."""
    longest_wait: timedelta = timedelta(hours=1)
    attempts: int = 20
    """About twelve hours; then it is on the operator's stuck list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileLimits:
    """How the books are compared with the providers."""

    page: int = 100
    """Payments read at once; each is asked after outside any transaction."""
    look_back: timedelta = timedelta(days=30)
    """Payments that ended before are not asked after every day."""
    lease: timedelta = timedelta(hours=2)
    """After it, whoever began a day's look and is not heard of has lost it."""


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
