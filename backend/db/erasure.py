"""Queries of an erasure: what somebody has open, and every place that tells who they are."""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, exists
from sqlmodel import Session, col, delete, select, update

from backend.db.hooks import BY_OWNER
from backend.db.tables.credits import RefundRow
from backend.db.tables.dispatch import OfferRow, PositionSampleRow, StaffPositionRow
from backend.db.tables.disputes import DisputeRow
from backend.db.tables.hooks import WebhookMessageRow, WebhookRow
from backend.db.tables.market import BankRow, MerchantRow, MerchantStatus, StaffRow
from backend.db.tables.money import LIVE, AccountRow, DepositRow, PaymentRow
from backend.db.tables.people import Person, SignIn, SigninCode, SigninQuota
from backend.db.tables.platform import IdempotencyRecord, Notification
from backend.db.tables.rentals import JobRow, JobState, RentalRow
from backend.db.tables.withdrawals import WithdrawalRow
from backend.domain import ledger
from backend.domain.custody import Holder
from backend.domain.deposit import ENDED
from backend.domain.dispute import DisputeState
from backend.domain.erasure import StillOpen, pseudonym, without_places
from backend.domain.rental import CLOSED, RentalState
from backend.domain.withdrawal import OVER

_GONE: Final = (Holder.LOST, Holder.SOLD)
_SUBJECT: Final = re.compile(r'"(?:rental_|person_)?id":\s*"([0-9A-Z]{26})"')
"""Whom or what a JSON text is about."""
_AT_ONCE: Final = 500
"""Rows read at once where many may have to be looked through."""

# -- what is open ----------------------------------------------------------------------------


def lock(session: Session, person_id: str) -> Person | None:
    """A person, locked for this transaction."""
    found = select(Person).where(Person.id == person_id).with_for_update(key_share=True)
    return session.exec(found.execution_options(populate_existing=True)).first()


def still_open(session: Session, person_id: str) -> list[StillOpen]:
    """What of this person's is not over yet."""
    owned = session.exec(select(MerchantRow.id).where(MerchantRow.owner_id == person_id)).all()
    asked = {
        **_open_as_renter(person_id),
        **_open_as_staff(person_id),
        **_open_as_owner(owned),
        StillOpen.MONEY: exists().where(
            col(AccountRow.code).in_(_accounts(person_id, owned)),
            col(AccountRow.balance_minor) != 0,
        ),
    }
    return [what for what, is_open in asked.items() if session.exec(select(is_open)).one()]


def _open_as_renter(person_id: str) -> dict[StillOpen, ColumnElement[bool]]:
    mine = col(RentalRow.renter_id) == person_id
    state = col(RentalRow.state)
    rented = select(RentalRow.id).where(mine)
    return {
        StillOpen.RENTAL: exists().where(mine, state.not_in((*CLOSED, RentalState.PAYMENT_DUE))),
        StillOpen.BILL: exists().where(mine, state == RentalState.PAYMENT_DUE),
        StillOpen.DEPOSIT: exists().where(
            col(DepositRow.rental_id).in_(rented), col(DepositRow.state).not_in(ENDED)
        ),
        StillOpen.PAYMENT: exists().where(
            col(PaymentRow.renter_id) == person_id, col(PaymentRow.state).in_(LIVE)
        ),
        StillOpen.REFUND: exists().where(
            col(RefundRow.rental_id).in_(rented), col(RefundRow.refunded_at).is_(None)
        ),
        StillOpen.DISPUTE: exists().where(
            col(DisputeRow.renter_id) == person_id, col(DisputeRow.state) == DisputeState.OPEN
        ),
    }


def _open_as_staff(person_id: str) -> dict[StillOpen, ColumnElement[bool]]:
    goes_on = col(JobRow.state).not_in((JobState.DONE, JobState.CANCELLED))
    return {
        StillOpen.JOB: exists().where(
            col(JobRow.staff_id) == person_id, goes_on | col(JobRow.has_bank).is_(True)
        ),
        StillOpen.BANK_IN_HAND: exists().where(col(BankRow.holder_id) == person_id),
    }


def _open_as_owner(owned: Collection[str]) -> dict[StillOpen, ColumnElement[bool]]:
    return {
        StillOpen.MERCHANT_BANKS: exists().where(
            col(BankRow.merchant_id).in_(owned), col(BankRow.holder).not_in(_GONE)
        ),
        StillOpen.MERCHANT_RENTALS: exists().where(
            col(RentalRow.merchant_id).in_(owned), col(RentalRow.state).not_in(CLOSED)
        ),
        StillOpen.WITHDRAWAL: exists().where(
            col(WithdrawalRow.merchant_id).in_(owned), col(WithdrawalRow.state).not_in(OVER)
        ),
    }


def _accounts(person_id: str, owned: Collection[str]) -> list[str]:
    """The accounts in which money of theirs would stand."""
    of_renter = (ledger.receivable, ledger.deposit_liability, ledger.refund_due)
    of_merchant = (
        ledger.merchant_pending,
        ledger.merchant_available,
        ledger.payout_in_flight,
        ledger.merchant_debt,
    )
    codes: list[str] = [account(person_id) for account in of_renter]
    return codes + [account(each) for each in owned for account in of_merchant]


# -- what tells who they are -----------------------------------------------------------------


def forget_person(session: Session, person: Person, *, now: datetime) -> None:
    """Put a pseudonym in the place of phone and name; what was sent to that phone goes.

    Whoever they were may neither rent nor work any more: a request of theirs that is on its way
    comes too late.
    """
    session.exec(delete(SigninCode).where(col(SigninCode.phone) == person.phone))
    session.exec(delete(SigninQuota).where(col(SigninQuota.subject) == f"phone:{person.phone}"))
    person.phone, person.name = pseudonym(person.id), ""
    person.is_operator = False
    person.suspended_at = person.suspended_at or now
    person.erased_at = now
    session.add(person)


def end_sign_ins(session: Session, person_id: str, *, now: datetime) -> Sequence[str]:
    """Sign all of a person's devices out; gives their sign-ins."""
    gone = session.exec(
        update(SignIn)
        .where(col(SignIn.person_id) == person_id, col(SignIn.revoked_at).is_(None))
        .values(revoked_at=now)
        .returning(col(SignIn.id))
        .execution_options(synchronize_session=False)
    )
    return [row[0] for row in gone]


def employments(session: Session, person_id: str) -> Sequence[StaffRow]:
    """Where somebody works, and worked."""
    return session.exec(select(StaffRow).where(StaffRow.person_id == person_id)).all()


def forget_name_at_work(session: Session, person_id: str) -> None:
    """Forget by which names merchants knew somebody."""
    session.exec(update(StaffRow).where(col(StaffRow.person_id) == person_id).values(name=""))


def forget_merchants(session: Session, person_id: str, *, now: datetime) -> None:
    """Let what a person owned lend no more, under no name, at no place, told nowhere."""
    owned = select(MerchantRow.id).where(MerchantRow.owner_id == person_id)
    hooks = select(WebhookRow.id).where(col(WebhookRow.merchant_id).in_(owned))
    session.exec(delete(WebhookMessageRow).where(col(WebhookMessageRow.webhook_id).in_(hooks)))
    session.exec(
        update(WebhookRow)
        .where(col(WebhookRow.merchant_id).in_(owned), col(WebhookRow.ended_at).is_(None))
        .values(ended_at=now, ended_why=BY_OWNER)
    )
    session.exec(
        update(WebhookRow).where(col(WebhookRow.merchant_id).in_(owned)).values(url="", secret="")
    )
    session.exec(
        update(MerchantRow)
        .where(col(MerchantRow.owner_id) == person_id)
        .values(
            name=col(MerchantRow.id),
            status=MerchantStatus.SUSPENDED,
            address="",
            lat=0.0,
            lng=0.0,
            cell="",
            hours=None,
            is_open=False,
            payout_account=None,
        )
    )


def rentals_of(session: Session, person_id: str) -> frozenset[str]:
    """All that a person ever rented."""
    return frozenset(session.exec(select(RentalRow.id).where(RentalRow.renter_id == person_id)))


def forget_places(session: Session, person_id: str) -> None:
    """Forget where somebody's banks were brought and fetched, and where they were themselves.

    Those who came to their door are forgotten to have been there, too.
    """
    rented = select(RentalRow.id).where(RentalRow.renter_id == person_id)
    jobs = select(JobRow.id).where(col(JobRow.rental_id).in_(rented))
    session.exec(
        delete(PositionSampleRow).where(
            (col(PositionSampleRow.person_id) == person_id)
            | col(PositionSampleRow.job_id).in_(jobs)
        )
    )
    session.exec(delete(StaffPositionRow).where(col(StaffPositionRow.person_id) == person_id))
    nowhere = {"lat": 0.0, "lng": 0.0, "address": ""}
    session.exec(update(JobRow).where(col(JobRow.rental_id).in_(rented)).values(**nowhere))
    session.exec(
        update(RentalRow)
        .where(col(RentalRow.renter_id) == person_id)
        .values(**nowhere, return_lat=None, return_lng=None, return_address=None)
    )
    session.exec(update(DisputeRow).where(col(DisputeRow.renter_id) == person_id).values(reason=""))


# -- what others were told -------------------------------------------------------------------


def forget_news(session: Session, person_id: str, rentals: Collection[str]) -> None:
    """Forget what somebody was told, and what others were told of their places and words."""
    session.exec(delete(Notification).where(col(Notification.person_id) == person_id))
    merchants = _merchants(session, rentals)
    for news in _news(session, _told(session, rentals, merchants)):
        if _is_about(news.data, rentals):
            news.data = _blanked(news.data)
            session.add(news)
    for message in _messages(session, merchants):
        if _is_about(message.body, rentals):
            message.body = _blanked(message.body)
            session.add(message)
    session.flush()


def forget_answers(
    session: Session, person_id: str, *, phone: str, rentals: Collection[str]
) -> None:
    """Forget what somebody was answered, and what others were answered about them.

    That they were answered is kept: nobody does anything twice by asking again. The answer that is
    about to be given to this very request is not there yet.
    """
    session.exec(
        delete(IdempotencyRecord).where(
            col(IdempotencyRecord.person_id) == person_id,
            col(IdempotencyRecord.status).is_not(None),
        )
    )
    operators = session.exec(select(Person.id).where(col(Person.is_operator).is_(True)))
    worked_for = {each.merchant_id for each in employments(session, person_id)}
    merchants = _merchants(session, rentals) | worked_for
    whom = {*_told(session, rentals, merchants), *operators}
    for record in session.exec(
        select(IdempotencyRecord)
        .where(col(IdempotencyRecord.person_id).in_(whom), col(IdempotencyRecord.body) != b"")
        .order_by(col(IdempotencyRecord.person_id), col(IdempotencyRecord.key))
        .execution_options(yield_per=_AT_ONCE)
    ):
        text = record.body.decode(errors="replace")
        if phone in text or _is_about(text, {person_id, *rentals}):
            record.status, record.media_type, record.body = None, None, b""
            session.add(record)
    session.flush()


def _is_about(text: str, ids: Collection[str]) -> bool:
    return any(found in ids for found in _SUBJECT.findall(text))


def _blanked(text: str) -> str:
    told = without_places(json.loads(text))
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _merchants(session: Session, rentals: Collection[str]) -> frozenset[str]:
    """Whose banks were, or were to be, brought."""
    now_at = select(RentalRow.merchant_id).where(col(RentalRow.id).in_(rentals))
    tried = select(JobRow.merchant_id).where(col(JobRow.rental_id).in_(rentals))
    return frozenset([*session.exec(now_at), *session.exec(tried)])


def _told(session: Session, rentals: Collection[str], merchants: Collection[str]) -> frozenset[str]:
    """Who may have heard of these rentals, beside their renter."""
    owners = select(MerchantRow.owner_id).where(col(MerchantRow.id).in_(merchants))
    staff = select(StaffRow.person_id).where(col(StaffRow.merchant_id).in_(merchants))
    asked = select(OfferRow.person_id).where(col(OfferRow.rental_id).in_(rentals))
    return frozenset([*session.exec(owners), *session.exec(staff), *session.exec(asked)])


def _news(session: Session, people: Collection[str]) -> Iterator[Notification]:
    yield from session.exec(
        select(Notification)
        .where(
            col(Notification.person_id).in_(people), col(Notification.data).contains("rental_id")
        )
        .order_by(col(Notification.person_id), col(Notification.seq))
        .execution_options(yield_per=_AT_ONCE)
    )


def _messages(session: Session, merchants: Collection[str]) -> Iterator[WebhookMessageRow]:
    yield from session.exec(
        select(WebhookMessageRow)
        .join(WebhookRow, col(WebhookRow.id) == col(WebhookMessageRow.webhook_id))
        .where(
            col(WebhookRow.merchant_id).in_(merchants),
            col(WebhookMessageRow.body).contains("rental_id"),
        )
        .order_by(col(WebhookMessageRow.id))
        .execution_options(yield_per=_AT_ONCE)
    )
