"""While the broker is away nothing is answered as entered, the answer says whether anything was written, and the same
request afterwards is the same order."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from tests.integration.orders.order_world import PARTITIONS, await_ready, body, events_of

from feedline.local.cluster import Cluster, plan_cluster
from feedline.orders.entry.app import create_app
from feedline.orders.entry.policy import EntryPolicy
from feedline.orders.provision import provision_orders
from feedline.orders.topics import OrderTopics
from feedline.services.auth import AccessConfig, Authenticator

WITHIN_S = 120.0


@pytest.fixture
def cluster(tmp_path):
    with Cluster(plan_cluster(tmp_path / "cluster", nodes=1)) as made:
        yield made


def test_no_order_is_answered_as_entered_that_the_broker_does_not_have(stack, cluster, order_keys):
    settings = replace(stack.settings, kafka={"bootstrap.servers": cluster.config.bootstrap}, replication_factor=1)
    topics = OrderTopics(f"away.{cluster.config.cluster_id}.", PARTITIONS)
    provision_orders(settings, topics)
    policy = EntryPolicy(delivery_s=3.0, away_s=1.0)
    app = create_app(settings, Authenticator(AccessConfig(order_keys.file)), topics=topics, policy=policy)
    with TestClient(app, headers={"X-API-Key": order_keys.desk}) as client:
        await_ready(client)

        def enter(number):
            return client.post("/orders", content=body(), headers={"Idempotency-Key": f"k{number}"})

        assert enter(0).status_code == 201
        cluster.pause(1)
        refused = [enter(number) for number in range(1, 5)]
        assert {one.status_code for one in refused} == {503}
        assert all(int(one.headers["Retry-After"]) > 0 for one in refused)
        assert refused[0].json()["outcome"] == "unknown"
        cluster.resume(1)
        answers = {}
        for number in range(5):
            deadline = time.monotonic() + WITHIN_S
            while (answer := enter(number)).status_code == 503:
                assert time.monotonic() < deadline, answer.text
                time.sleep(0.2)
            answers[number] = answer.json()
        await_ready(client)
    found = events_of(settings.kafka, topics.out)
    assert {one.idempotency_key for one in found} == {f"k{number}" for number in range(5)}
    assert {one.order_id for one in found} == {one["orderId"] for one in answers.values()}
    first = {}
    for one in found:
        first.setdefault(one.order_id, one.sequence)
    assert set(first.values()) == {1}
