"""Hands for banks made of software: a small HTTP interface, on loopback only.

Whoever can reach it can do to a bank what somebody standing beside it could, and nothing that a
platform does: there are no commands here. It has no passwords, so it listens on loopback alone
and refuses a request whose ``Host`` is anything else, as a page in a browser would have to use.
"""

# ruff: noqa: FAST003 - it does not see that TheLink takes the bank_id

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware.trustedhost import TrustedHostMiddleware

from firmware_sim import bank as firmware
from firmware_sim import battery as cells
from firmware_sim.anatomy import Act
from firmware_sim.flashfile import FlashProblem
from firmware_sim.fleet import BankSpec, Fleet, FleetProblem
from firmware_sim.link import Link, LinkState
from firmware_sim.senses import state
from gateway.protocol import Fault, State

LOOPBACK: Final = "127.0.0.1"
MAX_BODY_BYTES: Final = 16_384


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)


class PlugBody(_Body):
    """What to plug in."""

    load_mw: Annotated[int, Field(ge=1, le=200_000)] = 10_000


class ChargeBody(_Body):
    """What charger to put the bank on; 0 takes it off."""

    charge_mw: Annotated[int, Field(ge=0, le=200_000)] = 18_000


class DrainBody(_Body):
    """How far to empty the cells."""

    to_pct: Annotated[int, Field(ge=0, le=100)]


class DropBody(_Body):
    """For how long to leave the network; until ``/reconnect`` when not given."""

    seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None


class FaultBody(_Body):
    """What to break or mend."""

    fault: Annotated[Fault, Field(strict=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BankView:
    """A bank as somebody beside it sees it, and what it would say of itself now."""

    bank_id: str
    link: LinkState
    conn: int
    model: str
    fw: str
    load_mw: int
    charge_mw: int
    is_powered: bool
    is_locating: bool
    stored_mwh: int
    acts: tuple[Act, ...]
    """The commands that it acted on, oldest first, the last 100: the truth to compare with."""
    state: State


def view(link: Link) -> BankView:
    """One bank, as it is now."""
    link.catch_up()
    bank = link.bank
    return BankView(
        bank_id=link.bank_id,
        link=link.state,
        conn=bank.ram.conn,
        model=bank.model.name,
        fw=bank.ram.fw,
        load_mw=bank.world.load_mw,
        charge_mw=bank.world.charge_mw,
        is_powered=bank.ram.is_powered,
        is_locating=bank.ram.up_ms < bank.ram.locating_until_ms,
        stored_mwh=bank.world.battery.stored_uj // cells.UJ_PER_MWH,
        acts=bank.world.acts,
        state=state(bank),
    )


def create_control(fleet: Fleet) -> FastAPI:
    """The HTTP interface of a fleet. Its handlers run on the loop of the banks."""
    app = FastAPI(
        title="Lendwatt firmware simulator", max_body_size=MAX_BODY_BYTES, redirect_slashes=False
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[LOOPBACK, "localhost"])
    app.add_exception_handler(RequestValidationError, _say_what_is_wrong)
    app.add_exception_handler(FlashProblem, _say_flash_problem)
    app.state.fleet = fleet
    app.include_router(router)
    return app


async def _say_what_is_wrong(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as registered
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "the body"
    return JSONResponse({"detail": f"{where}: {first['msg']}"}, status_code=422)


async def _say_flash_problem(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=507)


async def _fleet(request: Request) -> Fleet:
    fleet = request.app.state.fleet
    assert isinstance(fleet, Fleet)  # noqa: S101 - as create_control put it there
    return fleet


TheFleet = Annotated[Fleet, Depends(_fleet)]


async def _link(bank_id: str, fleet: TheFleet) -> Link:
    link = fleet.find(bank_id)
    if link is None:
        raise HTTPException(404, f"there is no bank {bank_id} here; GET /banks lists those here")
    return link


TheLink = Annotated[Link, Depends(_link)]

router = APIRouter(prefix="/banks")


@router.get("")
async def list_banks(fleet: TheFleet) -> list[BankView]:
    """Every bank of this process."""
    return [view(link) for link in fleet.links]


@router.post("", status_code=201)
async def add_bank(spec: BankSpec, fleet: TheFleet) -> BankView:
    """Make a bank, and let it live."""
    try:
        return view(fleet.add(spec))
    except FleetProblem as error:
        raise HTTPException(409, str(error)) from error


@router.get("/{bank_id}")
async def show_bank(link: TheLink) -> BankView:
    """One bank."""
    return view(link)


@router.post("/{bank_id}/plug")
async def plug(link: TheLink, body: PlugBody | None = None) -> BankView:
    """Attach a load."""
    link.touch(partial(firmware.plug, load_mw=(body or PlugBody()).load_mw))
    return view(link)


@router.post("/{bank_id}/unplug")
async def unplug(link: TheLink) -> BankView:
    """Take the load away."""
    link.touch(firmware.unplug)
    return view(link)


@router.post("/{bank_id}/charge")
async def charge(link: TheLink, body: ChargeBody | None = None) -> BankView:
    """Put the bank on a charger, or take it off."""
    link.touch(partial(firmware.put_on_charger, charge_mw=(body or ChargeBody()).charge_mw))
    return view(link)


@router.post("/{bank_id}/drain")
async def drain(link: TheLink, body: DrainBody) -> BankView:
    """Empty the cells down to a level."""
    level = cells.level_pct(link.bank.world.battery)
    if body.to_pct > level:
        detail = f"the bank is at {level} %: it can be drained to less, and charged to more"
        raise HTTPException(409, detail)
    link.touch(partial(firmware.drain, to_pct=body.to_pct))
    return view(link)


@router.post("/{bank_id}/jam")
async def jam(link: TheLink) -> BankView:
    """Get the bolt stuck where it stands."""
    link.touch(firmware.jam)
    return view(link)


@router.post("/{bank_id}/unjam")
async def unjam(link: TheLink) -> BankView:
    """Free the bolt."""
    link.touch(firmware.unjam)
    return view(link)


@router.post("/{bank_id}/break")
async def break_part(link: TheLink, body: FaultBody) -> BankView:
    """Break something; it stays broken."""
    link.touch(partial(firmware.break_part, fault=body.fault))
    return view(link)


@router.post("/{bank_id}/mend")
async def mend_part(link: TheLink, body: FaultBody) -> BankView:
    """Mend what was broken."""
    link.touch(partial(firmware.mend_part, fault=body.fault))
    return view(link)


@router.post("/{bank_id}/reboot")
async def reboot(link: TheLink) -> BankView:
    """Take the power away for a moment: the next boot."""
    if not link.bank.ram.is_powered:
        raise HTTPException(409, "its cells are empty: put it on a charger first")
    link.lose_power()
    return view(link)


@router.post("/{bank_id}/drop")
async def drop(link: TheLink, body: DropBody | None = None) -> BankView:
    """Take the bank off the network."""
    link.drop(for_s=(body or DropBody()).seconds)
    return view(link)


@router.post("/{bank_id}/reconnect")
async def reconnect(link: TheLink) -> BankView:
    """Bring the bank back onto the network."""
    link.reconnect()
    return view(link)
