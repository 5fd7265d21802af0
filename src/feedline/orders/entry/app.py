"""Order entry over HTTP: one order a request, answered when every in-sync replica has it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Any
from uuid import uuid4

import orjson
from fastapi import Depends, FastAPI, Request, Response

from feedline.kafka.registry import registry_client, schema_id
from feedline.orders.entry.bodies import NewOrder, invalid, read_body
from feedline.orders.entry.publisher import Publisher
from feedline.orders.model import (
    EntrySource,
    EventKind,
    OrderEvent,
    encode_event,
    event_headers,
    event_id,
    facts_of,
    faults_of,
)
from feedline.orders.model.schemas import ORDER_EVENT, order_schema
from feedline.orders.topics import OrderTopics
from feedline.services.auth import Authenticates, require
from feedline.services.gate import OPEN_PATHS, protect
from feedline.services.limits import Limits
from feedline.services.roles import Identity, Role
from feedline.settings import Settings


@dataclass(frozen=True, slots=True)
class EntryPolicy:
    """linger_ms: how long events wait to go to the broker together; delivery_s: after so long without acknowledgement
    the outcome is told to be unknown; max_in_flight: events waiting at once."""

    linger_ms: float = 2.0
    delivery_s: float = 8.0
    max_in_flight: int = 2_000


def create_app(
    settings: Settings,
    authenticator: Authenticates,
    *,
    policy: EntryPolicy | None = None,
    topics: OrderTopics | None = None,
    limits: Limits | None = None,
) -> FastAPI:
    """The application; the broker and the registry are asked when it starts."""
    chosen, names = policy or EntryPolicy(), topics or OrderTopics()

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        subject = f"{names.out}-value"
        app.state.schema_id = schema_id(registry_client(settings.registry), subject, order_schema(ORDER_EVENT))
        app.state.publisher = Publisher(
            settings.acting_as("order-entry").kafka,
            linger_ms=chosen.linger_ms,
            delivery_s=chosen.delivery_s,
            max_messages=chosen.max_in_flight,
            partitioner="consistent_random",
        )
        yield
        await app.state.publisher.close(chosen.delivery_s)

    app = FastAPI(
        title="Feedline order entry", version=version("feedline"), docs_url=None, redoc_url=None, lifespan=running
    )
    protect(
        app, authenticator, limits or Limits(per_second=5_000, burst=10_000), open_paths={*OPEN_PATHS, "/health/live"}
    )

    @app.get("/health/live", tags=["service"])
    def live() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.post("/orders", status_code=201, tags=["orders"])
    async def enter(request: Request, caller: Annotated[Identity, Depends(require(Role.OPERATOR))]) -> Response:
        """Enters an order."""
        body = read_body(await request.body(), NewOrder)
        order_id = str(uuid4())
        event = OrderEvent(
            event_id=event_id(order_id, 1),
            order_id=order_id,
            sequence=1,
            kind=EventKind.NEW,
            account_id=body.accountId,
            product=body.product,
            order=body.order,
            transact_time=datetime.now(UTC),
            source=EntrySource.HTTP,
            client=caller.name,
        )
        faults = faults_of(event)
        if faults:
            raise invalid(faults)
        value = encode_event(event, app.state.schema_id)
        headers = event_headers(event, facts_of(event), request.headers.get("traceparent"))
        place = await app.state.publisher.publish(names.out, order_id, value, headers)
        answer: dict[str, Any] = {
            "orderId": order_id,
            "sequence": 1,
            "eventId": event.event_id,
            "topic": names.out,
            "partition": place.partition,
            "offset": place.offset,
        }
        return Response(orjson.dumps(answer), 201, media_type="application/json")

    return app
