"""The operator's hand on people, merchants and banks: each change with who, before, after, why.

Suspending stops what would begin, never what goes on: a suspended renter gives back and pays, a
suspended merchant's rentals are collected and settled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from sqlmodel import Session

from backend.db import audit, market, oversight, people
from backend.db import rentals as needed
from backend.db.notifications import notify
from backend.db.oversight import Recalled
from backend.db.tables.credits import CreditNoteRow
from backend.db.tables.market import BankRow, MerchantRow, MerchantStatus
from backend.db.tables.people import Person
from backend.domain.credit import CreditKind
from backend.domain.dispatch import EndedWhy
from backend.domain.erasure import masked
from backend.domain.errors import Code, Refusal
from backend.domain.money import Minor
from backend.domain.precheck import WhyNot
from backend.domain.rental import RentalState
from backend.limits import RECALLED_AT_ONCE_MAX
from backend.principal import Principal
from backend.services import credits as notes
from backend.services import dispatch, feeding, rentals, starting

# -- people --------------------------------------------------------------------------------


def suspend_person(
    session: Session, *, who: Principal, person_id: str, reason: str, now: datetime
) -> Person:
    """Keep somebody from renting and working; what they have open goes on.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if they are suspended already.
    """
    person = _person(session, person_id)
    if not oversight.suspend(session, person_id, now=now):
        raise Refusal(Code.WRONG_STATE, state="suspended", event="suspend")
    _note_person(session, who, person, was="active", action="person.suspend", why=reason, now=now)
    return person


def resume_person(
    session: Session, *, who: Principal, person_id: str, reason: str, now: datetime
) -> Person:
    """Let somebody rent and work again.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if nothing kept them from it.
    """
    person = _person(session, person_id)
    if not oversight.resume(session, person_id):
        raise Refusal(Code.WRONG_STATE, state="active", event="resume")
    _note_person(session, who, person, was="suspended", action="person.resume", why=reason, now=now)
    return person


def correct_person(
    session: Session, *, who: Principal, person_id: str, name: str, reason: str, now: datetime
) -> Person:
    """Put somebody's name right.

    The trace, which nothing is ever taken out of, keeps the first letter: they may want to be
    forgotten one day.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if they were forgotten.
    """
    person = _person(session, person_id)
    if person.erased_at is not None:
        raise Refusal(Code.WRONG_STATE, state="erased", event="correct")
    before, person.name = person.name, name
    session.add(person)
    audit.write(
        session,
        by_id=who.person_id,
        action="person.correct",
        subject="person",
        subject_id=person_id,
        before={"name": masked(before)},
        after={"name": masked(name)},
        why=reason,
        now=now,
    )
    notify(session, person_ids=[person_id], kind="account.corrected", data={}, now=now)
    return person


def _person(session: Session, person_id: str) -> Person:
    person = people.person(session, person_id)
    if person is None:
        raise Refusal(Code.NOT_FOUND)
    return person


def _note_person(
    session: Session,
    who: Principal,
    person: Person,
    *,
    was: str,
    action: str,
    why: str,
    now: datetime,
) -> None:
    session.refresh(person)
    after = "active" if person.suspended_at is None else "suspended"
    audit.write(
        session,
        by_id=who.person_id,
        action=action,
        subject="person",
        subject_id=person.id,
        before={"account": was},
        after={"account": after},
        why=why,
        now=now,
    )
    notify(session, person_ids=[person.id], kind=f"account.{after}", data={}, now=now)


# -- merchants -----------------------------------------------------------------------------


def suspend_merchant(
    session: Session, *, who: Principal, merchant_id: str, reason: str, now: datetime
) -> MerchantRow:
    """Let a merchant lend nothing more; what is rented goes on.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if it does not lend.
    """
    return _move(
        session,
        who,
        merchant_id,
        old=MerchantStatus.APPROVED,
        new=MerchantStatus.SUSPENDED,
        action="merchant.suspend",
        why=reason,
        now=now,
    )


def resume_merchant(
    session: Session, *, who: Principal, merchant_id: str, reason: str, now: datetime
) -> MerchantRow:
    """Let a suspended merchant lend again.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if it is not suspended.
    """
    return _move(
        session,
        who,
        merchant_id,
        old=MerchantStatus.SUSPENDED,
        new=MerchantStatus.APPROVED,
        action="merchant.resume",
        why=reason,
        now=now,
    )


def _move(
    session: Session,
    who: Principal,
    merchant_id: str,
    *,
    old: MerchantStatus,
    new: MerchantStatus,
    action: str,
    why: str,
    now: datetime,
) -> MerchantRow:
    merchant = find_merchant(session, merchant_id)
    if not market.move_merchant(session, merchant_id, old=old, new=new):
        raise Refusal(Code.WRONG_STATE, state=merchant.status, event=action.partition(".")[2])
    session.refresh(merchant)
    audit.write(
        session,
        by_id=who.person_id,
        action=action,
        subject="merchant",
        subject_id=merchant_id,
        before={"status": old},
        after={"status": new},
        why=why,
        now=now,
    )
    data = {"merchant_id": merchant_id, "name": merchant.name}
    notify(session, person_ids=[merchant.owner_id], kind=f"merchant.{new}", data=data, now=now)
    return merchant


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What an operator puts right in a merchant's record; None: it stays as it is."""

    name: str | None = None
    commission_bp: int | None = None
    """Of rentals asked for from now on; those there are keep theirs."""
    service_radius_m: int | None = None


def correct_merchant(
    session: Session,
    *,
    who: Principal,
    merchant_id: str,
    correction: Correction,
    reason: str,
    now: datetime,
) -> MerchantRow:
    """Put a merchant's record right; what is so already leaves no trace.

    Raises:
        Refusal: NOT_FOUND; MERCHANT_NAME_TAKEN.
    """
    merchant = find_merchant(session, merchant_id)
    named = {field.name: getattr(correction, field.name) for field in fields(correction)}
    wished = {name: value for name, value in named.items() if value is not None}
    changes = {name: value for name, value in wished.items() if getattr(merchant, name) != value}
    if not changes:
        return merchant
    if "name" in changes and market.merchant_name_taken(
        session, owner_id=merchant.owner_id, name=changes["name"]
    ):
        raise Refusal(Code.MERCHANT_NAME_TAKEN)
    before = {name: str(getattr(merchant, name)) for name in changes}
    for name, value in changes.items():
        setattr(merchant, name, value)
    session.add(merchant)
    audit.write(
        session,
        by_id=who.person_id,
        action="merchant.correct",
        subject="merchant",
        subject_id=merchant_id,
        before=before,
        after={name: str(value) for name, value in changes.items()},
        why=reason,
        now=now,
    )
    data = {"merchant_id": merchant_id, "changed": sorted(changes)}
    notify(session, person_ids=[merchant.owner_id], kind="merchant.corrected", data=data, now=now)
    return merchant


def find_merchant(session: Session, merchant_id: str) -> MerchantRow:
    """A merchant, whoever's.

    Raises:
        Refusal: NOT_FOUND.
    """
    merchant = market.find_merchant(session, merchant_id)
    if merchant is None:
        raise Refusal(Code.NOT_FOUND)
    return merchant


# -- banks ---------------------------------------------------------------------------------


def recall(
    session: Session,
    *,
    who: Principal,
    batch: str | None,
    bank_ids: Sequence[str],
    reason: str,
    now: datetime,
) -> list[Recalled]:
    """Recall a batch, or banks by name: they go out no more, and who has one hears of it.

    Who waits for one gets another; one that was to start, and was not told yet, does not. What
    feeds already goes on: its renter may have it swapped.

    Returns:
        Those that were not recalled before.

    Raises:
        Refusal: NOT_FOUND, if nothing fits; TOO_MANY_BANKS, if that is more than one transaction
            should do: each has holders to tell, and maybe a rental to find another bank for.
    """
    wanted = oversight.to_recall(
        session, batch=batch, bank_ids=bank_ids, limit=RECALLED_AT_ONCE_MAX + 1
    )
    if len(wanted) > RECALLED_AT_ONCE_MAX:
        raise Refusal(Code.TOO_MANY_BANKS, most=RECALLED_AT_ONCE_MAX)
    needed.lock_renting(session, wanted)
    recalled = oversight.recall(session, wanted)
    if not recalled and not _any(session, batch=batch, bank_ids=bank_ids):
        raise Refusal(Code.NOT_FOUND)
    for each in recalled:
        bank = market.bank(session, each.bank_id)
        session.refresh(bank)
        _note_bank(session, who, bank, action="bank.recall", is_recalled=True, why=reason, now=now)
        _tell_holders(session, bank, kind="bank.recalled", why=reason, now=now)
        _keep_from_renters(session, bank, now=now)
    return recalled


def _keep_from_renters(session: Session, bank: BankRow, *, now: datetime) -> None:
    rental = needed.renting(session, bank.id)
    if rental is None:
        return
    if rental.state is RentalState.STARTING and feeding.withdraw_start(session, rental, now=now):
        starting.refuse(session, rental, why=WhyNot.RECALLED, now=now)
    dispatch.lose_bank(session, bank, now=now, why=EndedWhy.BANK_RECALLED)


def _any(session: Session, *, batch: str | None, bank_ids: Sequence[str]) -> bool:
    if any(market.find_bank(session, bank_id) is not None for bank_id in bank_ids):
        return True
    found = oversight.banks(
        session, merchant_id=None, batch=batch, holder=None, is_recalled=None, after="", limit=1
    )
    return batch is not None and bool(found)


def end_recall(
    session: Session, *, who: Principal, bank_id: str, reason: str, now: datetime
) -> BankRow:
    """End a bank's recall: its merchant inspects it, and then it may go out again.

    Raises:
        Refusal: NOT_FOUND; WRONG_STATE if it is not recalled.
    """
    bank = market.find_bank(session, bank_id)
    if bank is None:
        raise Refusal(Code.NOT_FOUND)
    if not oversight.release(session, bank_id):
        raise Refusal(Code.WRONG_STATE, state="active", event="end_recall")
    session.refresh(bank)
    _note_bank(session, who, bank, action="bank.end_recall", is_recalled=False, why=reason, now=now)
    _tell_holders(session, bank, kind="bank.recall_ended", why=reason, now=now)
    return bank


def _note_bank(
    session: Session,
    who: Principal,
    bank: BankRow,
    *,
    action: str,
    is_recalled: bool,
    why: str,
    now: datetime,
) -> None:
    audit.write(
        session,
        by_id=who.person_id,
        action=action,
        subject="bank",
        subject_id=bank.id,
        before={"is_recalled": str(not is_recalled)},
        after={"is_recalled": str(is_recalled)},
        why=why,
        now=now,
    )


def _tell_holders(session: Session, bank: BankRow, *, kind: str, why: str, now: datetime) -> None:
    """The merchant's owner, and whoever has the bank in their hands."""
    owner_id = market.merchant(session, bank.merchant_id).owner_id
    whom = [owner_id] if bank.holder_id is None else [owner_id, bank.holder_id]
    data = {"bank_id": bank.id, "merchant_id": bank.merchant_id, "why": why}
    notify(session, person_ids=whom, kind=kind, data=data, now=now)


# -- bills ---------------------------------------------------------------------------------


def credit(
    session: Session,
    *,
    who: Principal,
    rental_id: str,
    amount_minor: Minor,
    is_bill_wrong: bool,
    reason: str,
    now: datetime,
) -> CreditNoteRow:
    """Take a part of a bill back: a correction of it, or goodwill.

    Args:
        session: a writing transaction.
        who: an operator.
        rental_id: a rental that was billed.
        amount_minor: above zero.
        is_bill_wrong: then those who shared it give it up; else the platform gives.
        reason: for the renter to read, and for the trace.
        now: the time.

    Raises:
        Refusal: NOT_FOUND; MORE_THAN_BILLED.
    """
    rental = rentals.find_locked(session, rental_id)
    before = rental.credited_minor
    note = notes.credit(
        session,
        rental,
        amount_minor=amount_minor,
        kind=CreditKind.CORRECTION if is_bill_wrong else CreditKind.GOODWILL,
        why=reason,
        by_id=who.person_id,
        evidence="",
        now=now,
    )
    audit.write(
        session,
        by_id=who.person_id,
        action="rental.credit",
        subject="rental",
        subject_id=rental_id,
        before={"credited_minor": str(before)},
        after={"credited_minor": str(before + amount_minor)},
        why=reason,
        now=now,
    )
    return note
