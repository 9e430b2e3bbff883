"""Rentals and their money, as an operator manages them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from backend.api.deps import DbSession, Now, OperatorPrincipal
from backend.api.disputes import CreditOut, DisputeOut, DisputesOut
from backend.api.idempotency import IdempotentRoute
from backend.api.operator.shapes import NEXT_OLDER, After, WhyIn
from backend.api.schemas import BankId, Id, In, Out
from backend.api.shapes import Before, Limit, PaymentOut, Reader, RentalOut, RentalsOut
from backend.db import jobs
from backend.db import oversight as queries
from backend.db.tables.dispatch import OfferRow
from backend.db.tables.money import PaymentState
from backend.db.tables.rentals import JobKind, JobRow, JobState
from backend.domain.dispatch import OfferState, PartName
from backend.domain.dispute import DisputeState
from backend.domain.money import Minor
from backend.domain.rental import RentalState
from backend.services import by_hand, disputes, oversight, rentals

router = APIRouter(route_class=IdempotentRoute)


class BackIn(WhyIn):
    """A bank is back that nobody scanned."""

    back_at: AwareDatetime | None = Field(
        default=None,
        strict=False,
        description="Since when, if that is known: nothing later is billed.",
        examples=["2026-11-22T12:00:00Z"],
    )


class CreditIn(In):
    """A part of a bill to take back."""

    amount_minor: int = Field(gt=0, examples=[500])
    is_bill_wrong: bool = Field(
        default=False,
        description="True: a correction, given up by merchant and platform as they shared it. "
        "False: goodwill, given by the platform.",
    )
    reason: str = Field(
        min_length=1,
        max_length=300,
        description="For the renter to read, too.",
        examples=["The bank was slow to start: with our apologies."],
    )


class DecisionIn(WhyIn):
    """How a dispute ends."""

    granted_minor: int = Field(
        ge=0, description="What the renter gets: nothing, a part, or all of it.", examples=[300]
    )


class PartOut(Out):
    """One thing that spoke for a bank."""

    name: PartName
    weight: int = Field(description="All of them sum to 100.", examples=[50])
    value: int = Field(description="From 0 to 1000.", examples=[920])


class ChoiceOut(Out):
    """Why this bank was sent before all others."""

    bank_id: str
    distance_m: int = Field(description="From its merchant to the renter.", examples=[800])
    score: int = Field(description="The sum of weight times value.", examples=[85_400])
    parts: list[PartOut]


class OfferOut(Out):
    """One person who was asked."""

    person_id: str
    state: OfferState
    offered_at: datetime
    expires_at: datetime
    answered_at: datetime | None


class JobOut(Out):
    """A delivery or a collection: whose it was, and how it ended."""

    id: str
    kind: JobKind
    state: JobState
    merchant_id: str
    bank_id: str
    staff_id: str | None
    created_at: datetime
    accepted_at: datetime | None
    set_out_at: datetime | None
    done_at: datetime | None
    late_at: datetime | None = Field(description="Since when it is late or stalled.")
    ended_why: str = Field(description="Why it was cancelled, if it was.", examples=["late"])
    choice: ChoiceOut | None = Field(description="None: the renter chose, or it must be this one.")
    offers: list[OfferOut]

    @classmethod
    def of(cls, job: JobRow, offers: Sequence[OfferRow]) -> Self:
        """Show a job and who was asked to do it."""
        told = job.model_dump(include=set(cls.model_fields) - {"choice", "offers"})
        choice = None if job.choice is None else ChoiceOut.model_validate_json(job.choice)
        asked = [OfferOut.model_validate(offer) for offer in offers]
        return cls(**told, choice=choice, offers=asked)


class JobsOut(Out):
    """All jobs of a rental, in order."""

    items: list[JobOut]


class PaymentsOut(Out):
    """A page of payments, newest first."""

    items: list[PaymentOut]
    next: str | None = Field(description=NEXT_OLDER)


@router.get("/rentals")
def every(
    *,
    session: DbSession,
    _who: OperatorPrincipal,
    now: Now,
    lang: Reader,
    state: Annotated[list[RentalState], Query()] = [],  # noqa: B006 - FastAPI copies it
    merchant_id: Id | None = None,
    renter_id: Id | None = None,
    bank_id: BankId | None = None,
    abnormal: bool | None = None,
    before: Before = None,
    limit: Limit = 20,
) -> RentalsOut:
    """List rentals, newest first."""
    found = queries.rentals(
        session,
        states=state,
        merchant_id=merchant_id,
        renter_id=renter_id,
        bank_id=bank_id,
        is_abnormal=abnormal,
        before=before,
        limit=limit,
    )
    views = [rentals.view(session, rental, now=now) for rental in found]
    return RentalsOut.of(views, lang, limit=limit, for_renter=False)


@router.get("/rentals/{rental_id}")
def one(
    *, rental_id: Id, session: DbSession, _who: OperatorPrincipal, now: Now, lang: Reader
) -> RentalOut:
    """Show a rental."""
    rental = rentals.find(session, rental_id)
    return RentalOut.of(rentals.view(session, rental, now=now), lang, for_renter=False)


@router.get("/rentals/{rental_id}/jobs")
def who_was_asked(*, rental_id: Id, session: DbSession, _who: OperatorPrincipal) -> JobsOut:
    """Show how a rental was dispatched: what was chosen and why, and what people answered."""
    found = jobs.of_rental(session, rentals.find(session, rental_id).id)
    return JobsOut(items=[JobOut.of(job, jobs.offers(session, job.id)) for job in found])


@router.post("/rentals/{rental_id}/cancel")
def cancel(
    *,
    rental_id: Id,
    body: WhyIn,
    session: DbSession,
    who: OperatorPrincipal,
    now: Now,
    lang: Reader,
) -> RentalOut:
    """Call a rental off before it is handed over, for nothing; renter and staff hear why."""
    rental = by_hand.cancel(session, who=who, rental_id=rental_id, reason=body.reason, now=now)
    return RentalOut.of(rentals.view(session, rental, now=now), lang, for_renter=False)


@router.post("/rentals/{rental_id}/close")
def close(
    *,
    rental_id: Id,
    body: BackIn,
    session: DbSession,
    who: OperatorPrincipal,
    now: Now,
    lang: Reader,
) -> RentalOut:
    """Close a rental whose bank is back, though nobody scanned it."""
    rental = by_hand.close(
        session, who=who, rental_id=rental_id, reason=body.reason, back_at=body.back_at, now=now
    )
    return RentalOut.of(rentals.view(session, rental, now=now), lang, for_renter=False)


@router.post("/rentals/{rental_id}/lose")
def lose(
    *,
    rental_id: Id,
    body: WhyIn,
    session: DbSession,
    who: OperatorPrincipal,
    now: Now,
    lang: Reader,
) -> RentalOut:
    """Close a rental whose bank is gone and never fed: nobody is billed."""
    rental = by_hand.mark_lost(session, who=who, rental_id=rental_id, reason=body.reason, now=now)
    return RentalOut.of(rentals.view(session, rental, now=now), lang, for_renter=False)


@router.post("/rentals/{rental_id}/sell")
def sell(
    *,
    rental_id: Id,
    body: WhyIn,
    session: DbSession,
    who: OperatorPrincipal,
    now: Now,
    lang: Reader,
) -> RentalOut:
    """Have a bank that does not come back count as bought, at the price of the cap."""
    rental = by_hand.sell(session, who=who, rental_id=rental_id, reason=body.reason, now=now)
    return RentalOut.of(rentals.view(session, rental, now=now), lang, for_renter=False)


@router.post("/rentals/{rental_id}/credit", status_code=201)
def credit(
    *, rental_id: Id, body: CreditIn, session: DbSession, who: OperatorPrincipal, now: Now
) -> CreditOut:
    """Take a part of a bill back: less is owed, or what was paid goes back."""
    note = oversight.credit(
        session,
        who=who,
        rental_id=rental_id,
        amount_minor=Minor(body.amount_minor),
        is_bill_wrong=body.is_bill_wrong,
        reason=body.reason,
        now=now,
    )
    return CreditOut.of(note)


@router.get("/payments")
def payments(
    *,
    session: DbSession,
    _who: OperatorPrincipal,
    state: Annotated[list[PaymentState], Query()] = [],  # noqa: B006 - FastAPI copies it
    rental_id: Id | None = None,
    before: Before = None,
    limit: Limit = 20,
) -> PaymentsOut:
    """List payments, newest first."""
    rows = queries.payments(session, states=state, rental_id=rental_id, before=before, limit=limit)
    items = [PaymentOut.of(row) for row in rows]
    return PaymentsOut(items=items, next=items[-1].id if len(items) == limit else None)


@router.get("/disputes")
def every_dispute(
    *,
    session: DbSession,
    _who: OperatorPrincipal,
    state: DisputeState | None = None,
    after: After = "",
    limit: Limit = 20,
) -> DisputesOut:
    """List disputes, oldest first; `next` goes into `after`."""
    found = disputes.everywhere(session, state=state, after=after, limit=limit)
    items = [DisputeOut.of(row) for row in found]
    return DisputesOut(items=items, next=items[-1].id if len(items) == limit else None)


@router.post("/disputes/{dispute_id}/decide")
def decide(
    *, dispute_id: Id, body: DecisionIn, session: DbSession, who: OperatorPrincipal, now: Now
) -> DisputeOut:
    """Decide a dispute: all of it, a part, or nothing goes back to the renter."""
    ended = disputes.decide(
        session,
        who=who,
        dispute_id=dispute_id,
        granted_minor=Minor(body.granted_minor),
        reason=body.reason,
        now=now,
    )
    return DisputeOut.of(ended)
