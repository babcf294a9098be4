"""The web application: routes, headers, and what happens to an error."""

import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client.exposition import choose_encoder
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import metrics
from service.api import bundles, curation, deployments, expectations, gates, history, incident, ingest, probes
from service.api.docs import docs_page
from service.api.page import status_page
from service.api.state import AppState
from service.errors import TiltmeterError
from service.logging import describe, fields

_log = logging.getLogger(__name__)

_HEADERS = {
    # Nothing is loaded from anywhere: not even a mistake in a template can make a page ask another host.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app(state: AppState) -> FastAPI:
    """The application over these seams. Errors of a ledger or database become 503; anything unexpected is logged without its request."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        for executor in (app.state.decoding, app.state.scoring):
            executor.shutdown(wait=False, cancel_futures=True)

    app = FastAPI(
        title="Tiltmeter",
        version=metrics.VERSION,
        summary="Is production still what the model was fine-tuned for?",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.tiltmeter = state
    app.state.decoding = ThreadPoolExecutor(1, thread_name_prefix="decoding")
    app.state.scoring = ThreadPoolExecutor(2, thread_name_prefix="scoring")
    app.add_middleware(Unexpected)
    app.add_middleware(GZipMiddleware, minimum_size=2000)
    _pages(app, state)
    app.include_router(ingest.router)
    app.include_router(history.router)
    app.include_router(incident.router)
    app.include_router(expectations.router)
    app.include_router(bundles.router)
    app.include_router(deployments.router)
    app.include_router(curation.router)
    app.include_router(probes.router)
    app.include_router(gates.router)
    _errors(app)
    return app


def _pages(app: FastAPI, state: AppState) -> None:
    registry = metrics.registry(state.read)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page() -> HTMLResponse:
        return HTMLResponse(status_page(state.status()), headers=_HEADERS)

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    def documentation() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()), headers=_HEADERS)

    @app.get("/metrics", tags=["health"], summary="Metrics for Prometheus", response_class=Response)
    def exposition(request: Request) -> Response:
        """Prometheus text format, or OpenMetrics when the Accept header asks for it."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type})

    @app.get("/healthz", tags=["health"], summary="Is the process alive?")
    def alive(response: Response) -> dict[str, object]:
        """200 while every thread lives, else 503. Restart on failure."""
        parts = dict(state.alive())
        response.status_code = 200 if all(parts.values()) else 503
        return {"alive": all(parts.values()), "threads": parts}

    @app.get("/readyz", tags=["health"], summary="Can it do its work?")
    def ready(response: Response) -> dict[str, object]:
        """200 when models are loaded and source and ledger answer, else 503 with what is wrong. Take out of service on failure."""
        problems = {part: problem for part, problem in state.ready().items() if problem}
        response.status_code = 503 if problems else 200
        return {"ready": not problems, "problems": problems}


class Unexpected:
    """Answers 500 to what nobody expected. Only class and place of the error are logged: its message may quote the request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            _log.error("request failed unexpectedly", extra=fields(path=scope.get("path", ""), error=describe(error)))
            if not started and scope["type"] == "http":
                await JSONResponse({"detail": "unexpected error; see the log"}, 500)(scope, receive, send)


def _errors(app: FastAPI) -> None:
    @app.exception_handler(TiltmeterError)
    def unavailable(request: Request, error: TiltmeterError) -> JSONResponse:
        _log.warning("request failed", extra=fields(path=request.url.path, error=str(error)))
        return JSONResponse({"detail": str(error)}, 503, headers={"Retry-After": "5"})

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Pydantic's own answer repeats the input.
        details = "; ".join(f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in error.errors())
        return JSONResponse({"detail": details}, 422)
