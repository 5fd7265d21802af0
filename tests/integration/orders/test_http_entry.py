"""An answered order lies on the topic, under the id, partition and offset that the answer names."""

from __future__ import annotations

from decimal import Decimal

import pytest
from fastapi.testclient import TestClient
from tests.integration.orders.order_world import body, events_of, messages_of

from feedline.orders.entry.app import create_app
from feedline.services.auth import AccessConfig, Authenticator


@pytest.fixture
def service(stack, topics, order_keys):
    app = create_app(stack.settings, Authenticator(AccessConfig(order_keys.file)), topics=topics)
    with TestClient(app, headers={"X-API-Key": order_keys.desk}) as client:
        yield client


def test_an_order_is_on_the_topic_as_the_answer_says(service, stack, topics):
    answer = service.post("/orders", content=body())
    assert answer.status_code == 201, answer.text
    told = answer.json()
    (message,) = messages_of(stack.settings.kafka, topics.out)
    assert (message.partition(), message.offset()) == (told["partition"], told["offset"])
    assert message.key().decode() == told["orderId"]
    assert dict(message.headers())["correlationId"].decode() == told["eventId"]
    (event,) = events_of(stack.settings.kafka, topics.out)
    assert (event.order_id, event.sequence, event.client) == (told["orderId"], told["sequence"], "key:desk")
    assert event.order.quantity == Decimal(100)
