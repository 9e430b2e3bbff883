"""The sandbox provider, put together: settings to application, and a way to run it alone."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from backend.payments.provider_app import api, control, page
from backend.payments.provider_app.clock import Clock, utc_now
from backend.payments.provider_app.desk import Desk
from backend.payments.provider_app.faults import Faults
from backend.payments.provider_app.line import Line
from backend.payments.provider_app.memory import Memory
from backend.payments.provider_app.payouts import PayoutDesk
from backend.payments.provider_app.problems import HTTP_STATUS, MEDIA_TYPE, Code, Refused, problem
from backend.payments.provider_app.sender import Sender
from backend.payments.provider_app.settings import ProviderSettings

log = logging.getLogger(__name__)
_MAX_BODY_BYTES: Final = 64 * 1024
_SHUTDOWN_S: Final = 3


def create_provider_app(settings: ProviderSettings, *, clock: Clock = utc_now) -> FastAPI:
    """The application; its lifespan sends the notices and closes the memory.

    Raises:
        MemoryUnusableError: the database file cannot be used; the message says why.
    """
    memory = Memory(settings.database)
    faults = Faults(clock)
    sender = Sender(memory=memory, settings=settings, clock=clock, faults=faults)
    desk = Desk(memory=memory, settings=settings, clock=clock, faults=faults, on_notice=sender.wake)
    payouts = PayoutDesk(
        memory=memory, settings=settings, clock=clock, faults=faults, on_notice=sender.wake
    )

    def sweep() -> None:
        desk.sweep()
        payouts.sweep()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(sender.run(sweep), name="sandbox notices")
        task.add_done_callback(_cry_out)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            memory.close()

    app = FastAPI(
        title="Lendwatt sandbox payment provider",
        lifespan=lifespan,
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
        max_body_size=_MAX_BODY_BYTES,
    )
    app.state.settings = settings
    app.state.desk = desk
    app.state.payouts = payouts
    app.state.faults = faults
    app.state.line = Line(faults=faults, until_quiet=sender.until_quiet)
    app.include_router(api.router)
    if settings.may_misbehave:
        app.include_router(control.router)
    app.include_router(page.router)
    app.add_api_route("/healthz", _healthz, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=page.HERE / "static"))
    app.exception_handler(Refused)(_refused)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_http)
    return app


def run_provider(settings: ProviderSettings, *, host: str = "127.0.0.1", port: int = 8090) -> None:
    """Run it alone, until SIGINT or SIGTERM.

    Raises:
        MemoryUnusableError: the database file cannot be used.
        OSError: the port cannot be had.
    """
    with socket.create_server((host, port)) as listener:
        config = uvicorn.Config(
            create_provider_app(settings),
            ws="none",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_SHUTDOWN_S,
        )
        uvicorn.Server(config).run(sockets=[listener])


async def _healthz() -> dict[str, str]:
    return {"status": "ok"}


def _cry_out(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("the sandbox provider sends no more notices", exc_info=task.exception())


def _refused(_request: Request, error: Refused) -> JSONResponse:
    return _problem(HTTP_STATUS[error.code], error.code, error.detail)


def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _problem(
        HTTP_STATUS[Code.INVALID_REQUEST], Code.INVALID_REQUEST, f"{where}: {first['msg']}"
    )


def _http(_request: Request, error: HTTPException) -> JSONResponse:
    code = HTTPStatus(error.status_code).name.lower()
    return _problem(error.status_code, code, str(error.detail))


def _problem(status: int, code: str, detail: str) -> JSONResponse:
    return JSONResponse(problem(status, code, detail), status_code=status, media_type=MEDIA_TYPE)
