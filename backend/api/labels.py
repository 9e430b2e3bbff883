"""Sheets of labels for a merchant to print."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from backend.api.deps import AppParts, CurrentPrincipal, DbSession
from backend.api.schemas import BankId, Id
from backend.limits import LABELS_PER_REQUEST_MAX
from backend.services import labels

router = APIRouter(prefix="/merchants", tags=["merchant"])

_SVG: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}}
}
_NOTHING_RUNS: Final = "default-src 'none'; sandbox"
"""It is a picture, wherever it is opened."""


@router.get("/{merchant_id}/labels.svg", response_class=Response, responses=_SVG)
def sheet(
    *,
    merchant_id: Id,
    parts: AppParts,
    session: DbSession,
    who: CurrentPrincipal,
    bank: Annotated[
        list[BankId] | None,
        Query(
            max_length=LABELS_PER_REQUEST_MAX,
            description="Whose labels; may be repeated. Without it: all of mine, by number.",
            examples=[["LW-000123", "LW-000124"]],
        ),
    ] = None,
    page: Annotated[int, Query(ge=1, le=1_000, description="Which sheet, of 24 labels.")] = 1,
) -> Response:
    """Draw one A4 sheet of labels, three by eight, each with the QR of its bank.

    The header `Lendwatt-Pages` tells how many sheets there are.
    """
    drawn = labels.sheet(
        session,
        who=who,
        merchant_id=merchant_id,
        bank_ids=bank or (),
        page=page,
        public_url=parts.settings.public_url,
    )
    headers = {
        "content-security-policy": _NOTHING_RUNS,
        "cache-control": "no-store",
        "lendwatt-pages": str(drawn.pages),
    }
    return Response(drawn.svg, media_type="image/svg+xml", headers=headers)
