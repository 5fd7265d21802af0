"""The intraday waits against a real broker, as the triggerer runs them: many in one event loop."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import uuid
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from feedline.batch.headers import AVRO, BatchHeaders
from feedline.batch.identity import Cycle
from feedline.catalog import load_catalog
from feedline.consumer.group_offsets import follow_checkpoints
from feedline.consumer.range_reader import group_of
from feedline.datagen import IntradayShare, generate_day

DAY = date(2026, 11, 20)
FEED = "accounts"
PARTITIONS = 4
WAITERS = 100


@pytest.fixture(autouse=True)
def _airflow(stack, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    connection = {"conn_type": "kafka", "extra": dict(stack.settings.kafka)}
    monkeypatch.setenv("AIRFLOW_CONN_FEEDLINE_KAFKA", json.dumps(connection))
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[2] / "plugins"), *sys.path])


@pytest.fixture
def topic(stack):
    name = f"intraday-{uuid.uuid4().hex[:8]}"
    admin = AdminClient(dict(stack.settings.kafka))
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(30)
    return name


@pytest.fixture
def wait(topic, tmp_path):
    """Makes a sensor's trigger."""

    def make(feed=FEED, positions=None, until=timedelta(minutes=5)):
        from feedline_airflow.intraday_trigger import IntradayTrigger

        return IntradayTrigger(
            landing=str(tmp_path / "landing"),
            topic=topic,
            feed=feed,
            business_date=DAY.isoformat(),
            known=[],
            positions=positions or {},
            until=(datetime.now(UTC) + until).isoformat(),
            poll_s=0.1,
        )

    return make


def send(stack, topic, *feeds, cycle=Cycle.INTRADAY, partition=1):
    """One message of each feed, handed over together, so that they arrive together on the slowest machine too."""
    producer = Producer(dict(stack.settings.kafka, **{"linger.ms": 100}))
    for feed in feeds or (FEED,):
        headers = BatchHeaders(str(uuid.uuid4()), feed, DAY, cycle, f"{feed}-delivery", 0, 1, "session:1", AVRO)
        producer.produce(topic, b"value", partition=partition, headers=headers.to_kafka())
    assert producer.flush(30) == 0


async def first_event(trigger):
    async for event in trigger.run():
        return event.payload
    return None


def clients():
    """Threads of librdkafka, and open files, of this process."""
    comms = []
    for path in Path("/proc/self/task").glob("*/comm"):
        # A thread may end between being listed and being read: it counts no more.
        with suppress(OSError):
            comms.append(path.read_text())
    return sum(comm.startswith("rdk:") for comm in comms), len(list(Path("/proc/self/fd").iterdir()))


async def clients_at_rest():
    """What `clients` counts once those that earlier tests left behind have ended."""
    gc.collect()
    seen = [clients()]
    while len(seen) < 4 or len({threads for threads, _ in seen[-4:]}) > 1:
        await asyncio.sleep(0.5)
        seen.append(clients())
    return seen[-1]


async def until(condition):
    for _ in range(600):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to that")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
def test_a_hundred_waits_share_a_client_and_hold_up_nobody(stack, topic, wait):
    follow_checkpoints(stack.settings.kafka, FEED, topic, {0: 0, 1: 0})

    async def scenario():
        await asyncio.to_thread(lambda: None)
        before = await clients_at_rest()
        tasks = [asyncio.create_task(first_event(wait())) for _ in range(WAITERS)]
        await until(lambda: clients()[0] > before[0])
        await asyncio.sleep(1)
        alone = clients()[0] - before[0]
        late = asyncio.create_task(first_event(wait()))
        beats, limit = 0, 200
        slow = 0
        loop = asyncio.get_running_loop()
        for _ in range(limit):
            asked = loop.time()
            await asyncio.sleep(0.005)
            beats += 1
            slow += loop.time() - asked > 1
        # Of two hundred turns of the loop none waited for a blocking call, which here would take a poll's second.
        assert (beats, slow) == (limit, 0)
        assert clients()[0] - before[0] == alone
        assert not any(task.done() for task in tasks)
        await asyncio.to_thread(send, stack, topic, "positions")
        await asyncio.to_thread(send, stack, topic, FEED, cycle=Cycle.EOD)
        await asyncio.to_thread(send, stack, topic)
        events = await asyncio.wait_for(asyncio.gather(*tasks, late), 60)
        await until(lambda: clients()[0] == before[0])
        return events, alone

    events, alone = asyncio.run(scenario())
    assert len(events) == WAITERS + 1
    assert {event["status"] for event in events} == {"arrived"}
    assert {event["what"] for event in events} == {"records of accounts-delivery are on partition 1 at offset 2"}
    # librdkafka has a main thread, one a broker and a few of its own: far fewer than one for each wait.
    assert alone < 15
    admin = AdminClient(dict(stack.settings.kafka))
    asked = ConsumerGroupTopicPartitions(group_of(FEED))
    [future] = admin.list_consumer_group_offsets([asked]).values()
    found = {tp.partition: tp.offset for tp in future.result(30).topic_partitions if tp.topic == topic}
    assert found == {0: 0, 1: 0}
    groups = admin.list_consumer_groups().result(30).valid
    assert "feedline.watch" not in {group.group_id for group in groups}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
def test_cancelled_waits_leave_no_client_and_no_file_open(wait):
    async def scenario():
        # The first of everything (executor, selector) stays open by design.
        await asyncio.to_thread(lambda: None)
        before = clients()
        for _ in range(2):
            tasks = [asyncio.create_task(first_event(wait())) for _ in range(20)]
            await until(lambda: clients()[0] > before[0])
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert all(task.cancelled() for task in tasks)
            await until(lambda: clients()[0] == before[0])
        await until(lambda: clients()[1] <= before[1])
        # A watch's threads end on their own, after its client has closed.
        await until(lambda: not any(thread.name.startswith("feedline-watch") for thread in threading.enumerate()))

    asyncio.run(scenario())


def test_a_wait_that_comes_later_is_told_of_what_lies_at_its_own_position(stack, topic, wait):
    send(stack, topic)
    send(stack, topic)

    async def scenario():
        ahead = asyncio.create_task(first_event(wait(positions={"1": 2})))
        await asyncio.sleep(3)
        assert not ahead.done()
        behind = await asyncio.wait_for(first_event(wait(positions={"1": 1})), 60)
        assert not ahead.done()
        ahead.cancel()
        return behind

    assert asyncio.run(scenario())["what"].endswith("at offset 1")


def test_a_small_delivery_that_lands_ends_the_wait(wait, tmp_path):
    def land():
        generate_day(
            load_catalog(),
            business_date=DAY,
            funds=3,
            seed=1,
            out=tmp_path / "landing",
            feeds=["positions"],
            intraday=IntradayShare(0.25),
        )

    async def scenario():
        waiting = asyncio.create_task(first_event(wait("positions")))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        await asyncio.to_thread(land)
        return await asyncio.wait_for(waiting, 60)

    assert asyncio.run(scenario()) == {"status": "arrived", "what": "positions_20261120_I001.control.json has landed"}


def test_a_wait_ends_when_nothing_comes(wait):
    assert asyncio.run(first_event(wait(until=timedelta(seconds=1)))) == {"status": "nothing"}


def test_the_topic_as_an_asset_tells_once_of_what_comes_together(stack, topic):
    from feedline_airflow.intraday_topic_trigger import IntradayTopicTrigger

    async def scenario():
        trigger = IntradayTopicTrigger(topic=topic, feeds=["accounts", "positions"], gather_s=2)
        events = trigger.run()
        told = asyncio.create_task(anext(events))
        await asyncio.sleep(1)
        await asyncio.to_thread(send, stack, topic, "positions", "accounts", "positions", "transactions")
        first = (await asyncio.wait_for(told, 60)).payload
        again = asyncio.create_task(anext(events))
        await asyncio.to_thread(send, stack, topic, "accounts")
        second = (await asyncio.wait_for(again, 60)).payload
        await events.aclose()
        return first, second

    first, second = asyncio.run(scenario())
    assert first == {"business_date": DAY.isoformat(), "feeds": ["accounts", "positions"]}
    assert second == {"business_date": DAY.isoformat(), "feeds": ["accounts"]}
