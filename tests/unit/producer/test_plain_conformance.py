"""On a topic that carries no feed, our class and confluent-kafka's own cannot be told apart. No broker is needed here:
every test runs against both classes, and promises what the original does."""

from __future__ import annotations

import copy
import logging
import pickle

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from feedline import FeedProducer

TOPIC = "plain"
NOWHERE = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}


class Heard:
    """Delivery reports in order."""

    def __init__(self):
        self.reports = []

    def __call__(self, error, message):
        self.reports.append((error, message))

    @property
    def codes(self):
        return [None if error is None else error.code() for error, _ in self.reports]

    @property
    def values(self):
        return [message.value() for _, message in self.reports]


@pytest.fixture(params=[Producer, FeedProducer], ids=["confluent", "feedline"])
def kind(request):
    return request.param


@pytest.fixture
def make(kind):
    made = []

    def maker(*args, **kwargs):
        producer = kind(*args, **kwargs)
        made.append(producer)
        return producer

    yield maker
    for producer in made:
        try:
            producer.purge()
            producer.flush(1)
        except (RuntimeError, KafkaException):
            pass


def test_both_are_producers(make):
    assert isinstance(make(NOWHERE), Producer)
    assert bool(make(NOWHERE)) is True


def test_every_public_name_of_the_original_is_there_and_takes_the_same_keywords():
    assert {name for name in dir(Producer) if not name.startswith("_")} <= set(dir(FeedProducer))


@pytest.mark.parametrize(
    ("args", "kwargs", "error"),
    [
        ((5,), {}, TypeError),
        ((None,), {}, TypeError),
        ((NOWHERE, NOWHERE), {}, TypeError),
        (({**NOWHERE, "nosuch": 1},), {}, KafkaException),
        (({**NOWHERE, "on_delivery": 5},), {}, KafkaException),
        (({**NOWHERE, "error_cb": 5},), {}, TypeError),
        (({**NOWHERE, "acks": "many"},), {}, KafkaException),
        (({**NOWHERE, "message.max.bytes": "many"},), {}, KafkaException),
    ],
)
def test_a_wrong_configuration_is_refused_alike(make, args, kwargs, error):
    with pytest.raises(error):
        make(*args, **kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((NOWHERE,), {}),
        ((), NOWHERE),
        ((NOWHERE,), {"acks": 1}),
        ((NOWHERE,), {"enable.idempotence": False}),
        (({**NOWHERE, "default.topic.config": {"acks": 1}},), {}),
        (({**NOWHERE, "queuing.strategy": "lifo"},), {}),
        (({**NOWHERE, "max.in.flight": 100},), {}),
        (({**NOWHERE, "compression.codec": "gzip", "compression.level": 9},), {}),
        ((NOWHERE,), {"logger": logging.getLogger("theirs")}),
        (({**NOWHERE, "logger": logging.getLogger("theirs")},), {}),
        (({**NOWHERE, "stats_cb": print, "throttle_cb": print, "error_cb": print},), {}),
        (({**NOWHERE, "client.id": "c", "partitioner": "murmur2_random", "retries": 0},), {}),
        (({**NOWHERE, "queue.buffering.max.messages": 0},), {}),
    ],
)
def test_a_configuration_that_the_original_takes_is_taken(make, args, kwargs):
    make(*args, **kwargs).produce(TOPIC, b"x")


def test_the_callers_configuration_is_left_as_it_was(make):
    given = {**NOWHERE, "delivery.report.only.error": True, "on_delivery": print}
    before = copy.copy(given)
    make(given)
    assert given == before


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((None,), {}),
        ((5, b"x"), {}),
        ((TOPIC, 5), {}),
        ((TOPIC, {"a": 1}), {}),
        ((TOPIC, bytearray(b"x")), {}),
        ((TOPIC, memoryview(b"x")), {}),
        ((TOPIC, b"x", 5), {}),
        ((TOPIC, b"x"), {"partition": None}),
        ((TOPIC, b"x"), {"partition": "1"}),
        ((TOPIC, b"x"), {"timestamp": None}),
        ((TOPIC, b"x"), {"headers": 5}),
        ((TOPIC, b"x"), {"headers": "ab"}),
        ((TOPIC, b"x"), {"headers": [("a",)]}),
        ((TOPIC, b"x"), {"headers": [("a", 5)]}),
        ((TOPIC, b"x"), {"headers": {"a": 5}}),
        ((TOPIC, b"x"), {"headers": (("a", b"b"),)}),
        ((TOPIC, b"x"), {"nosuch": 1}),
        ((TOPIC, b"x", None, 0, None, None, 0, None, 9), {}),
    ],
)
def test_a_wrong_argument_is_a_type_error(make, args, kwargs):
    with pytest.raises(TypeError):
        make(NOWHERE).produce(*args, **kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((TOPIC,), {}),
        ((TOPIC, None, None), {}),
        ((TOPIC, "é", "ü"), {}),
        ((TOPIC, b"x", b"k", 0, print, None, 5, [("a", "b")]), {}),
        ((), {"topic": TOPIC, "value": b"x", "key": "k", "headers": {"a": None, "b": "c", "d": b"e"}}),
        ((TOPIC, b"x"), {"headers": [("a", b"b"), ("a", None)]}),
        ((TOPIC, b"x"), {"headers": None, "callback": None, "on_delivery": None}),
        ((TOPIC, b"x"), {"headers": []}),
        ((TOPIC, b"x"), {"callback": print}),
    ],
)
def test_every_form_of_an_argument_is_accepted(make, args, kwargs):
    producer = make(NOWHERE)
    assert producer.produce(*args, **kwargs) is None
    # Error events of the client count too.
    assert len(producer) >= 1


def test_a_full_queue_is_a_buffer_error_and_a_poll_makes_room(make):
    producer = make({**NOWHERE, "queue.buffering.max.messages": 2})
    producer.produce(TOPIC, b"1")
    producer.produce(TOPIC, b"2")
    with pytest.raises(BufferError, match="Queue full"):
        producer.produce(TOPIC, b"3")
    producer.purge()
    producer.poll(1)
    producer.produce(TOPIC, b"3")
    assert len(producer) >= 1


@pytest.mark.parametrize("limit", [None, 2_000, 3_000_000])
@pytest.mark.parametrize("headers", [None, [("a", b"b" * 100), ("é", "c")]])
def test_the_largest_message_is_the_same_to_the_byte(kind, make, limit, headers):
    conf = NOWHERE if limit is None else {**NOWHERE, "message.max.bytes": limit}
    original = Producer(conf)
    largest = _largest(original, headers, limit or 1_000_000)
    assert _largest(make(conf), headers, limit or 1_000_000) == largest
    original.purge()
    original.poll(1)


def _largest(producer, headers, limit):
    low, high = limit - 1_000, limit
    while low < high:
        middle = (low + high + 1) // 2
        try:
            producer.produce(TOPIC, b"x" * middle, "k", headers=headers)
            low = middle
        except KafkaException as error:
            assert error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE  # noqa: PT017
            high = middle - 1
        producer.purge()
        producer.poll(0.01)
    return low


def test_purged_messages_are_reported_as_purged(make):
    heard = Heard()
    producer = make(NOWHERE)
    for value in (b"1", b"2"):
        producer.produce(TOPIC, value, b"k", on_delivery=heard)
    producer.purge()
    assert heard.reports == []
    producer.flush(5)
    assert heard.codes == [KafkaError._PURGE_QUEUE] * 2
    assert heard.values == [b"1", b"2"]


def test_an_unreachable_broker_is_a_message_time_out_in_the_callback(make):
    heard = Heard()
    producer = make({**NOWHERE, "message.timeout.ms": 300, "linger.ms": 0, "on_delivery": heard})
    producer.produce(TOPIC, b"v", b"k")
    assert producer.flush(0.01) >= 1
    producer.flush(10)
    [(error, message)] = heard.reports
    assert error.code() == KafkaError._MSG_TIMED_OUT
    assert message.error() == error
    assert (message.topic(), message.value(), message.key()) == (TOPIC, b"v", b"k")


def test_errors_of_the_client_reach_the_callers_callback(make):
    heard = []
    producer = make({**NOWHERE, "error_cb": heard.append})
    producer.poll(5)
    assert heard
    assert all(isinstance(error, KafkaError) for error in heard)


def test_an_exception_of_a_callback_surfaces_from_poll_and_the_others_are_still_served(make):
    served = []

    def fails(error, message):
        served.append(message.value())
        raise ValueError(message.value())

    producer = make(NOWHERE)
    for value in (b"1", b"2", b"3"):
        producer.produce(TOPIC, value, on_delivery=fails)
    producer.purge()
    for _ in range(3):
        with pytest.raises(ValueError, match="b'"):
            producer.poll(1)
    producer.poll(0)
    assert served == [b"1", b"2", b"3"]


def test_an_exception_of_a_callback_surfaces_from_flush(make):
    def fails(error, message):
        raise ValueError(message.value())

    producer = make(NOWHERE)
    producer.produce(TOPIC, b"1", on_delivery=fails)
    producer.purge()
    with pytest.raises(ValueError, match="b'1'"):
        producer.flush(5)


def test_callback_wins_over_on_delivery_and_both_over_the_configured_one(make):
    configured, callback, on_delivery = Heard(), Heard(), Heard()
    producer = make({**NOWHERE, "on_delivery": configured})
    producer.produce(TOPIC, b"1", callback=callback, on_delivery=on_delivery)
    producer.produce(TOPIC, b"2", on_delivery=on_delivery)
    producer.produce(TOPIC, b"3")
    producer.purge()
    producer.flush(5)
    assert (callback.values, on_delivery.values, configured.values) == ([b"1"], [b"2"], [b"3"])


def test_a_batch_takes_what_fits_and_marks_the_rest(make):
    first, shared = Heard(), Heard()
    producer = make({**NOWHERE, "queue.buffering.max.messages": 3})
    messages = [
        {"value": b"1", "callback": first},
        {"value": b"x" * 2_000_000},
        {"value": "2", "key": "k", "partition": 0},
        {"value": None},
        {"value": b"4"},
    ]
    assert producer.produce_batch(TOPIC, messages, on_delivery=shared) == 3
    errors = [message["_error"].code() if "_error" in message else None for message in messages]
    assert errors == [None, KafkaError.MSG_SIZE_TOO_LARGE, None, None, KafkaError._QUEUE_FULL]
    producer.purge()
    producer.flush(5)
    assert first.values == [b"1"]
    assert sorted(value or b"" for value in shared.values) == [b"", b"2"]


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ((), TypeError),
        (None, TypeError),
        ([5], TypeError),
        ([{"value": 5}], TypeError),
        ([{"value": b"a"}, {"key": 5}], TypeError),
        ([{"value": b"a", "timestamp": 5}], NotImplementedError),
    ],
)
def test_a_batch_of_the_wrong_form_is_refused(make, messages, error):
    with pytest.raises(error):
        make(NOWHERE).produce_batch(TOPIC, messages)


def test_an_empty_batch_is_nothing(make):
    assert make(NOWHERE).produce_batch(TOPIC, []) == 0


def test_a_closed_producer_says_so(make):
    producer = make(NOWHERE)
    assert producer.close() is True
    assert producer.close() is True
    assert len(producer) == 0
    for call in (lambda: producer.produce(TOPIC, b"x"), lambda: producer.poll(0), lambda: producer.flush(0)):
        with pytest.raises(RuntimeError, match="closed"):
            call()
    with pytest.raises(RuntimeError):
        producer.list_topics(timeout=0.1)
    with pytest.raises(RuntimeError):
        producer.purge()


def test_leaving_its_context_closes_it(make):
    with make(NOWHERE) as producer:
        assert isinstance(producer, Producer)
    with pytest.raises(RuntimeError, match="closed"):
        producer.produce(TOPIC, b"x")


@pytest.mark.parametrize("timeout", [None, "1"])
@pytest.mark.parametrize("method", ["poll", "flush"])
def test_a_timeout_that_is_no_number_is_a_type_error(make, method, timeout):
    with pytest.raises(TypeError):
        getattr(make(NOWHERE), method)(timeout)


@pytest.mark.parametrize(
    "method", ["init_transactions", "begin_transaction", "commit_transaction", "abort_transaction"]
)
def test_transactions_need_an_id(make, method):
    with pytest.raises(KafkaException) as caught:
        getattr(make(NOWHERE), method)()
    assert caught.value.args[0].code() == KafkaError._NOT_CONFIGURED


def test_outside_a_transaction_a_transactional_producer_produces_nothing(make):
    with pytest.raises(KafkaException) as caught:
        make({**NOWHERE, "transactional.id": "t"}).produce(TOPIC, b"x")
    assert caught.value.args[0].code() == KafkaError._STATE


def test_it_is_made_once(make):
    producer = make(NOWHERE)
    with pytest.raises(RuntimeError):
        producer.__init__(NOWHERE)


def test_it_cannot_be_pickled(make):
    with pytest.raises(TypeError):
        pickle.dumps(make(NOWHERE))
