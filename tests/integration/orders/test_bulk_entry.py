"""Every valid event of `orders.bulk` is on `orders.out` once and in its order's sequence, every other on `orders.ERROR`
once with its reason: whatever is killed, and whoever takes over."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import msgspec
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from tests.integration.orders.order_world import events_of, messages_of
from tests.unit.orders.orders_made import EQUITY, event

from feedline.kafka.admin import admin_client
from feedline.kafka.config import producer_config
from feedline.kafka.registry import registry_client, schema_id
from feedline.orders.model import EventKind, encode_event, facts_of
from feedline.orders.model.schemas import ORDER_EVENT, order_schema
from feedline.orders.topics import BULK_GROUP
from order_flow.entry_process import BulkStep
from order_flow.flow import ENTRY

WITHIN_S = 240.0


def lives(orders, seed=1):
    """Valid events of so many orders, each life in sequence, all mixed."""
    chance = random.Random(seed)
    waiting = [
        [
            event(
                n,
                EventKind.NEW if n == 1 else EventKind.AMEND,
                order_id=f"o{number}",
                order=msgspec.structs.replace(EQUITY, quantity=EQUITY.quantity + n),
            )
            for n in range(1, chance.randint(2, 4))
        ]
        for number in range(orders)
    ]
    while waiting:
        life = chance.choice(waiting)
        yield life.pop(0)
        if not life:
            waiting.remove(life)


class Bulk:
    """The input and output of bulk entry, and its instances."""

    def __init__(self, stack, topics, settings_file):
        self.kafka, self.topics, self._file = stack.settings.kafka, topics, settings_file
        self._schema = schema_id(
            registry_client(stack.settings.registry), f"{topics.bulk}-value", order_schema(ORDER_EVENT)
        )
        self._processes = []

    def send(self, events):
        producer = Producer(producer_config(self.kafka))
        for one in events:
            value, key = (one, None) if isinstance(one, bytes) else (encode_event(one, self._schema), one.order_id)
            producer.produce(self.topics.bulk, value, key)
            producer.poll(0)
        assert producer.flush(60) == 0

    def start(self, name="one", delay="0..40", step=None, left=0):
        arguments = [
            *("bulk", "--instance", name, "--delay", delay, "--park", "5", "--port", "0"),
            *("--prefix", self.topics.prefix, "--settings", str(self._file)),
        ]
        chosen = {"arguments": arguments, "short_s": 6.0, "at_once": 20, "die_at": step, "after": left}
        process = subprocess.Popen([sys.executable, ENTRY, json.dumps(chosen)])
        self._processes.append(process)
        return process

    def out(self):
        return events_of(self.kafka, self.topics.out)

    def await_out(self, count):
        return self._await(self.out, count)

    def await_errors(self, count):
        return self._await(lambda: messages_of(self.kafka, self.topics.error), count)

    def _await(self, look, count):
        deadline = time.monotonic() + WITHIN_S
        while len(found := look()) < count:
            ended = [process.poll() for process in self._processes]
            assert None in ended, f"{len(found)} of {count}, and all have ended: {ended}"
            assert time.monotonic() < deadline, f"{len(found)} of {count}"
            time.sleep(0.3)
        return found

    def stop(self):
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            process.wait(60)
        return [process.returncode for process in self._processes]

    def close(self):
        for process in self._processes:
            process.kill()
            process.wait(10)


@pytest.fixture
def bulk(stack, topics, settings_file):
    made = Bulk(stack, topics, settings_file)
    yield made
    made.close()


def assert_once_in_sequence(sent, found):
    """found: in the order of each partition, which has all events of an order."""
    assert Counter((one.order_id, one.sequence) for one in found) == Counter(
        (one.order_id, one.sequence) for one in sent
    )
    by_order: dict[str, list[int]] = {}
    for one in found:
        by_order.setdefault(one.order_id, []).append(one.sequence)
    assert all(sequences == list(range(1, len(sequences) + 1)) for sequences in by_order.values())
    content = {(one.order_id, one.sequence): facts_of(one).content for one in sent}
    assert all(facts_of(one).content == content[one.order_id, one.sequence] for one in found)


@pytest.mark.parametrize("step", list(BulkStep))
def test_killed_at_any_step_everything_leaves_once_and_in_sequence(bulk, step):
    sent = list(lives(60))
    bulk.send(sent)
    bulk.start(step=step, left=30 if step is BulkStep.PRODUCED else 3).wait(WITHIN_S)
    assert bulk._processes[0].returncode == -signal.SIGKILL
    bulk.start()
    bulk.await_out(len(sent))
    assert bulk.stop() == [-signal.SIGKILL, 0]
    assert_once_in_sequence(sent, bulk.out())


def test_instances_that_come_and_go_share_the_work(bulk):
    sent = list(lives(400))
    third = len(sent) // 3
    bulk.start("one", delay="exp:30")
    bulk.send(sent[:third])
    bulk.start("two", delay="exp:30")
    bulk.send(sent[third : 2 * third])
    bulk.start("three", delay="exp:30", step=BulkStep.OFFSETS, left=2)
    bulk.send(sent[2 * third :])
    bulk.await_out(len(sent))
    bulk.stop()
    assert_once_in_sequence(sent, bulk.out())


def test_one_that_slept_while_another_took_over_adds_nothing(bulk):
    """SIGSTOP for longer than the group waits: the classic zombie."""
    sent = list(lives(150))
    zombie = bulk.start("zombie", delay="200")
    bulk.send(sent[:100])
    bulk.await_out(20)
    zombie.send_signal(signal.SIGSTOP)
    bulk.start("heir", delay="5")
    bulk.send(sent[100:])
    bulk.await_out(len(sent))
    zombie.send_signal(signal.SIGCONT)
    bulk.send(more := [event(order_id=f"more{n}") for n in range(40)])
    bulk.await_out(len(sent) + len(more))
    bulk.stop()
    assert_once_in_sequence([*sent, *more], bulk.out())


def test_what_cannot_be_entered_is_told_once_with_its_reason(bulk):
    good = event()
    other = msgspec.structs.replace(EQUITY, quantity=EQUITY.quantity * 2)
    bulk.send(
        [
            good,
            good,
            b"no event",
            event(order=other),
            event(order_id="zero", order=msgspec.structs.replace(EQUITY, quantity=EQUITY.quantity * 0)),
            event(3, EventKind.AMEND, order_id="gap"),
            event(2, EventKind.CANCEL),
            event(3, EventKind.AMEND),
        ]
    )
    bulk.start(delay="1")
    errors = bulk.await_errors(4)
    bulk.stop()
    # What follows a cancellation is sent or not as the engine says.
    assert_once_in_sequence([good, event(2, EventKind.CANCEL), event(3, EventKind.AMEND)], bulk.out())
    told = {}
    for message in errors:
        headers = {name: value.decode() for name, value in message.headers()}
        told[headers["errorCode"], headers["reason"]] = message.value()
        assert headers["originalTopic"] == bulk.topics.bulk
    assert sorted(code for code, _ in told) == ["Invalid", "Refused", "StillMissing", "Unreadable"]
    reasons = " | ".join(reason for _, reason in told)
    for said in (
        "order.quantity: must be more than 0",
        "used by another event",
        "sequence 1 has not come",
        "entered over HTTP is amended and cancelled over HTTP",
    ):
        assert said in reasons
    assert b"no event" in told.values()


def test_events_without_an_id_get_one_and_those_of_one_order_stay_together(bulk):
    bulk.send([replace(event(), event_id=""), event(2, EventKind.CANCEL, event_id="")])
    bulk.start(delay="0")
    first, second = bulk.await_out(2)
    bulk.stop()
    assert first.event_id != second.event_id
    assert len({message.partition() for message in messages_of(bulk.kafka, bulk.topics.out)}) == 1


def test_a_group_that_does_not_know_what_was_entered_enters_nothing_again(bulk, stack, capfd):
    bulk.send(lives(5))
    bulk.start()
    entered = len(bulk.await_out(len(list(lives(5)))))
    assert bulk.stop() == [0]
    admin, group = admin_client(stack.settings.kafka), BULK_GROUP + bulk.topics.prefix
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
    committed = asked[group].result(60).topic_partitions
    # As of a group of another name: this one has no offsets.
    admin.delete_consumer_groups([group])[group].result(60)
    assert bulk.start().wait(120) == 1
    told = capfd.readouterr().err
    assert f"the group {group} does not know how far: set its offset" in told
    assert len(bulk.out()) == entered
    # The offset alone, and one too low: what was entered behind it is known by its order.
    places = [TopicPartition(one.topic, one.partition, max(0, one.offset - 2)) for one in committed]
    admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])[group].result(60)
    bulk.start()
    bulk.send([event(order_id="newer")])
    bulk.await_out(entered + 1)
    assert bulk.stop()[-1] == 0
    assert len(bulk.out()) == entered + 1
