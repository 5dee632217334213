"""GET /metrics: what all workers counted and what stands, as Prometheus reads it.

Who may ask is as with the other routes: on this machine anybody, elsewhere a token of a viewer.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

from leaven.operate.metrics.exposition import CONTENT_TYPE, exposition
from leaven.operate.metrics.standing import Standing
from leaven.serve.models.answering import Service
from leaven.serve.models.metering import counted, loaded

__all__ = ["add_metrics_route"]


def add_metrics_route(app: FastAPI, service: Service, standing: Standing) -> None:
    """Add the route to an application."""

    def told() -> str:
        shared = service.shared
        every = counted(service) if shared is None else shared.samples()
        return exposition([*every, *loaded(service), *standing.samples()])

    async def metrics() -> Response:
        found = await asyncio.to_thread(told)
        return Response(found.encode(), headers={"content-type": CONTENT_TYPE})

    text: dict[int | str, dict[str, Any]] = {
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
    }
    app.add_api_route("/metrics", metrics, responses=text)
