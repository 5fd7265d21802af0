"""On a topic that carries no feed, our class and confluent-kafka's own behave alike on a real broker: each test runs
against both, and promises what the original does."""

from __future__ import annotations

import threading
import time
import uuid

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from feedline import FeedProducer

PARTITIONS = 3
WAIT = 30


@pytest.fixture(params=[Producer, FeedProducer], ids=["confluent", "feedline"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def admin(stack):
    return AdminClient(dict(stack.settings.kafka))


@pytest.fixture
def topic(admin):
    name = f"plain-{uuid.uuid4().hex[:8]}"
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(WAIT)
    return name


@pytest.fixture
def make(kind, stack):
    return lambda **settings: kind({**stack.settings.kafka, "linger.ms": 1, **settings})


@pytest.fixture
def read(stack, topic):
    def reader(count, isolation="read_committed"):
        conf = {"group.id": "reader", "isolation.level": isolation, "enable.partition.eof": True}
        consumer = Consumer({**stack.settings.kafka, **conf})
        consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        found, ended = [], 0
        deadline = time.monotonic() + WAIT
        while (len(found) < count or ended < PARTITIONS) and time.monotonic() < deadline:
            message = consumer.poll(1)
            if message is not None and message.error() is None:
                found.append(message)
            elif message is not None:
                assert message.error().code() == KafkaError._PARTITION_EOF
                ended += 1
        consumer.close()
        return found

    return reader


def outcomes():
    reports = []
    return reports, lambda error, message: reports.append((error, message))


def test_a_callback_gets_the_message_as_it_lies_on_the_topic(make, topic, read):
    reports, heard = outcomes()
    producer = make()
    producer.produce(topic, b"v", b"k", 1, heard, None, 1_700_000_000_000, [("a", b"b"), ("a", None), ("c", "é")])
    assert producer.flush(WAIT) == 0
    [(error, message)] = reports
    assert error is None
    assert message.error() is None
    assert (message.topic(), message.partition(), message.offset()) == (topic, 1, 0)
    assert (message.key(), message.value(), message.timestamp()) == (b"k", b"v", (1, 1_700_000_000_000))
    assert message.latency() > 0
    [landed] = read(1)
    assert (landed.key(), landed.value(), landed.timestamp()) == (b"k", b"v", (1, 1_700_000_000_000))
    assert landed.headers() == [("a", b"b"), ("a", None), ("c", "é".encode())]


def test_headers_may_be_a_dict_and_key_and_value_text_or_nothing(make, topic, read):
    producer = make()
    producer.produce(topic, "é", "ü", partition=0, headers={"a": "b", "n": None})
    producer.produce(topic, partition=0)
    assert producer.flush(WAIT) == 0
    first, second = read(2)
    assert (first.key(), first.value(), first.headers()) == ("ü".encode(), "é".encode(), [("a", b"b"), ("n", None)])
    assert (second.key(), second.value(), second.headers()) == (None, None, None)


def test_equal_keys_go_to_one_partition_and_the_same_one_in_both_classes(stack, topic):
    def partitions(kind):
        producer, reports = kind(dict(stack.settings.kafka)), []
        for number in range(40):
            producer.produce(topic, b"v", f"k{number % 8}", on_delivery=lambda _, message: reports.append(message))
        producer.flush(WAIT)
        return {message.key(): message.partition() for message in reports}

    assert partitions(Producer) == partitions(FeedProducer)


def test_poll_serves_callbacks_in_the_order_of_a_partition(make, topic):
    reports, heard = outcomes()
    producer = make()
    for number in range(100):
        producer.produce(topic, str(number), partition=2, on_delivery=heard)
    deadline = time.monotonic() + WAIT
    while len(reports) < 100 and time.monotonic() < deadline:
        assert producer.poll(1) > 0
    assert [message.value() for _, message in reports] == [str(number).encode() for number in range(100)]
    assert [message.offset() for _, message in reports] == list(range(100))
    assert producer.poll(0) == 0
    assert len(producer) == 0


def test_only_errors_are_reported_when_asked_so(make, topic):
    reports, heard = outcomes()
    producer = make(**{"delivery.report.only.error": True, "on_delivery": heard})
    producer.produce(topic, b"1")
    producer.produce(topic, b"2", on_delivery=heard)
    producer.produce_batch(topic, [{"value": b"3"}, {"value": b"4", "callback": heard}])
    assert producer.flush(WAIT) == 0
    assert reports == []
    producer.produce(topic, b"5", on_delivery=heard)
    producer.purge()
    producer.flush(WAIT)
    assert all(error is not None for error, _ in reports)


def test_a_partition_that_does_not_exist_is_refused_at_once_when_the_topic_is_known(make, topic):
    producer = make()
    producer.produce(topic, b"1", partition=0)
    producer.flush(WAIT)
    with pytest.raises(KafkaException) as caught:
        producer.produce(topic, b"2", partition=PARTITIONS)
    assert caught.value.args[0].code() == KafkaError._UNKNOWN_PARTITION


def test_an_unknown_topic_is_an_error_in_the_callback(make):
    reports, heard = outcomes()
    producer = make(**{"topic.metadata.propagation.max.ms": 500, "message.timeout.ms": 20_000})
    producer.produce("no-such-topic", b"v", on_delivery=heard)
    producer.flush(WAIT)
    assert [error.code() for error, _ in reports] in (
        [KafkaError._UNKNOWN_TOPIC],
        [KafkaError.UNKNOWN_TOPIC_OR_PART],
    )


def test_a_message_too_large_for_the_topic_is_an_error_in_the_callback(make, admin):
    name = f"small-{uuid.uuid4().hex[:8]}"
    admin.create_topics([NewTopic(name, 1, 1, config={"max.message.bytes": "1000"})])[name].result(WAIT)
    reports, heard = outcomes()
    producer = make(**{"compression.type": "none"})
    producer.produce(name, b"x" * 5_000, on_delivery=heard)
    producer.flush(WAIT)
    assert [error.code() for error, _ in reports] == [KafkaError.MSG_SIZE_TOO_LARGE]


def test_a_batch_lands_whole(make, topic, read):
    reports, heard = outcomes()
    producer = make()
    messages = [{"value": str(number), "key": "k"} for number in range(60)]
    assert producer.produce_batch(topic, messages, on_delivery=heard) == 60
    assert producer.flush(WAIT) == 0
    assert len(reports) == 60
    assert {message.value() for message in read(60)} == {str(number).encode() for number in range(60)}


def test_a_flush_that_times_out_says_how_many_are_left(make, topic):
    producer = make(**{"linger.ms": 60_000, "queue.buffering.max.messages": 1_000})
    producer.produce(topic, b"1")
    assert producer.flush(0) >= 0
    assert producer.flush(WAIT) == 0


def test_metadata_can_be_asked_for(make, topic):
    producer = make()
    assert len(producer.list_topics(topic, timeout=WAIT).topics[topic].partitions) == PARTITIONS
    assert producer.cluster_id(timeout=WAIT)


def test_threads_may_share_it(make, topic, read):
    reports, heard = outcomes()
    producer = make()

    def run(name):
        for number in range(200):
            producer.produce(topic, f"{name}-{number}", on_delivery=heard)
            producer.poll(0)

    threads = [threading.Thread(target=run, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert producer.flush(WAIT) == 0
    assert len(reports) == 800
    assert len({message.value() for message in read(800)}) == 800


def test_closing_delivers_what_is_queued_and_calls_back(make, topic, read):
    reports, heard = outcomes()
    with make(**{"linger.ms": 200}) as producer:
        producer.produce(topic, b"last", on_delivery=heard)
    assert [error for error, _ in reports] == [None]
    assert [message.value() for message in read(1)] == [b"last"]


def test_a_committed_transaction_is_read_and_an_aborted_one_is_not(make, topic, read):
    reports, heard = outcomes()
    producer = make(**{"transactional.id": uuid.uuid4().hex})
    producer.init_transactions(WAIT)
    producer.begin_transaction()
    with pytest.raises(KafkaException) as caught:
        producer.begin_transaction()
    assert caught.value.args[0].code() == KafkaError._STATE
    producer.produce(topic, b"kept", on_delivery=heard)
    producer.commit_transaction(WAIT)
    assert [error for error, _ in reports] == [None]
    producer.begin_transaction()
    producer.produce(topic, b"dropped", on_delivery=heard)
    producer.abort_transaction(WAIT)
    assert len(reports) == 2
    for call in (producer.commit_transaction, producer.abort_transaction):
        with pytest.raises(KafkaException):
            call()
    assert [message.value() for message in read(1)] == [b"kept"]


def test_offsets_are_committed_with_the_transaction(make, stack, topic):
    group = uuid.uuid4().hex
    consumer = Consumer({**stack.settings.kafka, "group.id": group, "enable.auto.commit": False})
    consumer.subscribe([topic])
    deadline = time.monotonic() + WAIT
    while not consumer.assignment() and time.monotonic() < deadline:
        consumer.poll(0.2)
    producer = make(**{"transactional.id": uuid.uuid4().hex})
    producer.init_transactions(WAIT)
    for offset, end in ((5, "abort_transaction"), (7, "commit_transaction")):
        producer.begin_transaction()
        producer.produce(topic, b"out")
        position = [TopicPartition(topic, 0, offset)]
        producer.send_offsets_to_transaction(position, consumer.consumer_group_metadata(), WAIT)
        getattr(producer, end)(WAIT)
    [committed] = consumer.committed([TopicPartition(topic, 0)], timeout=WAIT)
    consumer.close()
    assert committed.offset == 7


def test_a_newer_instance_of_a_transactional_id_fences_the_older(make, topic):
    name = uuid.uuid4().hex
    older = make(**{"transactional.id": name})
    older.init_transactions(WAIT)
    older.begin_transaction()
    older.produce(topic, b"1")
    newer = make(**{"transactional.id": name})
    newer.init_transactions(WAIT)
    with pytest.raises(KafkaException) as caught:
        older.commit_transaction(WAIT)
    assert caught.value.args[0].fatal()
    with pytest.raises(KafkaException):
        older.produce(topic, b"2")
