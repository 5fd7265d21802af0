"""What the engine promises of order, commits, retries and ends, on a real broker."""

from __future__ import annotations

import threading
import time

import pytest
from confluent_kafka import Producer
from tests.integration.consumer.conftest import Seen, eventually, values

from feedline.consumer.pipeline_policy import Backoff, Ordering, PipelinePolicy, Rebalance
from feedline.errors import BrokerUnavailableError, CorruptBatchError
from feedline.kafka.config import producer_config


@pytest.mark.parametrize("rebalance", list(Rebalance))
def test_every_message_is_handled_once_and_committed(numbers, consume, rebalance):
    topic, seen = numbers(), Seen()
    topic.send(1_000)
    consumer = consume(topic, seen, policy=PipelinePolicy(rebalance=rebalance, commit_s=0.1))
    eventually(lambda: len(seen.counts) == 1_000)
    eventually(lambda: consumer.status().lag == 0 and topic.committed() == dict.fromkeys(range(4), 250))
    consumer.stop()
    assert consumer.wait(30)
    assert set(seen.counts.values()) == {1}
    assert topic.committed() == dict.fromkeys(range(4), 250)


@pytest.mark.parametrize("ordering", [Ordering.KEY, Ordering.PARTITION])
def test_messages_that_must_wait_for_one_another_stay_in_order(numbers, consume, ordering):
    topic, lock, orders = numbers(2), threading.Lock(), {}
    topic.send(400, key=lambda number: f"order-{number % 6}")

    def handle(work):
        time.sleep(0.001 * (int(work.message.value()) % 3))
        with lock:
            lane = work.message.key() if ordering is Ordering.KEY else work.message.partition()
            orders.setdefault(lane, []).extend(values(work))

    consume(topic, handle, policy=PipelinePolicy(ordering=ordering, workers=8))
    eventually(lambda: sum(map(len, orders.values())) == 400)
    assert len(orders) == (6 if ordering is Ordering.KEY else 2)
    assert all(numbers == sorted(numbers) for numbers in orders.values())


def test_the_pool_grows_and_shrinks_while_it_runs(numbers, consume):
    topic, lock, at_once = numbers(1), threading.Lock(), [0, 0]
    seen = Seen()

    def handle(work):
        with lock:
            at_once[0] += 1
            at_once[1] = max(at_once)
        time.sleep(0.02)
        with lock:
            at_once[0] -= 1
            seen(work)

    topic.send(600)
    consumer = consume(topic, handle, policy=PipelinePolicy(workers=1))
    eventually(lambda: len(seen.counts) > 5)
    assert at_once[1] == 1
    consumer.resize(12)
    eventually(lambda: at_once[0] == 12)
    consumer.resize(2)
    eventually(lambda: at_once[0] <= 2)
    with lock:
        at_once[1] = 0
    before = len(seen.counts)
    eventually(lambda: len(seen.counts) > before + 10)
    assert at_once[1] <= 2


def test_nothing_is_committed_past_a_message_at_work(numbers, consume):
    """A commit cadence of the client's own would commit what was only read."""
    topic, gate, seen = numbers(1), threading.Event(), Seen()
    topic.send(50)

    def handle(work):
        if values(work) == [10]:
            gate.wait(30)
        seen(work)

    # What a user sets of auto-commit has no say.
    kafka = topic.kafka | {"enable.auto.commit": True, "auto.commit.interval.ms": 50}
    consume(topic, handle, kafka=kafka, policy=PipelinePolicy(commit_s=0.05))
    # A few that a worker had taken up together with it wait behind it; the others go on.
    eventually(lambda: len(seen.counts) >= 40 and topic.committed() == {0: 10})
    gate.set()
    eventually(lambda: topic.committed() == {0: 50})


def test_a_partition_that_backs_off_holds_no_other_up_and_loses_nothing(numbers, consume):
    topic, broken, seen = numbers(4), threading.Event(), Seen()
    broken.set()
    topic.send(2_000)

    def handle(work):
        if work.message.partition() == 2 and broken.is_set():
            raise BrokerUnavailableError("the sink of this partition is away")
        seen(work)

    policy = PipelinePolicy(backoff=Backoff(0.02, 0.1), queue_messages=200, commit_s=0.1)
    consumer = consume(topic, handle, policy=policy)
    eventually(lambda: len(seen.counts) == 1_500)
    eventually(lambda: topic.committed() == {0: 500, 1: 500, 2: 0, 3: 500})
    eventually(lambda: any(one.backing_off and one.partition == 2 for one in consumer.status().partitions))
    broken.clear()
    eventually(lambda: len(seen.counts) == 2_000)
    eventually(lambda: topic.committed()[2] == 500)
    assert set(seen.counts.values()) == {1}


def test_a_poisoned_message_is_reported_and_passed(numbers, consume):
    topic, reported, seen = numbers(1), [], Seen()
    topic.send(20)

    def handle(work):
        if 7 in values(work):
            raise CorruptBatchError("it cannot be read")
        seen(work)

    consume(
        topic,
        handle,
        on_poison=lambda message, error: reported.append((int(message.value()), error.reason)),
        policy=PipelinePolicy(commit_s=0.1, ordering=Ordering.PARTITION),
    )
    eventually(lambda: topic.committed() == {0: 20})
    assert reported == [(7, "it cannot be read")]
    assert sorted(seen.counts) == [n for n in range(20) if n != 7]


def test_an_unexpected_error_stops_the_consumer_and_is_raised(numbers, consume):
    topic = numbers(1)
    topic.send(20)

    def handle(work):
        if values(work) == [7]:
            raise ZeroDivisionError("a bug")

    consumer = consume(topic, handle, policy=PipelinePolicy(ordering=Ordering.PARTITION))
    with pytest.raises(ZeroDivisionError):
        eventually(lambda: consumer.wait(0.1))
    assert topic.committed() == {0: 7}


def test_a_quiet_topic_goes_on_after_each_single_record(numbers, consume):
    topic, seen = numbers(3), Seen()
    consume(topic, seen, policy=PipelinePolicy(commit_s=0.05))
    for count in range(1, 6):
        topic.send(1, partition=1)
        eventually(lambda count=count: len(seen.counts) == count and topic.committed()[1] == count)


def test_aborted_and_marked_offsets_count_as_passed(numbers, consume):
    topic, seen = numbers(1), Seen()
    producer = Producer(
        producer_config(topic.kafka) | {"transactional.id": topic.topic, "transaction.timeout.ms": 130_000}
    )
    producer.init_transactions()
    for value, end in ((b"1", producer.commit_transaction), (b"2", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic.topic, value)
        # What was not sent yet would be forgotten by the abort, and leave nothing on the topic.
        producer.flush()
        end()
    consumer = consume(topic, seen, policy=PipelinePolicy(commit_s=0.05))
    # Message, marker, aborted message, marker: offset 4 is the end, and no lag is left behind it.
    eventually(lambda: topic.committed() == {0: 4})
    eventually(lambda: consumer.status().partitions[0].end == 4)
    assert consumer.status().lag == 0
    assert list(seen.counts) == [1]


def test_offsets_never_move_backwards_though_the_start_does(numbers, consume):
    """The warehouse may say: begin earlier than the group's offset. What is read again moves no offset back."""
    topic, seen = numbers(1), Seen()
    topic.send(100)
    first = consume(topic, seen, policy=PipelinePolicy(commit_s=0.05))
    eventually(lambda: topic.committed() == {0: 100})
    first.stop()
    first.wait(30)
    found = set()

    def handle(work):
        seen(work)
        if values(work)[0] % 10 == 0:
            found.add(topic.committed()[0])

    consume(topic, handle, positions=lambda places: dict.fromkeys(places, 40), policy=PipelinePolicy(commit_s=0.01))
    eventually(lambda: seen.counts.total() == 160)
    assert found == {100}
