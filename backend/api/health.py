"""Whether this process is alive, whether it should be given work, and its figures."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from backend.api.deps import AppParts

router = APIRouter(tags=["health"])


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Not now; `checks` says why."}})
def readyz(parts: AppParts) -> JSONResponse:
    """Say whether to send requests here: everything it needs is there, and it is not stopping."""
    checks = {name: probe() for name, probe in parts.probes.items()}
    checks["not_stopping"] = not parts.hub.is_closing
    is_ready = all(checks.values())
    return JSONResponse(
        {"status": "ready" if is_ready else "not ready", "checks": checks},
        status_code=200 if is_ready else 503,
    )


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """Give the figures in Prometheus's text format."""
    return Response(
        generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST
    )
