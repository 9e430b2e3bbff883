"""What a merchant does: register, say when and where it is open, hire, watch the rentals."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from backend.api.deps import CurrentPrincipal, DbSession, Now
from backend.api.idempotency import IdempotentRoute
from backend.api.schemas import Id, In, Latitude, Longitude, Out, Phone
from backend.api.shapes import (
    Address,
    Before,
    Limit,
    MerchantOut,
    Reader,
    RentalOut,
    RentalsOut,
)
from backend.domain import hours, scoring
from backend.domain.errors import Code, Refusal
from backend.domain.lang import Lang
from backend.domain.rental import MerchantList
from backend.domain.scoring import PartKind, Score
from backend.services import market, rentals, scores, staffing
from backend.services.market import Changes
from backend.services.places import Place
from backend.services.staffing import Worker

router = APIRouter(prefix="/merchants", tags=["merchant"], route_class=IdempotentRoute)

Name = Annotated[str, Field(min_length=1, max_length=80, examples=["阿明的充電寶"])]
Radius = Annotated[int, Field(ge=100, le=50_000, examples=[3000])]


class MerchantIn(In):
    """A merchant to register."""

    name: Name
    timezone: str = Field(max_length=64, examples=["Asia/Shanghai"])
    currency: str = Field(pattern=r"^[A-Z]{3}$", examples=["CNY"])
    lat: Latitude
    lng: Longitude
    address: Address
    service_radius_m: Radius


class ChangeIn(In):
    """What to change; what is left out stays as it is."""

    name: Name | None = None
    lat: Latitude | None = None
    lng: Longitude | None = None
    address: Address | None = Field(
        default=None, description="A new place needs its address, lat and lng together."
    )
    service_radius_m: Radius | None = None
    hours: dict[str, list[list[str]]] | Literal["always"] | None = Field(
        default=None,
        description="Spans by weekday, `mon` to `sun`, on the merchant's own clock; one that "
        "ends no later than it begins passes midnight. Days that are left out are days off.",
        examples=[{"mon": [["09:00", "22:00"]], "fri": [["18:00", "02:00"]]}],
    )
    is_open: bool | None = Field(
        default=None, description="The switch for now: false takes no rentals, whatever the hours."
    )

    def changes(self) -> Changes:
        """The same for the service.

        Raises:
            Refusal: BAD_HOURS, PLACE_INCOMPLETE.
        """
        week = self.hours
        return Changes(
            name=self.name,
            place=self._place(),
            service_radius_m=self.service_radius_m,
            hours=hours.of_week(week) if isinstance(week, dict) else None,
            is_always_open=week == "always",
            is_open=self.is_open,
        )

    def _place(self) -> Place | None:
        if self.lat is None and self.lng is None and self.address is None:
            return None
        if self.lat is None or self.lng is None or self.address is None:
            raise Refusal(Code.PLACE_INCOMPLETE)
        return Place(lat=self.lat, lng=self.lng, address=self.address)


class MerchantsOut(Out):
    """Merchants."""

    items: list[MerchantOut]


class PartOut(Out):
    """One part of a score."""

    kind: PartKind
    weight_pct: int = Field(description="How much of the score it makes.", examples=[70])
    counted_bp: int = Field(description="How well it stands, basis points.", examples=[8667])
    points: int = Field(description="What it adds to the score.", examples=[61])
    why: str = Field(examples=["18 of 20 deliveries of the last 30 days were on time (90 %); …"])


class ScoreOut(Out):
    """How good I am to rent from, and why: what dispatch ranks merchants by."""

    score: int = Field(description="0 to 100.", examples=[85])
    on_time_bp: int | None = Field(
        description="配送及時率, basis points; null: no delivery counts yet.", examples=[9000]
    )
    deliveries: int = Field(description="Those that count.", examples=[20])
    on_time: int = Field(examples=[18])
    average_charge_pct: int | None = Field(
        description="Of the banks at home; null: none is heard of.", examples=[80]
    )
    parts: list[PartOut]

    @classmethod
    def of(cls, score: Score, lang: Lang) -> "ScoreOut":
        """Show a score, with its parts in words."""
        return cls(
            score=score.score,
            on_time_bp=score.on_time_bp,
            deliveries=score.record.deliveries,
            on_time=score.record.on_time,
            average_charge_pct=score.average_charge_pct,
            parts=[
                PartOut(
                    kind=part.kind,
                    weight_pct=part.weight_pct,
                    counted_bp=part.counted_bp,
                    points=part.points,
                    why=scoring.why(score, part, lang),
                )
                for part in score.parts
            ],
        )


class StaffIn(In):
    """Somebody to hire."""

    phone: Phone
    name: Name


class StaffOut(Out):
    """A member of staff."""

    id: str = Field(examples=["01JD9ZV3C8R000000000000000"])
    person_id: str = Field(examples=["01JD9ZV3C8R000000000000001"])
    name: str = Field(examples=["小王"])
    joined_at: datetime
    left_at: datetime | None = Field(description="Null: they work here.")
    on_shift_since: datetime | None = Field(description="Null: they are off.")

    @classmethod
    def of(cls, worker: Worker) -> "StaffOut":
        """Show a member of staff."""
        row = worker.staff
        return cls(
            id=row.id,
            person_id=row.person_id,
            name=row.name,
            joined_at=row.joined_at,
            left_at=row.left_at,
            on_shift_since=worker.on_shift_since,
        )


class StaffListOut(Out):
    """Who works for a merchant now."""

    items: list[StaffOut]


# -- the merchant itself -----------------------------------------------------------------


@router.post("", status_code=201)
def register(body: MerchantIn, session: DbSession, who: CurrentPrincipal, now: Now) -> MerchantOut:
    """Register as a merchant; an operator approves it before it can lend."""
    return MerchantOut.of(market.register(session, who=who, now=now, **body.model_dump()))


@router.get("/mine")
def mine(session: DbSession, who: CurrentPrincipal) -> MerchantsOut:
    """List the merchants that are mine."""
    return MerchantsOut(items=[MerchantOut.of(row) for row in market.mine(session, who=who)])


@router.get("/{merchant_id}")
def one(merchant_id: Id, session: DbSession, who: CurrentPrincipal) -> MerchantOut:
    """Show one of my merchants."""
    return MerchantOut.of(market.own(session, who, merchant_id))


@router.post("/{merchant_id}")
def change(
    merchant_id: Id, body: ChangeIn, session: DbSession, who: CurrentPrincipal
) -> MerchantOut:
    """Change what I said of my merchant; rentals that were asked for go on as they are."""
    row = market.change(session, who=who, merchant_id=merchant_id, changes=body.changes())
    return MerchantOut.of(row)


@router.get("/{merchant_id}/score")
def score(
    *, merchant_id: Id, session: DbSession, who: CurrentPrincipal, now: Now, lang: Reader
) -> ScoreOut:
    """Show my merchant's score as it is now, its parts, and why they are what they are."""
    return ScoreOut.of(scores.show(session, who=who, merchant_id=merchant_id, now=now), lang)


# -- staff -------------------------------------------------------------------------------


@router.post("/{merchant_id}/staff", status_code=201)
def hire(
    *, merchant_id: Id, body: StaffIn, session: DbSession, who: CurrentPrincipal, now: Now
) -> StaffOut:
    """Hire somebody by their phone."""
    worker = staffing.hire(
        session, who=who, merchant_id=merchant_id, phone=body.phone, name=body.name, now=now
    )
    return StaffOut.of(worker)


@router.get("/{merchant_id}/staff")
def staff(merchant_id: Id, session: DbSession, who: CurrentPrincipal) -> StaffListOut:
    """List who works for me, and who of them is on shift."""
    workers = staffing.staff(session, who=who, merchant_id=merchant_id)
    return StaffListOut(items=[StaffOut.of(worker) for worker in workers])


@router.post("/{merchant_id}/staff/{staff_id}/leave")
def let_go(
    *, merchant_id: Id, staff_id: Id, session: DbSession, who: CurrentPrincipal, now: Now
) -> StaffOut:
    """Let somebody go: their rights end at once, their jobs go to others.

    Refused while one of my banks is in their hands.
    """
    row = staffing.let_go(session, who=who, merchant_id=merchant_id, staff_id=staff_id, now=now)
    return StaffOut.of(Worker(staff=row, on_shift_since=None))


# -- rentals, whole ----------------------------------------------------------------------


@router.get("/{merchant_id}/rentals")
def rentals_by_state(
    *,
    merchant_id: Id,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
    state: Annotated[MerchantList | None, Query(description="Which list.")] = None,
    before: Before = None,
    limit: Limit = 20,
) -> RentalsOut:
    """List my rentals: to fulfil, in progress, to collect, completed."""
    views = rentals.at_merchant(
        session,
        who=who,
        merchant_id=merchant_id,
        which=state,
        before=before,
        limit=limit,
        now=now,
    )
    return RentalsOut.of(views, lang, limit=limit, for_renter=False)


@router.get("/{merchant_id}/rentals/{rental_id}")
def rental(
    *,
    merchant_id: Id,
    rental_id: Id,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
) -> RentalOut:
    """Show one of my rentals."""
    view = rentals.one_at_merchant(
        session, who=who, merchant_id=merchant_id, rental_id=rental_id, now=now
    )
    return RentalOut.of(view, lang, for_renter=False)
