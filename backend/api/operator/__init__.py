"""What an operator sees and does: everybody and everything, each change with a trace."""

from fastapi import APIRouter

from backend.api.operator.banks import router as banks
from backend.api.operator.letters import router as letters
from backend.api.operator.merchants import router as merchants
from backend.api.operator.money import router as money
from backend.api.operator.people import router as people
from backend.api.operator.rentals import router as rentals
from backend.api.operator.stuck import router as stuck
from backend.api.operator.trace import router as trace

router = APIRouter(prefix="/operator", tags=["operator"])
for _part in (people, merchants, banks, rentals, money, stuck, letters, trace):
    router.include_router(_part)
