"""Refunds: money that goes back to the payment it came from.

Each is a row with an id of its own, which makes its key at the provider: several parts of one
payment may go back, each once. The books owe it from the moment that it is asked for; they note it
gone when the provider says so, and owe it again should it come back.
"""

from datetime import datetime
from typing import Any

from sqlmodel import Session

from backend.db import audit, money, outbox, rentals
from backend.db import credits as notes
from backend.db.tables.credits import RefundRow, RefundWhy
from backend.db.tables.money import Ask, InboxRow, PaymentRow
from backend.db.tables.rentals import RentalRow
from backend.domain import ledger
from backend.domain.errors import Code, Refusal
from backend.domain.money import Currency, Minor
from backend.ids import new_id
from backend.payments.port import PaymentStatus, ProviderPayment, ProviderRefund
from backend.principal import Principal
from backend.services.steps import hear


def send_back(
    session: Session,
    payment: PaymentRow,
    *,
    amount_minor: Minor,
    why: RefundWhy,
    now: datetime,
    credit_id: str | None = None,
) -> RefundRow:
    """Have a part of a payment sent back, or all; the books owe it to the renter already."""
    row = RefundRow(
        id=new_id(),
        payment_id=payment.id,
        rental_id=payment.rental_id,
        credit_id=credit_id,
        why=why,
        provider=payment.provider,
        amount_minor=amount_minor,
        currency=payment.currency,
        asked_at=now,
    )
    _ask(session, row, now=now)
    return row


def _ask(session: Session, row: RefundRow, *, now: datetime) -> None:
    session.add(row)
    session.flush()
    outbox.put(
        session,
        key=f"refund:{row.id}",
        ask=Ask.REFUND,
        payment_id=row.payment_id,
        refund_id=row.id,
        amount_minor=row.amount_minor,
        now=now,
    )


def went(session: Session, refund_id: str, *, now: datetime) -> None:
    """Take over that the provider sent a refund, once however often it says so."""
    if not notes.went(session, refund_id, now=now):
        return
    refund = notes.read_refund(session, refund_id)
    facts: dict[str, Any] = {
        "refund_id": refund.id,
        "currency": Currency.of(refund.currency),
        "amount_minor": Minor(refund.amount_minor),
        "returns": refund.returns,
    }
    rental = None if refund.rental_id is None else rentals.read(session, refund.rental_id)
    if rental is None:
        gone = ledger.unclaimed_refunded(**facts)
        money.write_fact(session, gone, rental_id=None, now=now)
        return
    gone = ledger.payment_refunded(renter=rental.renter_id, **facts)
    money.write_fact(session, gone, rental_id=rental.id, now=now)
    _tell(session, rental, refund, kind="payment.refunded", now=now)


def learn(session: Session, refund_id: str, told: ProviderRefund, *, now: datetime) -> None:
    """Take over what became of a refund after its provider took it on, if it is news.

    What came back is owed again, and its wish is refused: an operator has it sent anew, or leaves
    it be. A word about an earlier wish that was made anew since is no news, unless that arrived.
    """
    wish = outbox.of_refund(session, refund_id)
    if told.is_gone:
        outbox.needless(session, wish.id, now=now)
        went(session, refund_id, now=now)
    elif told.key == wish.provider_key:
        outbox.refused(session, wish, problem=told.failure or "it came back", now=now)
        _came_back(session, refund_id, now=now)


def _came_back(session: Session, refund_id: str, *, now: datetime) -> None:
    if not notes.came_back(session, refund_id):
        return
    refund = notes.read_refund(session, refund_id)
    rental = None if refund.rental_id is None else rentals.read(session, refund.rental_id)
    back = ledger.refund_returned(
        refund_id=refund.id,
        renter=None if rental is None else rental.renter_id,
        currency=Currency.of(refund.currency),
        amount_minor=Minor(refund.amount_minor),
        returns=refund.returns - 1,
    )
    money.write(session, back, rental_id=refund.rental_id, now=now)
    if rental is not None:
        _tell(session, rental, refund, kind="payment.refund_returned", now=now)


def _tell(
    session: Session, rental: RentalRow, refund: RefundRow, *, kind: str, now: datetime
) -> None:
    data = {
        "payment_id": refund.payment_id,
        "rental_id": rental.id,
        "refund_id": refund.id,
        "why": refund.why,
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
    }
    hear(session, rental, kind=kind, data=data, now=now)


# -- by an operator ----------------------------------------------------------------------------


def refund_unmatched(
    session: Session,
    *,
    who: Principal,
    provider: str,
    inbox_id: str,
    reason: str,
    now: datetime,
) -> RefundRow:
    """Send a paid payment that fits none of ours back to whoever paid it.

    The operator answers for the money being there: they looked it up at the provider.

    Args:
        session: a writing transaction.
        who: the operator.
        provider: the notice's.
        inbox_id: the notice, on the operator's list.
        reason: why, for the trace.
        now: the time.

    Raises:
        Refusal: NOT_FOUND; NOTHING_TO_REFUND if the notice tells of no payment that was taken,
            or it was dealt with already; UNKNOWN_CURRENCY.
    """
    notice = _listed(session, provider, inbox_id)
    if notice.status != PaymentStatus.PAID or notice.captured_minor <= 0:
        raise Refusal(Code.NOTHING_TO_REFUND)
    if notes.unclaimed(session, provider, notice.provider_ref) is not None:
        raise Refusal(Code.NOTHING_TO_REFUND)
    amount, currency = Minor(notice.captured_minor), Currency.of(notice.currency)
    refund = RefundRow(
        id=new_id(),
        why=RefundWhy.UNCLAIMED,
        provider=provider,
        provider_ref=notice.provider_ref,
        amount_minor=amount,
        currency=currency,
        asked_at=now,
    )
    _ask(session, refund, now=now)
    received = ledger.unclaimed_received(
        refund_id=refund.id, currency=currency, amount_minor=amount
    )
    money.write(session, received, rental_id=None, now=now)
    _resolve(session, who, notice, resolution=f"refund {refund.id}", reason=reason, now=now)
    return refund


def is_sent_back(session: Session, told: ProviderPayment, *, provider: str) -> bool:
    """Whether all of a payment that fits none of ours went back, or is on its way."""
    refund = notes.unclaimed(session, provider, told.ref)
    return refund is not None and told.captured_minor <= refund.amount_minor


def set_aside(
    session: Session,
    *,
    who: Principal,
    provider: str,
    inbox_id: str,
    reason: str,
    now: datetime,
) -> InboxRow:
    """Take a notice off the list without moving money: it was dealt with, or tells of nothing.

    Raises:
        Refusal: NOT_FOUND; NOTHING_TO_REFUND if it was dealt with already.
    """
    notice = _listed(session, provider, inbox_id)
    _resolve(session, who, notice, resolution="set aside", reason=reason, now=now)
    session.refresh(notice)
    return notice


def _listed(session: Session, provider: str, inbox_id: str) -> InboxRow:
    notice = outbox.notice(session, provider, inbox_id)
    if notice is None or notice.problem is None:
        raise Refusal(Code.NOT_FOUND)
    if notice.resolved_at is not None:
        raise Refusal(Code.NOTHING_TO_REFUND)
    return notice


def _resolve(
    session: Session,
    who: Principal,
    notice: InboxRow,
    *,
    resolution: str,
    reason: str,
    now: datetime,
) -> None:
    if not outbox.resolve(session, notice.provider, notice.id, resolution=resolution, now=now):
        raise Refusal(Code.NOTHING_TO_REFUND)
    audit.write(
        session,
        by_id=who.person_id,
        action="notice.resolve",
        subject="notice",
        subject_id=notice.id,
        before={"provider": notice.provider, "notice": notice.id, "problem": notice.problem or ""},
        after={"resolution": resolution},
        why=reason,
        now=now,
    )
