"""Continuous loading is as exact as a planned load: rows, ledger, checkpoints and offsets agree whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import replace

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from feedline import continuous
from feedline.batch.headers import header
from feedline.catalog import load_catalog
from feedline.consumer.claim import Claim, Work
from feedline.consumer.error_topic import error_messages
from feedline.consumer.group_offsets import follow_checkpoints
from feedline.consumer.messages import headers_of
from feedline.consumer.pipeline_policy import Backoff
from feedline.consumer.pipeline_status import PartitionStatus, PipelineStatus
from feedline.consumer.telemetry import Watched, serve_telemetry
from feedline.continuous import FeedLoader, continuous_load, loading_policy
from feedline.errors import LostRaceError, RegistryUnavailableError
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.kafka.config import consumer_config, producer_config
from feedline.warehouse.ledger import read_checkpoints
from feedline.warehouse.load import Step

POLICY = loading_policy(max_age_s=0.2)


def checkpoints(holdings):
    return read_checkpoints(holdings.connection, holdings.feed.name, holdings.feed.topic.name)


def until(met, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_what_comes_is_loaded_once_and_a_restart_loads_nothing_again(holdings, make_holding):
    holdings.publish([make_holding(n) for n in range(40)])
    with continuous_load(holdings.settings, holdings.feed, POLICY) as (_, loader):
        until(lambda: checkpoints(holdings) == holdings.ends)
        holdings.publish([make_holding(n) for n in range(40, 60)])
        until(lambda: checkpoints(holdings) == holdings.ends)
        until(lambda: loader.records == 60)
    with continuous_load(holdings.settings, holdings.feed, POLICY) as (consumer, loader):
        until(lambda: len(consumer.status().partitions) == 4)
        holdings.publish([make_holding(60)])
        until(lambda: checkpoints(holdings) == holdings.ends)
        until(lambda: loader.records == 1)
    assert holdings.orders() == list(range(61))


def test_loads_of_one_feed_go_on_side_by_side_and_their_transactions_take_turns(holdings, make_holding, monkeypatch):
    real, lock = continuous.load_batches, threading.Lock()
    open_transactions, inside, beside = set(), [], []
    # Two loads meet with their files uploaded, or neither goes on: one alone would never have the other beside it.
    meet = threading.Barrier(2)

    def watched(connection, feed, todo, batches, schema, *, on_step, **more):
        mine = {span.partition for span in todo.spans}

        def on(step):
            on_step(step)
            with lock:
                if step is Step.COPIED:
                    inside.append(len(open_transactions))
                    open_transactions.add(threading.get_ident())
                elif step is Step.COMMITTING:
                    open_transactions.discard(threading.get_ident())
            if step is Step.STAGED and not meet.broken:
                beside.append(mine)
                with suppress(threading.BrokenBarrierError):
                    meet.wait(60)
                meet.abort()

        return real(connection, feed, todo, batches, schema, on_step=on, **more)

    monkeypatch.setattr(continuous, "load_batches", watched)
    holdings.publish([make_holding(n) for n in range(400)])
    policy = loading_policy(loads=2, max_messages=10, max_age_s=0.2)
    with continuous_load(holdings.settings, holdings.feed, policy) as (_, loader):
        until(lambda: checkpoints(holdings) == holdings.ends)
        until(lambda: loader.records == 400)
    assert holdings.orders() == list(range(400))
    first, second = beside[:2]
    assert not first & second
    assert not any(inside)


def test_a_load_that_fails_holds_up_its_own_partitions_and_no_other(holdings, make_holding, monkeypatch):
    real, away, failed = continuous.load_batches, threading.Event(), threading.Event()

    def load(connection, feed, todo, *rest, **more):
        if not away.is_set() and any(span.partition == 0 for span in todo.spans):
            failed.set()
            raise RegistryUnavailableError("the registry does not answer for the schema of partition 0")
        return real(connection, feed, todo, *rest, **more)

    monkeypatch.setattr(continuous, "load_batches", load)
    policy = replace(loading_policy(loads=2, max_messages=5, max_age_s=0.1), backoff=Backoff(most_s=0.5))
    with continuous_load(holdings.settings, holdings.feed, policy) as (_, loader):
        # More than the queue holds, so that whoever waits for room behind it waits for ever.
        holdings.publish([make_holding(n) for n in range(400)], partitions=[0])
        assert failed.wait(60)
        holdings.publish([make_holding(n) for n in range(400, 800)], partitions=[1, 2, 3])
        until(lambda: loader.records == 400)
        assert holdings.orders() == list(range(400, 800))
        away.set()
        until(lambda: checkpoints(holdings) == holdings.ends)
    assert holdings.orders() == list(range(800))


def test_the_same_batch_in_two_partitions_that_are_loaded_side_by_side_is_loaded_once(holdings, make_holding):
    some = [make_holding(n) for n in range(200)]
    delivery = holdings.publish(some, partitions=[0, 1]).delivery_id
    holdings.publish(some, delivery_id=delivery, partitions=[2, 3])
    policy = loading_policy(loads=4, max_messages=10, max_age_s=0.2)
    with continuous_load(holdings.settings, holdings.feed, policy) as (_, loader):
        until(lambda: checkpoints(holdings) == holdings.ends)
        until(lambda: (loader.records, loader.duplicate_batches) == (200, 20))
    assert holdings.orders() == list(range(200))


def test_the_warehouse_says_where_to_begin_and_not_the_groups_offsets(holdings, make_holding):
    holdings.publish([make_holding(n) for n in range(40)])
    # As if offsets had been committed for what was never loaded.
    follow_checkpoints(holdings.settings.kafka, holdings.feed.name, holdings.feed.topic.name, holdings.ends)
    with continuous_load(holdings.settings, holdings.feed, POLICY):
        until(lambda: checkpoints(holdings) == holdings.ends)
    assert holdings.orders() == list(range(40))


def test_a_planned_load_and_a_continuous_one_of_the_same_batches_load_them_once(holdings, make_holding):
    holdings.publish([make_holding(n) for n in range(200)])
    with continuous_load(holdings.settings, holdings.feed, POLICY):
        try:
            holdings.load()
        except Exception as error:  # noqa: BLE001 - losing the race is one of the two right outcomes
            assert type(error).__name__ == "LostRaceError"  # noqa: PT017
        until(lambda: checkpoints(holdings) == holdings.ends)
    assert holdings.orders() == list(range(200))


def test_a_batch_that_comes_back_with_other_content_goes_to_the_error_topic_and_its_partition_goes_on(
    holdings, make_holding
):
    delivery = holdings.publish([make_holding(n) for n in range(40)]).delivery_id
    with continuous_load(holdings.settings, holdings.feed, POLICY) as (_, loader):
        until(lambda: checkpoints(holdings) == holdings.ends)
        # The delivery's first batch again, among others, with five records more.
        holdings.publish([make_holding(n) for n in range(15)], delivery_id=delivery, per_batch=15, partitions=[0])
        holdings.publish([make_holding(n) for n in range(40, 80)])
        until(lambda: checkpoints(holdings) == holdings.ends)
        # The last of its partition, with nothing behind it that would take the checkpoint along.
        holdings.publish([make_holding(n) for n in range(13)], delivery_id=delivery, per_batch=13, partitions=[1])
        until(lambda: checkpoints(holdings) == holdings.ends)
        until(lambda: loader.error_batches == 2)
    assert holdings.orders() == list(range(80))
    refused = [list(headers_of(m)) for m in error_messages(holdings.settings.kafka, holdings.feed.topic.error_topic)]
    assert {header(headers, "recordCount") for headers in refused} == {"15", "13"}
    assert {header(headers, "errorCode") for headers in refused} == {"ControlMismatchError"}


def test_messages_that_are_no_feeds_go_to_the_error_topic_and_hold_up_nobody(holdings, make_holding):
    topic = holdings.feed.topic
    # With the reason beside it, it is more than the error topic takes.
    too_large = os.urandom(topic.max_message_bytes - 200)
    producer = Producer(producer_config(holdings.settings.kafka))
    for value in (b"nobody's", too_large):
        producer.produce(topic.name, value, partition=0)
    producer.close()
    holdings.publish([make_holding(n) for n in range(40)])
    with continuous_load(holdings.settings, holdings.feed, POLICY) as (_, loader):
        until(lambda: checkpoints(holdings) == holdings.ends)
    assert holdings.orders() == list(range(40))
    assert loader.stray_messages == 2
    told = list(error_messages(holdings.settings.kafka, topic.error_topic))
    assert {header(headers_of(message), "errorCode") for message in told} == {"UnknownFeedError"}
    reasons = {header(headers_of(m), "originalOffset"): (m.value(), header(headers_of(m), "reason")) for m in told}
    assert reasons["0"][0] == b"nobody's"
    assert reasons["1"][0] == b""
    assert f"Its {len(too_large)} bytes are too large for the error topic" in reasons["1"][1]


@pytest.mark.parametrize("how", ["UPDATE {table} SET NEXT_OFFSET = 0, EPOCH = EPOCH + 1", "DELETE FROM {table}"])
def test_a_checkpoint_that_is_set_back_under_a_running_load_is_begun_at_again(holdings, make_holding, how):
    topic = holdings.feed.topic.name
    with continuous_load(holdings.settings, holdings.feed, POLICY) as (consumer, loader):
        holdings.publish([make_holding(n) for n in range(40)])
        until(lambda: checkpoints(holdings) == holdings.ends)
        # As one does who has emptied the tables and wants the topic loaded again.
        holdings.query("DELETE FROM {table}")
        holdings.query(f"DELETE FROM {{control}}.LOAD_LEDGER WHERE FEED = '{holdings.feed.name}'")
        holdings.query(how.format(table="{control}.CONSUMER_CHECKPOINT") + f" WHERE TOPIC = '{topic}'")
        # It is seen with what comes next in each partition.
        holdings.publish([make_holding(n) for n in range(40, 80)])
        until(lambda: checkpoints(holdings) == holdings.ends and holdings.orders() == list(range(80)))
        until(lambda: consumer.status().lag == 0)
        until(lambda: loader.records == 40 + 80)


def test_of_work_that_loses_a_partition_the_rest_is_not_passed_as_done(holdings, make_holding):
    """Returning would commit what was never loaded, and the next load would move the checkpoint over it."""
    holdings.publish([make_holding(n) for n in range(40)])
    topic = holdings.feed.topic.name
    claims = {partition: Claim(topic, partition, 0, 1) for partition in holdings.ends}
    loader = FeedLoader(holdings.settings, holdings.feed)
    consumer = Consumer(consumer_config(holdings.settings.kafka, group_id="nobody"))
    try:
        loader.positions([claim.where for claim in claims.values()])
        consumer.assign([TopicPartition(topic, partition, 0) for partition in claims])
        messages = []
        until(lambda: messages.extend(consumer.consume(10, 0.5)) or len(messages) == 4)
        work = Work([(m, claims[m.partition()], m.offset(), len(m)) for m in messages])
        claims[2].held = False
        with pytest.raises(LostRaceError, match="taken away"):
            loader(work)
        assert holdings.orders() == []
        claims[2].held = True
        loader(work)
        assert holdings.orders() == list(range(40))
    finally:
        consumer.close()
        loader.close()


def test_health_tells_a_stalled_partition_and_metrics_its_lag():
    stalled = PartitionStatus(
        topic="T", partition=3, next_offset=5, committed=5, end=9, in_flight=0, backing_off=False, stalled_s=61.0
    )
    status = [PipelineStatus(partitions=(stalled,), workers=1)]
    watched = {"holdings": Watched(lambda: status[0], lambda: {"records": 7}, 60.0)}
    with serve_telemetry(watched, "127.0.0.1", 0) as port:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30)
        assert refused.value.code == 503
        assert json.load(refused.value)["reasons"] == [
            "holdings: T [3] has stood at offset 5 for 61 s, with 4 offsets to go"
        ]
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30).read().decode()
        assert 'feedline_consumer_lag{feed="holdings",partition="3",topic="T"} 4.0' in metrics
        assert 'feedline_load_records_total{feed="holdings"} 7.0' in metrics
        status[0] = PipelineStatus(workers=1)
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30).status == 200


def test_the_service_answers_and_ends_with_0_when_it_is_told_to(warehouse_settings, connection, tmp_path):
    feed = load_catalog().feed("positions")
    ensure_topics(admin_client(warehouse_settings.kafka), [feed.topic], warehouse_settings.replication_factor)
    file = tmp_path / "settings.json"
    document = {name: dict(getattr(warehouse_settings, name)) for name in ("kafka", "registry", "warehouse")} | {
        "landing": str(warehouse_settings.landing)
    }
    file.write_text(json.dumps(document), encoding="utf-8")
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from feedline.cli import main; main()",
            "consume",
            "--feeds",
            "positions",
            "--port",
            "0",
        ],
        env={"FEEDLINE_SETTINGS": str(file)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # A warning may come first, as of a topic that has no leader yet.
        line = next(line for line in process.stderr if line.startswith("loading positions; http://"))
        health = urllib.request.urlopen(line.split("; ")[1].strip(), timeout=30)
        assert json.load(health) == {"status": "ok", "reasons": []}
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
        assert process.returncode == 0, rest
    finally:
        process.kill()
        process.communicate()
