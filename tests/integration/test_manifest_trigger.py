"""The wait for a delivery on its topic, against the real broker, in the trigger that Airflow runs."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from feedline.batch.headers import MANIFEST, BatchHeaders
from feedline.batch.identity import Cycle
from feedline.batch.manifest import MANIFEST_PARTITION, DeliveryManifest, encode_manifest

DAY = date(2026, 11, 20)
DELIVERY = "accounts-20261120-EOD-0123456789ab"


@pytest.fixture
def topic(stack):
    name = f"trigger-{uuid.uuid4().hex[:8]}"
    admin = AdminClient(dict(stack.settings.kafka))
    admin.create_topics([NewTopic(name, 2, 1)])[name].result(30)
    return name


@pytest.fixture
def trigger(stack, topic, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv(
        "AIRFLOW_CONN_FEEDLINE_KAFKA", json.dumps({"conn_type": "kafka", "extra": dict(stack.settings.kafka)})
    )
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[2] / "plugins"), *sys.path])
    from feedline_airflow.manifest_trigger import ManifestTrigger

    since = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    return ManifestTrigger(
        topic=topic, feed="accounts", business_date=DAY.isoformat(), delivery_id=DELIVERY, since=since
    )


def close_delivery(stack, topic, delivery_id=DELIVERY):
    manifest = DeliveryManifest(
        delivery_id=delivery_id,
        feed="accounts",
        business_date=DAY,
        cycle=Cycle.EOD,
        batches=3,
        records=150,
        source_records=150,
        error_records=0,
        raw_bytes=1,
        control_totals={},
        files=(),
        funds=(),
        partitions=(),
        produced_at=datetime.now(UTC),
    )
    headers = BatchHeaders(
        str(uuid.uuid4()), "accounts", DAY, Cycle.EOD, delivery_id, -1, 0, "accounts.control.json", MANIFEST
    )
    producer = Producer(dict(stack.settings.kafka))
    producer.produce(topic, encode_manifest(manifest, 1), partition=MANIFEST_PARTITION, headers=headers.to_kafka())
    assert producer.flush(30) == 0


async def first_event(trigger):
    async for event in trigger.run():
        return event.payload
    return None


def client_threads():
    """Threads of librdkafka clients that this process has."""
    count = 0
    for comm in Path("/proc/self/task").glob("*/comm"):
        # A thread may end between being listed and being read: it counts no more.
        with suppress(OSError):
            count += comm.read_text().startswith("rdk:")
    return count


def test_it_fires_for_its_own_delivery_as_often_as_it_is_run(stack, topic, trigger):
    async def scenario():
        waiting = [asyncio.create_task(first_event(trigger)) for _ in range(2)]
        await asyncio.to_thread(close_delivery, stack, topic, "accounts-20261120-EOD-ba9876543210")
        await asyncio.sleep(1)
        assert not any(task.done() for task in waiting)
        await asyncio.to_thread(close_delivery, stack, topic)
        return await asyncio.wait_for(asyncio.gather(*waiting), 60)

    first, second = asyncio.run(scenario())
    assert first == second == {"status": "delivered", "delivery_id": DELIVERY, "records": 150, "batches": 3}
    admin = AdminClient(dict(stack.settings.kafka))
    groups = admin.list_consumer_groups().result(30)
    assert "feedline.accounts" not in {
        group.group_id for group in groups.valid if group.state.name not in ("EMPTY", "DEAD")
    }


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
def test_a_cancelled_wait_closes_its_client(trigger):
    async def scenario():
        before = client_threads()
        waiting = asyncio.create_task(first_event(trigger))
        while client_threads() == before:  # noqa: ASYNC110  librdkafka tells nobody that it has started
            await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        for _ in range(200):
            if client_threads() == before:
                return True
            await asyncio.sleep(0.1)
        return False

    assert asyncio.run(scenario())
