"""Following a delivery, and hurrying it on."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from backend.api.deps import CurrentPrincipal, DbSession, Now
from backend.api.idempotency import IdempotentRoute
from backend.api.schemas import Id, Out
from backend.db.tables.rentals import JobKind
from backend.domain.rental import RentalState
from backend.services import delivery
from backend.services.delivery import DeliveryView

router = APIRouter(tags=["delivery"], route_class=IdempotentRoute)


class PositionOut(Out):
    """Where who delivers is, and how old that is."""

    lat: float
    lng: float
    told_at: datetime
    age_s: int = Field(examples=[8])


class DeliveryOut(Out):
    """A delivery, as its renter follows it."""

    rental_id: str
    state: RentalState
    promised_at: datetime | None = Field(description="By when it was promised.")
    eta_at: datetime | None = Field(description="When it is expected now; null once it is over.")
    minutes: int | None = Field(description="Until then, rounded up.", examples=[12])
    is_late: bool = Field(description="It missed the promised time: its delivery costs nothing.")
    is_abnormal: bool = Field(description="It was late, or had to be given to somebody else.")
    staff: str | None = Field(description="Who delivers.", examples=["小王"])
    position: PositionOut | None = Field(description="Only while they are on the way to you.")
    waits_until: datetime | None = Field(
        description="They are at the door, and wait until then for you to open."
    )
    urges_left: int = Field(examples=[5])

    @classmethod
    def of(cls, view: DeliveryView) -> "DeliveryOut":
        """Show a delivery."""
        at = view.position
        return cls(
            rental_id=view.rental_id,
            state=view.state,
            promised_at=view.promised_at,
            eta_at=view.eta_at,
            minutes=view.minutes,
            is_late=view.is_late,
            is_abnormal=view.is_abnormal,
            staff=view.staff_name,
            position=None
            if at is None
            else PositionOut(
                lat=at.lat,
                lng=at.lng,
                told_at=at.told_at,
                age_s=max(0, int((view.now - at.told_at).total_seconds())),
            ),
            waits_until=view.waits_until,
            urges_left=view.urges_left,
        )


class UrgedOut(Out):
    """An urge that was passed on."""

    rental_id: str
    urges: int = Field(description="So far.", examples=[1])
    urged_at: datetime | None


class RemindedOut(Out):
    """A reminder that was passed on."""

    rental_id: str
    job_id: str
    kind: JobKind
    reminded_at: datetime | None


@router.get("/rentals/{rental_id}/delivery")
def follow(rental_id: Id, session: DbSession, who: CurrentPrincipal, now: Now) -> DeliveryOut:
    """Show where my delivery stands; `rental.eta` on the stream says when it shifts."""
    return DeliveryOut.of(delivery.follow(session, who=who, rental_id=rental_id, now=now))


@router.post("/rentals/{rental_id}/urge")
def urge(rental_id: Id, session: DbSession, who: CurrentPrincipal, now: Now) -> UrgedOut:
    """Urge: the merchant and whoever comes hear it. Once a minute, and not without end."""
    rental = delivery.urge(session, who=who, rental_id=rental_id, now=now)
    return UrgedOut(rental_id=rental.id, urges=rental.urges, urged_at=rental.urged_at)


@router.post("/merchants/{merchant_id}/rentals/{rental_id}/remind")
def remind(
    *, merchant_id: Id, rental_id: Id, session: DbSession, who: CurrentPrincipal, now: Now
) -> RemindedOut:
    """Remind, as its merchant, whoever is to bring or to fetch the bank."""
    job = delivery.remind(session, who=who, merchant_id=merchant_id, rental_id=rental_id, now=now)
    return RemindedOut(
        rental_id=job.rental_id, job_id=job.id, kind=job.kind, reminded_at=job.reminded_at
    )
