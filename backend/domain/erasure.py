"""To forget a person and keep the books: what makes them somebody goes, what happened stays.

The theory
----------
A person is known by their phone, by the names others gave them, by the places they were at, and by
what they wrote. Money and custody know them by their id only, and so need not be touched: once
nothing leads from the id to anybody, the books are about nobody, and still add up. So the person's
row stays, under a :func:`pseudonym`, and the phone is free to sign up anew as somebody else.

What is told to others about a rental was told as JSON (notifications, merchants' webhooks):
:func:`without_places` blanks the places and the renter's own words in it, and leaves the rest.

Nobody is forgotten while something of theirs is open (:class:`StillOpen`): whoever is owed money,
or waits for a bank, has to know from whom.

Not modelled: what a provider, a map service or a merchant's own system was told, which they forget
by their own rules; and free text in tables that are only added to, where a person might have
written who they are.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

PSEUDONYM_CHARS: Final = 16


class StillOpen(StrEnum):
    """What keeps a person from being forgotten."""

    SUSPENSION = "open_suspension"
    """Only for who asks by themselves: they would come back as somebody else."""
    RENTAL = "open_rental"
    BILL = "open_bill"
    DEPOSIT = "open_deposit"
    PAYMENT = "open_payment"
    REFUND = "open_refund"
    DISPUTE = "open_dispute"
    JOB = "open_job"
    BANK_IN_HAND = "open_bank_in_hand"
    MERCHANT_BANKS = "open_merchant_banks"
    MERCHANT_RENTALS = "open_merchant_rentals"
    WITHDRAWAL = "open_withdrawal"
    MONEY = "open_money"


_BLANK: Final[Mapping[str, object]] = MappingProxyType(
    {"address": "", "lat": 0.0, "lng": 0.0, "note": "", "reason": "", "phone": ""}
)
"""Where in what is told a place stands, or somebody's own words; and what stands there then."""


def pseudonym(person_id: str) -> str:
    """What stands in a phone's place: the id's own chance, 80 bits of it, and never a phone."""
    return person_id[-PSEUDONYM_CHARS:]


def masked(name: str) -> str:
    """A name as a trace keeps it, which nobody can take anything out of: its first letter."""
    return name[:1] + "*" * len(name[1:])


def without_places(told: Any) -> Any:
    """The same JSON value with its places and its people's own words blank."""
    if isinstance(told, Mapping):
        return {name: _BLANK.get(name, without_places(value)) for name, value in told.items()}
    if isinstance(told, list):
        return [without_places(each) for each in told]
    return told
