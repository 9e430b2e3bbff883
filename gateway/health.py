"""What a gateway process tells about itself over HTTP: alive, ready, and its figures."""

from collections.abc import Iterator

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.service import Gateway


class GatewayFigures(Collector):
    """A gateway's tally, as Prometheus reads it."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        """The figures as they stand."""
        tally = self._gateway.ingest.tally
        ready = float(self._gateway.is_ready)
        yield GaugeMetricFamily("lendwatt_gateway_ready", "Subscribed to the banks.", ready)
        for name, text, value in (
            ("messages", "Messages committed and acknowledged.", tally.messages),
            ("batches", "Transactions that held them.", tally.batches),
            ("events", "Domain events told.", tally.events),
            ("store_retries", "Times the database was away.", tally.store_retries),
        ):
            yield CounterMetricFamily(f"lendwatt_gateway_{name}", text, value)
        letters = CounterMetricFamily(
            "lendwatt_gateway_dead_letters", "Messages not believed.", labels=["reason"]
        )
        for reason, count in tally.dead_letters.copy().items():
            letters.add_metric([reason], count)
        yield letters


def health_app(gateway: Gateway) -> FastAPI:
    """``/healthz``, ``/readyz`` and ``/metrics`` of a gateway that runs on its own."""
    app = FastAPI(title="Lendwatt gateway", docs_url=None, redoc_url=None, openapi_url=None)
    registry = CollectorRegistry()
    registry.register(GatewayFigures(gateway))

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    def readyz() -> JSONResponse:
        ready = gateway.is_ready
        return JSONResponse(
            {"status": "ready" if ready else "not ready", "checks": {"subscribed": ready}},
            status_code=200 if ready else 503,
        )

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app
