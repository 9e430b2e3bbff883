"""What an operator sees and does: everybody and everything, each change with a trace."""

from fastapi import APIRouter

from backend.api.operator import (
    banks,
    letters,
    merchants,
    money,
    people,
    rentals,
    stuck,
    trace,
)

router = APIRouter(prefix="/operator", tags=["operator"])
for _part in (people, merchants, banks, rentals, money, stuck, letters, trace):
    router.include_router(_part.router)
