"""A merchant's orders, one list for each thing to do, each with what it takes (M2)."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from backend.api.deps import CurrentPrincipal, DbSession, Now
from backend.api.schemas import Id, Out
from backend.api.shapes import Before, Limit, PlaceOut, Reader, TermsOut
from backend.domain.lang import Lang
from backend.domain.rental import MerchantList, RentalState
from backend.services import orders
from backend.services.orders import Order

router = APIRouter(prefix="/merchants", tags=["merchant"])


class OrderOut(Out):
    """An order's number, and what it takes to act on it."""

    id: str = Field(description="The order's number.", examples=["01JD9ZV3C8R000000000000000"])
    bank_id: str = Field(examples=["LW-000123"])
    job_id: str | None = Field(
        description="The delivery or collection that is to be done; null: none.",
        examples=["01JD9ZV3C8R000000000000001"],
    )


class ToFulfilOut(OrderOut):
    """待履約."""

    requested_at: datetime = Field(description="The order time.")
    place: PlaceOut


class InProgressOut(OrderOut):
    """進行中."""

    requested_at: datetime = Field(description="The order time.")
    billing_start_at: datetime | None = Field(description="Null: billing has not started.")
    expected_amount_minor: int = Field(description="So far.", examples=[700])
    currency: str = Field(examples=["CNY"])
    tariff: TermsOut


class ToCollectOut(OrderOut):
    """待取充電寶."""

    duration_s: int = Field(description="Time billed.", examples=[5400])
    return_place: PlaceOut


class CompletedOut(OrderOut):
    """已完成."""

    requested_at: datetime = Field(description="The order time.")
    place: PlaceOut
    billing_start_at: datetime | None = Field(description="Null: nothing was billed for time.")
    returned_at: datetime | None
    amount_minor: int = Field(description="The bill.", examples=[1100])
    currency: str = Field(examples=["CNY"])
    tariff: TermsOut


class ClosedOut(OrderOut):
    """Came to nothing: cancelled, or could not be delivered."""

    requested_at: datetime = Field(description="The order time.")
    state: RentalState = Field(
        description="`payment_due`, `completed`: called off for a fee that is owed, or was paid."
    )
    cancelled_at: datetime | None = Field(description="When it was called off.")
    closed_at: datetime | None = Field(description="Null: its fee is owed.")
    amount_minor: int = Field(description="What calling it off cost.", examples=[200])
    currency: str = Field(examples=["CNY"])


class CountsOut(Out):
    """How many orders each list has."""

    to_fulfil: int = Field(examples=[2])
    in_progress: int = Field(examples=[5])
    to_collect: int = Field(examples=[1])
    completed: int = Field(examples=[40])
    closed: int = Field(examples=[3])


class _Page(Out):
    """A page of a list, newest first."""

    counts: CountsOut
    next: str | None = Field(description="Ask with `before` this for the next page; null: none.")


class ToFulfilPage(_Page):
    """Orders that wait for their delivery."""

    name: Literal[MerchantList.TO_FULFIL]
    items: list[ToFulfilOut]


class InProgressPage(_Page):
    """Orders whose bank is out, or whose bill is."""

    name: Literal[MerchantList.IN_PROGRESS]
    items: list[InProgressOut]


class ToCollectPage(_Page):
    """Orders whose bank waits to be fetched."""

    name: Literal[MerchantList.TO_COLLECT]
    items: list[ToCollectOut]


class CompletedPage(_Page):
    """Orders that are paid."""

    name: Literal[MerchantList.COMPLETED]
    items: list[CompletedOut]


class ClosedPage(_Page):
    """Orders that came to nothing."""

    name: Literal[MerchantList.CLOSED]
    items: list[ClosedOut]


Page = Annotated[
    ToFulfilPage | InProgressPage | ToCollectPage | CompletedPage | ClosedPage,
    Field(discriminator="name"),
]


def _shared(order: Order) -> dict[str, Any]:
    rental = order.rental
    return {
        "id": rental.id,
        "bank_id": rental.bank_id,
        "job_id": order.job_id,
        "requested_at": rental.requested_at,
    }


def _place(order: Order) -> PlaceOut:
    rental = order.rental
    return PlaceOut(lat=rental.lat, lng=rental.lng, address=rental.address)


def _return_place(order: Order) -> PlaceOut:
    """Where the bank is to be fetched: where it was asked for to be, or where it was brought."""
    rental = order.rental
    if rental.return_lat is None or rental.return_lng is None:
        return _place(order)
    return PlaceOut(
        lat=rental.return_lat, lng=rental.return_lng, address=rental.return_address or ""
    )


def _to_fulfil(order: Order, _lang: Lang) -> ToFulfilOut:
    return ToFulfilOut(**_shared(order), place=_place(order))


def _in_progress(order: Order, lang: Lang) -> InProgressOut:
    return InProgressOut(
        **_shared(order),
        billing_start_at=order.rental.billing_start_at,
        expected_amount_minor=order.amount_minor,
        currency=order.terms.currency,
        tariff=TermsOut.of(order.terms, lang),
    )


def _to_collect(order: Order, _lang: Lang) -> ToCollectOut:
    return ToCollectOut(
        **_shared(order), duration_s=order.elapsed_s, return_place=_return_place(order)
    )


def _completed(order: Order, lang: Lang) -> CompletedOut:
    rental = order.rental
    return CompletedOut(
        **_shared(order),
        place=_place(order),
        billing_start_at=rental.billing_start_at,
        returned_at=rental.returned_at,
        amount_minor=order.amount_minor,
        currency=order.terms.currency,
        tariff=TermsOut.of(order.terms, lang),
    )


def _closed(order: Order, _lang: Lang) -> ClosedOut:
    rental = order.rental
    return ClosedOut(
        **_shared(order),
        state=rental.state,
        cancelled_at=rental.cancelled_at,
        closed_at=rental.closed_at,
        amount_minor=rental.amount_minor or 0,
        currency=order.terms.currency,
    )


_SHOWN: Final[Mapping[MerchantList, tuple[type[_Page], Callable[[Order, Lang], OrderOut]]]] = (
    MappingProxyType(
        {
            MerchantList.TO_FULFIL: (ToFulfilPage, _to_fulfil),
            MerchantList.IN_PROGRESS: (InProgressPage, _in_progress),
            MerchantList.TO_COLLECT: (ToCollectPage, _to_collect),
            MerchantList.COMPLETED: (CompletedPage, _completed),
            MerchantList.CLOSED: (ClosedPage, _closed),
        }
    )
)
"""How each list is shown."""


@router.get("/{merchant_id}/orders", response_model=Page)
def in_list(
    *,
    merchant_id: Id,
    session: DbSession,
    who: CurrentPrincipal,
    now: Now,
    lang: Reader,
    which: Annotated[MerchantList, Query(alias="list", description="Which list.")],
    before: Before = None,
    limit: Limit = 20,
) -> _Page:
    """List my orders that wait for the same thing, and count those of every list."""
    found = orders.in_list(
        session, who=who, merchant_id=merchant_id, which=which, before=before, limit=limit, now=now
    )
    page, show = _SHOWN[which]
    items = [show(order, lang) for order in found.orders]
    told: dict[str, Any] = {
        "name": which,
        "items": items,
        "counts": CountsOut.model_validate(dict(found.counts)),
        "next": items[-1].id if len(items) == limit else None,
    }
    return page(**told)
