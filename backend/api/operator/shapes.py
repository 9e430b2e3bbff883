"""What operators' routes share."""

from typing import Annotated

from fastapi import Query
from pydantic import Field

from backend.api.schemas import In

After = Annotated[
    str, Query(pattern=r"^[0-9A-Z-]{0,32}$", description="`next` of the page before.")
]
NEXT = "Ask with `after` this for the next page; null: none."
NEXT_OLDER = "Ask with `before` this for the next page; null: none."


class WhyIn(In):
    """Why: kept with who, before and after."""

    reason: str = Field(min_length=1, max_length=500, examples=["papers checked"])
