"""What the sandbox provider is told when it starts. Every queue and retry has its bound here."""

from dataclasses import dataclass, field
from pathlib import Path

from backend.payments.provider_app.signer import key_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """One account at the sandbox provider: one payee, one key, one webhook."""

    database: Path
    """The provider's own SQLite file; made if it is not there."""
    public_url: str
    """Where payers reach it, without a slash at the end: pages' links start with it."""
    api_key: str = field(repr=False)
    """What the payee's software shows as its bearer token."""
    webhook_url: str
    """Where notices are sent."""
    webhook_secret: str = field(repr=False)
    """What notices are signed with: ``whsec_`` and base64 of 24 to 64 bytes."""
    payee: str = "Lendwatt"
    """Who is paid, as the page says it."""
    hold_s: int = 7 * 24 * 3600
    """How long a hold stands before it runs out."""
    pay_within_s: int = 2 * 3600
    """How long a payer has to answer before the payment expires."""
    payout_s: float = 2.0
    """How long a payout is on its way."""
    slow_payout_s: float = 600.0
    """How long it is to ``sandbox:slow``."""
    may_misbehave: bool = False
    """Whether faults may be armed (see ``faults.py``): for demos and tests."""
    webhook_timeout_s: float = 10.0
    """How long the receiver of a notice has to answer."""
    webhook_attempts: int = 20
    """How often a notice is sent before it is given up: with these pauses, over an hour."""
    webhook_retry_base_s: float = 0.5
    """The pause after the first failure; it doubles with each."""
    webhook_retry_cap_s: float = 300.0
    """The longest pause."""
    webhook_batch: int = 16
    """How many notices are on their way at once."""
    tick_s: float = 1.0
    """How often it looks for what ran out and what is due."""

    def __post_init__(self) -> None:
        key_of(self.webhook_secret)  # refuse a bad one now, not at the first notice
        if not self.api_key:
            message = "the sandbox provider needs an API key"
            raise ValueError(message)
