"""Order entry over HTTP: one event a request, answered when every in-sync replica has it."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Any
from uuid import uuid4

import orjson
from fastapi import Depends, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from feedline.batch.identity import name_id
from feedline.errors import BrokerUnavailableError
from feedline.orders.entry.admission import Admission
from feedline.orders.entry.bodies import Amendment, Cancellation, NewOrder, invalid, read_body, read_parameters
from feedline.orders.entry.description import AMEND, CANCEL, DELETE, ENTER, FIND, describe
from feedline.orders.entry.desk import Desk, Entered, OutcomeUnknownError, Unanswered, answer_of, offset_of
from feedline.orders.entry.event_route import event_route
from feedline.orders.entry.metrics import EntryMetrics
from feedline.orders.entry.policy import EntryPolicy
from feedline.orders.model import EntrySource, EventKind, OrderEvent, Parked, event_id, faults_of
from feedline.orders.model.book import Known
from feedline.orders.topics import OrderTopics
from feedline.services.auth import Authenticates, require
from feedline.services.gate import OPEN_PATHS, protect
from feedline.services.limits import MIB, Limits
from feedline.services.problems import RETRY_AFTER_S, ProblemError, problem_response
from feedline.services.roles import Identity, Role
from feedline.settings import Settings

# Orders are small: what is larger is none.
LIMITS = Limits(
    max_body_bytes=MIB // 64, max_json_depth=8, max_json_values=200, per_second=5_000, burst=10_000, callers=1_000
)
# Draft RFC "The Idempotency-Key HTTP Header Field", also without its quotes.
_KEY = re.compile(r"[ -~]{1,200}")

Trader = Annotated[Identity, Depends(require(Role.OPERATOR))]
Viewer = Annotated[Identity, Depends(require(Role.VIEWER))]


def create_app(
    settings: Settings,
    authenticator: Authenticates,
    *,
    policy: EntryPolicy | None = None,
    topics: OrderTopics | None = None,
    limits: Limits | None = None,
) -> FastAPI:
    """The application; the broker and the registry are asked when it starts, and it is ready when it has read back
    the orders of before. Any number may run on the same topics, behind any balancer."""
    chosen, names = policy or EntryPolicy(), topics or OrderTopics()

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        desk = app.state.desk = Desk(settings, chosen, names)
        app.state.metrics = EntryMetrics(desk.figures)
        await desk.start()
        yield
        await desk.close()

    app = FastAPI(
        title="Feedline order entry",
        description=describe(),
        version=version("feedline"),
        docs_url=None,
        redoc_url=None,
        lifespan=running,
    )
    open_paths = {*OPEN_PATHS, "/health/live", "/health/ready", "/metrics"}
    protect(app, authenticator, limits or LIMITS, open_paths=open_paths)
    app.add_middleware(Admission, at_once=chosen.max_in_flight)
    app.add_exception_handler(BrokerUnavailableError, _not_entered)
    _order_routes(app, names)
    _look_routes(app)
    _service_routes(app)
    return app


def _service_routes(app: FastAPI) -> None:
    @app.get("/health/live", tags=["service"])
    async def live() -> dict[str, str]:
        """Whether the process answers; start it again when it does not."""
        return {"status": "ok"}

    @app.get("/health/ready", tags=["service"], responses={503: {"description": "Send requests elsewhere."}})
    async def ready(response: Response) -> dict[str, Any]:
        """Whether orders can be entered now, and what is in the way when they cannot."""
        found = app.state.desk.problems()
        response.status_code = 503 if found else 200
        return {"status": "failing" if found else "ok", "reasons": found}

    @app.get("/metrics", tags=["service"], response_class=Response)
    async def metrics() -> Response:
        """Counters, latencies and gauges for Prometheus."""
        return Response(app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _order_routes(app: FastAPI, names: OrderTopics) -> None:
    async def enter(request: Request, event: OrderEvent, *, contested: bool) -> Response:
        faults = faults_of(event)
        if faults:
            raise invalid(faults)
        began = time.perf_counter()
        status = 503
        try:
            outcome = await app.state.desk.enter(event, request.headers.get("traceparent"), contested=contested)
            if not isinstance(outcome, Entered):
                problem = _refusal(event, outcome)
                status = problem.status_code
                raise problem
            status = 200 if outcome.repeated else 201
        except OutcomeUnknownError as error:
            raise _unknown(event, error) from error
        finally:
            app.state.metrics.answered(event.kind.value, status, time.perf_counter() - began)
        headers = {"Location": f"/orders/{event.order_id}"}
        if outcome.repeated:
            headers["Idempotency-Replayed"] = "true"
        body = orjson.dumps(answer_of(event, names.out, outcome))
        return Response(body, status, headers, media_type="application/json")

    @event_route(app, "POST", "/orders", **ENTER)
    async def new(request: Request, caller: Trader) -> Response:
        """Enters an order. The same `Idempotency-Key` of the same caller is the same order, whichever instance gets
        it and whenever."""
        body = read_body(await request.body(), NewOrder)
        key = request.headers.get("idempotency-key")
        if key is not None and not _KEY.fullmatch(key):
            raise ProblemError(400, "Idempotency-Key must be 1 to 200 printable ASCII characters")
        order_id = str(uuid4()) if key is None else name_id(f"order\x1f{caller.name}\x1f{key}")
        event = _event(caller, order_id, EventKind.NEW, body, key)
        return await enter(request, event, contested=key is not None)

    @event_route(app, "PUT", "/orders/{order_id}", **AMEND)
    async def amend(order_id: str, request: Request, caller: Trader) -> Response:
        """Amends an order to what the body says. `sequence` is one more than that of the order's last event; the
        same request again is the same amendment."""
        body = read_body(await request.body(), Amendment)
        event = _event(caller, order_id, EventKind.AMEND, body)
        return await enter(request, event, contested=True)

    @event_route(app, "POST", "/orders/{order_id}/cancel", **CANCEL)
    async def cancel(order_id: str, request: Request, caller: Trader) -> Response:
        """Cancels an order; `sequence` as in an amendment. Whether something may follow is the engine's to say: until
        it has answered, nothing is entered."""
        body = read_body(await request.body(), Cancellation)
        event = _event(caller, order_id, EventKind.CANCEL, body)
        return await enter(request, event, contested=True)

    @event_route(app, "DELETE", "/orders/{order_id}", **DELETE)
    async def delete(order_id: str, request: Request, caller: Trader) -> Response:
        """The same as `POST /orders/{order_id}/cancel`, with what that has in its body as parameters."""
        event = _event(caller, order_id, EventKind.CANCEL, read_parameters(request.query_params))
        return await enter(request, event, contested=True)


def _look_routes(app: FastAPI) -> None:
    @app.get("/orders/{order_id}", tags=["orders"], **FIND)
    async def find(order_id: str, _caller: Viewer) -> dict[str, Any]:
        """What this entry has taken of an order, and where each event lies."""
        known = await app.state.desk.find(order_id)
        if known is None:
            where = "it was entered in bulk" if app.state.desk.is_in_bulk(order_id) else "the topic holds none"
            raise ProblemError(404, f"no order {order_id!r} was entered over HTTP: {where}")
        return _told(order_id, known)


def _told(order_id: str, known: Known) -> dict[str, Any]:
    places = [
        {"sequence": number, "partition": place.partition, "offset": offset_of(place)}
        for number, place in enumerate(known.places, 1)
    ]
    return {"orderId": order_id, "sequence": known.state.sequence, "status": known.state.status, "events": places}


def _event(
    caller: Identity,
    order_id: str,
    kind: EventKind,
    body: NewOrder | Amendment | Cancellation,
    key: str | None = None,
) -> OrderEvent:
    sequence = 1 if isinstance(body, NewOrder) else body.sequence
    return OrderEvent(
        event_id=event_id(order_id, sequence),
        order_id=order_id,
        sequence=sequence,
        kind=kind,
        account_id=body.accountId,
        product=body.product,
        order=None if isinstance(body, Cancellation) else body.order,
        transact_time=datetime.now(UTC),
        source=EntrySource.HTTP,
        client=caller.name,
        idempotency_key=key,
    )


def _refusal(event: OrderEvent, outcome: Any) -> ProblemError:
    """The problem of an event that the order's life has no place for."""
    extra: dict[str, Any] = {"orderId": event.order_id, "outcome": "not entered"}
    if isinstance(outcome, Parked):
        if outcome.missing == 1:
            return ProblemError(
                404,
                f"no order {event.order_id!r} was entered over HTTP; one that was entered in bulk is amended and "
                "cancelled in bulk",
                extra=extra,
            )
        extra["expectedSequence"] = outcome.missing
        return ProblemError(409, f"{outcome.reason}: enter that first", extra=extra)
    if isinstance(outcome, Unanswered):
        extra["pendingSequence"] = outcome.sequence
        return ProblemError(
            409,
            f"the order's cancellation, sequence {outcome.sequence}, waits for the engine's answer, and what follows "
            "depends on it: come again",
            headers={"Retry-After": str(RETRY_AFTER_S)},
            extra=extra,
        )
    if event.kind is EventKind.NEW:
        return ProblemError(
            422, "this Idempotency-Key was used for another order: use a new key for a new order", extra=extra
        )
    return ProblemError(409, outcome.reason, extra=extra)


def _unknown(event: OrderEvent, error: OutcomeUnknownError) -> ProblemError:
    """What became of the event is not known; the same request again finds out, and does no harm."""
    again = "send the same request again, it cannot enter the order twice"
    if event.kind is EventKind.NEW and event.idempotency_key is None:
        again = (
            f"look for it with GET /orders/{event.order_id} before entering it again; with an Idempotency-Key the same "
            "request could simply be sent again"
        )
    return ProblemError(
        503,
        f"whether the event was entered is not known: {error.reason}; {again}",
        headers={"Retry-After": str(RETRY_AFTER_S)},
        extra={"outcome": "unknown", "orderId": event.order_id, "sequence": event.sequence},
    )


def _not_entered(_request: Request, error: Exception) -> Response:
    assert isinstance(error, BrokerUnavailableError)
    return problem_response(
        503, error.reason, headers={"Retry-After": str(RETRY_AFTER_S)}, extra={"outcome": "not entered"}
    )
