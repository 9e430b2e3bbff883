"""What the platform asks of a payment provider, and what it may believe.

The theory
----------
A provider is another company's computer. It holds the money and the truth about it; we
hold a copy that may be behind. So each thing we hear is one of three kinds:

*Known and final.* ``PAID`` (only refunds follow), ``CANCELED``, ``FAILED`` and ``EXPIRED``
never change again. :class:`ProviderDeclined` is final too: the wish was heard, refused, and
had no effect.

*Known for now.* ``OPEN`` waits for the payer. ``AUTHORIZED`` is a hold: the money is set
aside and not ours. A hold expires by itself at ``capture_before``; capture or release it
before.

*Unknown.* :class:`ProviderAway` says that no answer came that can be believed: the wish may
or may not have been carried out. It is never read as a no. While a wish is unknown, no
second one is made for the same purpose: ask again with the same key, or look with
:meth:`Provider.fetch` and :meth:`Provider.find`.

What makes that safe is the *key*. The caller stores a key and what it is for, commits, and
only then calls; a repeat with the same key and the same arguments has no second effect and
gets the first answer, which may be older than the payment's present state. The same key
with other arguments is declined.

A *notice* (webhook) is a hint that something is known now. It may come before the answer to
the call that caused it, twice, out of order, or never, so nothing waits for it alone. It
counts only after its signature over the raw bytes was checked; its ``id`` is the same on
every repeat, and the caller keeps it to apply a notice once. Whether amount, currency and
reference are the ones we asked for is the caller's question.

Calls are synchronous, from worker threads, and never inside a database transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable


class Capture(StrEnum):
    """When the money is taken once the payer agrees."""

    AUTOMATIC = "automatic"
    """At once: a payment."""
    MANUAL = "manual"
    """When we say so, or never: a hold, as for a deposit."""


class PaymentStatus(StrEnum):
    """Where a payment stands at the provider."""

    OPEN = "open"
    """The payer has not answered."""
    AUTHORIZED = "authorized"
    """Held: set aside for us until ``capture_before``."""
    PAID = "paid"
    """Taken; ``captured_minor`` says how much. What was held beyond it is free again."""
    CANCELED = "canceled"
    """We withdrew it, or released the hold."""
    FAILED = "failed"
    """The payer, or their bank, said no."""
    EXPIRED = "expired"
    """The payer never answered, or a hold ran out. Nothing was taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPayment:
    """A payment as its provider tells it. Amounts are integer minor units."""

    ref: str
    """The provider's id of it."""
    status: PaymentStatus
    amount_minor: int
    """What was asked for."""
    captured_minor: int
    """What was taken: 0 until ``PAID``, then at most ``amount_minor``."""
    refunded_minor: int
    """What was given back: at most ``captured_minor``."""
    currency: str
    reference: str
    """Our id of it."""
    pay_url: str
    """Where the payer agrees or declines: a page, or what a QR code is to say. Empty once nobody
    can pay any more, and where the provider tells it only in the answer to the wish."""
    capture_before: datetime | None
    """When the hold runs out (aware UTC). None unless it is, or was, a hold that does. In a
    notice it may be too early, where the provider tells it to who asks only."""


class PayoutStatus(StrEnum):
    """Where a payout stands at the provider."""

    PENDING = "pending"
    """On its way: it may still fail."""
    PAID = "paid"
    """Arrived. It may come back, rarely, and days later."""
    FAILED = "failed"
    """Came back, or never left: final, and we have the money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPayout:
    """Money that goes out to somebody's account, as its provider tells it."""

    ref: str
    """The provider's id of it."""
    status: PayoutStatus
    amount_minor: int
    currency: str
    reference: str
    """Our id of it."""
    account: str
    """Where it goes, as the provider names it."""
    failure: str | None = None
    """Why it failed, in the provider's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRefund:
    """What became of money that was to go back to a payer, after the provider took that on."""

    ref: str
    """The provider's id of it."""
    key: str
    """The key that it was asked for with."""
    is_gone: bool
    """It arrived; else it came back, and we have the money."""
    amount_minor: int
    currency: str
    failure: str = ""
    """Why it came back, in the provider's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderNotice:
    """A webhook whose signature was checked."""

    id: str
    """The same on every repeat of this notice."""
    kind: str
    """The provider's word for what happened, for logs: decide by ``payment.status``."""
    payment: ProviderPayment | None
    """The payment as it was when the notice was made; None: it is about something else."""
    payout: ProviderPayout | None = None
    """The payout as it was when the notice was made."""
    refund: ProviderRefund | None = None
    """What became of a refund. Of the three, at most one is there; none, if the notice is genuine
    and tells nothing that moves money of ours."""
    at: datetime
    """When it happened, by the provider's clock (aware UTC)."""


class NoticeFault(StrEnum):
    """What is wrong with a notice."""

    UNSIGNED = "unsigned"
    """A signature header is missing or is not one."""
    STALE = "stale"
    """Signed too long ago, or in the future: perhaps a replay."""
    FORGED = "forged"
    """No signature fits these bytes and our secret."""
    UNREADABLE = "unreadable"
    """Truly the provider's, and not understood: a person must look at it."""


class BadNotice(Exception):  # noqa: N818 - named as what it is
    """A notice that cannot be believed or, if ``is_genuine``, not be understood."""

    def __init__(self, fault: NoticeFault, detail: str) -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.detail = detail

    @property
    def is_genuine(self) -> bool:
        """Whether it surely came from the provider: then it may tell of money."""
        return self.fault is NoticeFault.UNREADABLE


class ProviderDeclined(Exception):  # noqa: N818 - named as what it is
    """The provider heard the wish and said no: final, without effect.

    ``reason`` is the provider's stable code, ``detail`` its sentence.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ProviderAway(Exception):  # noqa: N818 - named as what it is
    """No answer that can be believed: whether the wish was carried out is unknown."""


class Provider(Protocol):
    """A payment provider. Every method may raise :class:`ProviderAway`."""

    def create(
        self,
        *,
        key: str,
        reference: str,
        amount_minor: int,
        currency: str,
        capture: Capture,
        description: str,
        return_url: str,
    ) -> ProviderPayment:
        """Ask a payer for money.

        Args:
            key: idempotency key, stored before the call.
            reference: our id of this one payment; no other payment ever has it.
            amount_minor: integer minor units, more than 0.
            currency: ISO 4217 code.
            capture: take at once, or hold.
            description: what for, in the payer's words; shown on the provider's page.
            return_url: where the page leads back to.

        Raises:
            ProviderDeclined: the provider refuses such a payment, or the key or the
                reference was used for another.
        """
        ...

    def fetch(self, ref: str) -> ProviderPayment:
        """How a payment stands now.

        Raises:
            ProviderDeclined: there is no such payment.
        """
        ...

    def find(self, reference: str) -> ProviderPayment | None:
        """The payment that bears our reference; None: the provider never heard of it."""
        ...

    def capture(self, ref: str, *, key: str, amount_minor: int) -> ProviderPayment:
        """Take part or all of a hold, once; the rest is free again.

        Raises:
            ProviderDeclined: it is not a standing hold, or is smaller than that.
        """
        ...

    def release(self, ref: str, *, key: str) -> ProviderPayment:
        """Let go of a hold, or withdraw a payment that nobody has paid yet.

        Raises:
            ProviderDeclined: there is nothing to let go of.
        """
        ...

    def refund(self, ref: str, *, key: str, amount_minor: int) -> ProviderPayment:
        """Give back part or all of what was taken; more than once if the sum allows.

        The answer says that the provider took it on. That it could not be brought to the payer
        is told by a notice, which may come days later.

        Raises:
            ProviderDeclined: nothing was taken, or less than that is left.
        """
        ...

    def read_notice(
        self, *, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> ProviderNotice:
        """Check a webhook's signature over its raw body, and read it. Asks nobody.

        Raises:
            BadNotice: it is not the provider's, is stale, or is not understood.
        """
        ...


@runtime_checkable
class PayoutProvider(Protocol):
    """A provider that also pays out. Not every one does; ask with ``isinstance``."""

    def pay_out(
        self,
        *,
        key: str,
        reference: str,
        amount_minor: int,
        currency: str,
        account: str,
        description: str,
    ) -> ProviderPayout:
        """Send money to an account, once for each key.

        Raises:
            ProviderDeclined: the provider refuses it: final, nothing went out.
            ProviderAway: nobody knows; ask with :meth:`find_payout`, or again with the key.
        """
        ...

    def find_payout(self, reference: str) -> ProviderPayout | None:
        """The payout that bears our reference; None: the provider never heard of it."""
        ...
