"""What a provider brings to the contract suite: a bench, and what it can.

The theory
----------
``test_provider_contract.py`` holds the sentences that are true of every provider behind
``backend.payments.port``. A sentence is written against a :class:`Bench`: the client under
test, the other company at its far end (real, fake or recorded), and hands for what is in
neither's power: the payer, the calendar, the line between them.

Not every provider can all: a sentence says what it needs with :func:`needs`, and is run for
the benches that can. Nothing is skipped.

To plug one in:

1. Subclass :class:`Bench` in ``tests/integration/payments/<name>_bench.py``, beside a fixture
   ``<name>_bench`` that yields it, fresh or shared: the suite makes new references and keys.
2. Import that fixture in this directory's ``conftest.py``.
3. Add a line to ``BENCHES`` below: the name, and what it can.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, ClassVar, Final, TypeVar

from backend.ids import new_id
from backend.payments.port import (
    Capture,
    PaymentStatus,
    PayoutProvider,
    PayoutStatus,
    Provider,
    ProviderNotice,
    ProviderPayment,
    ProviderPayout,
)

Sentence = TypeVar("Sentence", bound=Callable[..., None])


class Can(Enum):
    """What some providers can and others cannot."""

    HOLD = auto()
    """Set money aside, capture it whole, or let it go."""
    PART_CAPTURE = auto()
    """Take part of a hold: the rest is free again."""
    HOLD_EXPIRY = auto()
    """A hold runs out by itself, and the bench can let that time pass."""
    PAY_EXPIRY = auto()
    """A payment that nobody answers ends by itself, and the bench can let that time pass."""
    DECLINE = auto()
    """The payer can say no, and the provider tells."""
    CURRENCIES = auto()
    """Several currencies: :attr:`Bench.currencies` has them."""
    NOTICES = auto()
    """The bench hears the notices that the provider sends, and can have any body signed."""
    LOST_ANSWERS = auto()
    """The bench can lose the answer to a wish that was carried out."""
    LISTS = auto()
    """It lists what was taken: ``bench.provider.paid_since``."""
    PAYOUTS = auto()
    """It pays out: ``bench.provider`` is a ``PayoutProvider`` too."""


BENCHES: Final[Mapping[str, frozenset[Can]]] = {
    "sandbox": frozenset(Can),
    "stripe": frozenset(Can) - {Can.DECLINE, Can.LISTS, Can.PAYOUTS},
    "wechat": frozenset({Can.HOLD, Can.PART_CAPTURE, Can.NOTICES, Can.LOST_ANSWERS}),
}
"""What is plugged in: the fixture ``<name>_bench``, and what it can."""


def needs(*wanted: Can) -> Callable[[Sentence], Sentence]:
    """Run a sentence only for providers that can this."""

    def mark(sentence: Sentence) -> Sentence:
        sentence.needs = frozenset(wanted)  # type: ignore[attr-defined]
        return sentence

    return mark


def able(wanted: frozenset[Can]) -> list[str]:
    """The names of the benches that can all this."""
    return [name for name, can in BENCHES.items() if wanted <= can]


def but_for_the_page(payment: ProviderPayment) -> ProviderPayment:
    """A payment without its ``pay_url``, which some providers tell once and never again."""
    return replace(payment, pay_url="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A notice as it arrived: any spelling of header names, the raw bytes."""

    headers: Mapping[str, str]
    body: bytes


class Bench(ABC):
    """One provider, and hands for what is in nobody's power at its two ends.

    Only what belongs to a capability may be left out by a bench that cannot it.
    """

    amount_minor: ClassVar[int] = 9900
    currencies: ClassVar[tuple[str, ...]] = ("CNY",)
    provider: Provider

    # -- what each bench brings

    @abstractmethod
    def now(self) -> datetime:
        """What time it is for both sides."""

    @abstractmethod
    def payer_agrees(self, payment: ProviderPayment) -> None:
        """The payer says yes on the provider's page; it is done when this returns."""

    @abstractmethod
    def goes_away(self) -> None:
        """From now on, nobody answers the client."""

    def payer_declines(self, payment: ProviderPayment) -> None:
        """The payer says no (DECLINE)."""
        raise NotImplementedError

    def time_passes(self, span: timedelta) -> None:
        """The calendar of both sides moves on (HOLD_EXPIRY, PAY_EXPIRY)."""
        raise NotImplementedError

    def heard(self, reference: str, status: PaymentStatus | PayoutStatus) -> Heard:
        """Wait, bounded, for the notice that what bears our reference is so (NOTICES)."""
        raise NotImplementedError

    def signed(self, body: bytes) -> Heard:
        """Any body, as the provider would send and sign it now (NOTICES)."""
        raise NotImplementedError

    def loses_next_answer(self) -> None:
        """The next wish is carried out, and its answer never comes (LOST_ANSWERS)."""
        raise NotImplementedError

    def account(self, *, is_good: bool) -> str:
        """Where payouts arrive, or where they fail after a while (PAYOUTS)."""
        raise NotImplementedError

    def payout_ends(self, payout: ProviderPayout) -> None:
        """What it takes until a payout is no longer pending (PAYOUTS)."""
        raise NotImplementedError

    # -- what follows from it

    def ask(self, capture: Capture = Capture.AUTOMATIC, **changes: Any) -> ProviderPayment:
        """Ask a payer for money: a new payment, or a wish with these changes."""
        wish: dict[str, Any] = {
            "key": new_id(),
            "reference": new_id(),
            "amount_minor": self.amount_minor,
            "currency": self.currencies[0],
            "capture": capture,
            "description": "充電寶租借",
            "return_url": "http://127.0.0.1:1/back",
        }
        return self.provider.create(**wish | changes)

    def held(self) -> ProviderPayment:
        """Ask for a hold, and have the payer agree."""
        payment = self.ask(Capture.MANUAL)
        self.payer_agrees(payment)
        return self.provider.fetch(payment.ref)

    def paid(self) -> ProviderPayment:
        """Ask for a payment, and have the payer agree."""
        payment = self.ask()
        self.payer_agrees(payment)
        return self.provider.fetch(payment.ref)

    @property
    def payouts(self) -> PayoutProvider:
        """The provider, as one that pays out."""
        assert isinstance(self.provider, PayoutProvider)
        return self.provider

    def pay_out(self, **changes: Any) -> ProviderPayout:
        """Send money out: a new payout, or a wish with these changes."""
        wish: dict[str, Any] = {
            "key": new_id(),
            "reference": new_id(),
            "amount_minor": self.amount_minor,
            "currency": self.currencies[0],
            "account": self.account(is_good=True),
            "description": "Lendwatt 提現",
        }
        return self.payouts.pay_out(**wish | changes)

    def read(self, heard: Heard, *, later: timedelta = timedelta()) -> ProviderNotice:
        """Read a notice, now or later."""
        return self.provider.read_notice(
            headers=heard.headers, body=heard.body, now=self.now() + later
        )
