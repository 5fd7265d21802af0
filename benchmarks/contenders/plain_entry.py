"""Order entry as it is usually begun: FastAPI, a pydantic model, a plain producer, and a flush for each request.

Serves the same route, checks the same key, writes the same Avro to a topic and answers with where it lies, as durably:
acks=all. What it does not do: idempotency keys, a check of the order's life, limits, problem details.
"""

from __future__ import annotations

import argparse
import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

from feedline.settings import load_settings


class OrderBody(BaseModel):
    side: str
    orderType: str  # noqa: N815
    timeInForce: str = "DAY"  # noqa: N815
    quantity: Decimal | None = None
    cashAmount: Decimal | None = None  # noqa: N815
    limitPrice: Decimal | None = None  # noqa: N815
    currency: str
    symbol: str
    isin: str | None = None
    option: dict[str, Any] | None = None


class Body(BaseModel):
    accountId: str  # noqa: N815
    product: str
    order: OrderBody


def scaled(value: Decimal | None, step: str) -> Decimal | None:
    return None if value is None else value.quantize(Decimal(step))


def create_app(settings_file: str, topic: str, expected: str) -> FastAPI:
    settings = load_settings(Path(settings_file))
    producer = Producer({**settings.kafka, "acks": "all", "enable.idempotence": True, "compression.type": "zstd"})
    registry = SchemaRegistryClient({"url": settings.registry["url"]})
    schema = registry.get_latest_version(f"{topic}-value").schema
    serializer = AvroSerializer(registry, schema, conf={"auto.register.schemas": False, "use.latest.version": True})
    app = FastAPI()

    # Not async: FastAPI runs it in a thread, so that the wait for the broker holds up no other request.
    @app.post("/orders", status_code=201)
    def new(body: Body, x_api_key: Annotated[str, Header()]) -> dict[str, Any]:
        if x_api_key != expected:
            raise HTTPException(401)
        order_id = str(uuid.uuid4())
        order = body.order.model_dump()
        order |= {
            "quantity": scaled(body.order.quantity, "0.0001"),
            "cashAmount": scaled(body.order.cashAmount, "0.01"),
            "limitPrice": scaled(body.order.limitPrice, "0.000001"),
        }
        event = {
            "eventId": str(uuid.uuid4()),
            "orderId": order_id,
            "sequence": 1,
            "kind": "NEW",
            "accountId": body.accountId,
            "product": body.product,
            "order": order,
            "transactTime": datetime.now(UTC),
            "source": "HTTP",
            "client": "bench",
            "idempotencyKey": None,
        }
        value = serializer(event, SerializationContext(topic, MessageField.VALUE))
        placed: list[Any] = []
        producer.produce(topic, value, order_id, on_delivery=lambda error, message: placed.append((error, message)))
        producer.flush()
        ((error, message),) = placed
        if error is not None:
            raise HTTPException(503, str(error))
        return {"orderId": order_id, "sequence": 1, "partition": message.partition(), "offset": message.offset()}

    @app.get("/health/ready")
    async def ready() -> dict[str, str]:
        return {"status": "ok"}

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    app = create_app(args.settings, args.topic, args.key)
    print(json.dumps({"port": args.port}), flush=True)
    uvicorn.run(app, host="127.0.0.1", port=args.port, log_level="warning")


if __name__ == "__main__":
    main()
