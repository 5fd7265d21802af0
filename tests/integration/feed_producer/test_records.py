"""Records of feeds, published one by one: what the program is told, and what lies on the topic."""

from __future__ import annotations

import io
import threading
import uuid
from collections import Counter
from datetime import date
from decimal import Decimal

import fastavro
import pytest
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from feedline import FeedProducer
from feedline.batch.codec import codec_for
from feedline.batch.json_batch import decode_json_batch
from feedline.batch.row_check import check_record
from feedline.batch.wire import PREFIX_BYTES
from feedline.catalog import BatchRule
from feedline.errors import (
    ConfigurationError,
    RecordTooLargeError,
    RegistryUnavailableError,
    SchemaMismatchError,
    UnknownFeedError,
)
from feedline.kafka.registry import registry_client
from feedline.producer import record_path

DAY = date(2026, 11, 20)
WAIT = 30
POSITIONS = {"feed": "positions", "businessDate": DAY.isoformat()}


def test_every_record_is_reported_and_any_avro_reader_reads_it_exactly(feeds, lines, stack, outcomes):
    heard = outcomes()
    producer = feeds.producer()
    records = lines("positions")
    for line in records:
        producer.produce(feeds.topic, line, key="theirs", headers=POSITIONS, on_delivery=heard)
    assert len(producer) == len(records)
    assert producer.flush(WAIT) == 0

    assert heard.errors == [None] * len(records)
    assert [message.value() for message in heard.messages] == records
    first = heard.messages[0]
    assert isinstance(first, Message)
    assert (first.topic(), first.key(), first.error()) == (feeds.topic, b"theirs", None)
    assert first.headers() == [("feed", b"positions"), ("businessDate", DAY.isoformat().encode())]
    assert first.offset() >= 0
    assert first.latency() > 0

    landed = feeds.read()
    assert 0 < len(landed) < len(records)
    assert {m.key for m in landed} == {None}
    assert {(m.partition, m.offset) for m in landed} == {(m.partition(), m.offset()) for m in heard.messages}
    expected = [check_record(line, feeds.feed("positions").schema) for line in records]
    confluent = AvroDeserializer(registry_client(stack.settings.registry))
    context = SerializationContext(feeds.topic, MessageField.VALUE)
    by_confluent, by_fastavro = [], []
    for message in sorted(landed, key=lambda m: int(m.headers["batchIndex"])):
        found = confluent(message.value, context)["records"]
        assert len(found) == int(message.headers["recordCount"])
        by_confluent += found
        body = io.BytesIO(message.value[PREFIX_BYTES:])
        by_fastavro += fastavro.schemaless_reader(body, feeds.schema_of(message), None)["records"]
        assert body.read() == b""
    assert by_confluent == expected
    assert by_fastavro == expected


def test_a_message_says_what_it_holds(feeds, lines):
    producer = feeds.producer(**{"feedline.cycle": "EOD", "feedline.source": "desk"})
    for line in lines("positions")[:3]:
        producer.produce(feeds.topic, line, headers=[*POSITIONS.items(), ("traceparent", b"00-a-b-01")])
    producer.flush(WAIT)
    [message] = feeds.read()
    said = message.headers
    assert (said["feed"], said["businessDate"], said["cycle"]) == ("positions", DAY.isoformat(), "EOD")
    assert (said["recordCount"], said["batchIndex"], said["sourceFile"]) == ("3", "0", "desk")
    assert (said["contentType"], said["traceparent"]) == ("application/avro", "00-a-b-01")
    assert said["deliveryId"].startswith("positions-20261120-EOD-")
    uuid.UUID(said["correlationId"])


def test_values_may_be_given_as_text_or_as_a_mapping(feeds, lines, outcomes):
    heard = outcomes()
    producer = feeds.producer()
    line = lines("positions")[0]
    values = check_record(line, feeds.feed("positions").schema)
    producer.produce(feeds.topic, line.decode(), feed="positions", on_delivery=heard)
    producer.produce(feeds.topic, values, feed="positions", on_delivery=heard)
    assert producer.flush(WAIT) == 0
    assert feeds.records() == [values, values]
    # A mapping is reported as JSON that means the same record.
    assert check_record(heard.messages[1].value(), feeds.feed("positions").schema) == values


def test_a_record_that_does_not_fit_is_refused_at_once_with_feed_and_field(feeds, lines):
    producer = feeds.producer()
    good = lines("positions")[0]
    values = dict(check_record(good, feeds.feed("positions").schema))
    producer.produce(feeds.topic, good, headers=POSITIONS)
    with pytest.raises(SchemaMismatchError) as caught:
        producer.produce(feeds.topic, {**values, "quantity": 1.5}, headers=POSITIONS)
    assert (caught.value.where.feed, caught.value.where.field) == ("positions", "quantity")
    assert isinstance(caught.value, KafkaException)
    assert caught.value.args[0].code() == KafkaError._VALUE_SERIALIZATION
    for bad in (b"", b"{", b"[]", None, b"\xef\xbb\xbf{}", {**values, "nosuch": 1}):
        with pytest.raises(SchemaMismatchError):
            producer.produce(feeds.topic, bad, headers=POSITIONS)
    limit = feeds.feed("positions").max_record_bytes
    with pytest.raises(RecordTooLargeError):
        producer.produce(feeds.topic, good + b" " * limit, headers=POSITIONS)
    assert len(producer) == 1
    assert producer.flush(WAIT) == 0
    assert feeds.records() == [values]


def test_a_feed_is_named_or_the_only_one(feeds, lines):
    producer = feeds.producer()
    line = lines("positions")[0]
    for headers in (None, {}, {"feed": "nosuch"}):
        with pytest.raises(UnknownFeedError):
            producer.produce(feeds.topic, line, headers=headers)
    with pytest.raises(UnknownFeedError):
        producer.produce("another", line, feed="positions")
    alone = feeds.only("positions")
    producer = alone.producer()
    producer.produce(alone.topic, line)
    assert producer.flush(WAIT) == 0
    assert len(alone.records()) == 1


def test_feeds_and_deliveries_never_share_a_message(feeds, lines):
    producer = feeds.producer()
    positions, transactions = lines("positions")[:30], lines("transactions")[:30]
    for number, (position, transaction) in enumerate(zip(positions, transactions, strict=True)):
        day = date(2026, 11, 20 + number % 2).isoformat()
        producer.produce(feeds.topic, position, headers={"feed": "positions", "businessDate": day})
        producer.produce(feeds.topic, transaction, headers=[("feed", "transactions"), ("deliveryId", f"d{number % 3}")])
    assert producer.flush(WAIT) == 0
    counted = Counter()
    for message in feeds.read():
        found = feeds.decode(message)
        assert len(found) == int(message.headers["recordCount"])
        counted[message.headers["feed"], message.headers["deliveryId"]] += len(found)
        expected = "position_id" if message.headers["feed"] == "positions" else "transaction_id"
        assert all(expected in record for record in found)
    assert sorted(counted.values()) == [10, 10, 10, 15, 15]


def test_a_batch_is_sent_at_its_age_while_the_program_does_nothing(feeds, lines):
    producer = feeds.producer()
    producer.produce(feeds.topic, lines("positions")[0], headers=POSITIONS)
    assert len(feeds.read(at_least=1)) == 1
    assert producer.poll(WAIT) == 1


def test_a_producer_that_is_dropped_leaves_no_thread(feeds, lines):
    def closers():
        return [thread for thread in threading.enumerate() if thread.name == "feedline-closer"]

    producer = feeds.producer()
    producer.produce(feeds.topic, lines("positions")[0], headers=POSITIONS)
    mine = closers()[-1]
    producer.flush(WAIT)
    del producer
    mine.join(WAIT)
    assert not mine.is_alive()


def test_a_partition_that_is_asked_for_is_honoured(feeds, lines, outcomes):
    heard = outcomes()
    producer = feeds.producer()
    for number, line in enumerate(lines("positions")[:6]):
        producer.produce(feeds.topic, line, partition=number % 2 + 4, headers=POSITIONS, on_delivery=heard)
    assert producer.flush(WAIT) == 0
    assert sorted(message.partition() for message in heard.messages) == [4] * 3 + [5] * 3
    assert sorted(m.partition for m in feeds.read()) == [4, 5]
    with pytest.raises(KafkaException) as caught:
        producer.produce(feeds.topic, lines("positions")[0], partition=999, headers=POSITIONS)
    assert caught.value.args[0].code() == KafkaError._UNKNOWN_PARTITION


def test_headers_of_the_programs_own_travel_with_their_records(feeds, lines):
    producer = feeds.producer()
    for number, line in enumerate(lines("positions")[:6]):
        own = ("desk", b"east" if number % 2 else b"west")
        producer.produce(feeds.topic, line, headers=[*POSITIONS.items(), own, ("empty", None)])
    assert producer.flush(WAIT) == 0
    found = {m.headers["desk"]: int(m.headers["recordCount"]) for m in feeds.read()}
    assert found == {"east": 3, "west": 3}


def test_a_record_with_its_own_correlation_id_travels_alone_under_it(feeds, lines):
    for _ in range(2):
        producer = feeds.producer()
        for number, line in enumerate(lines("positions")[:3]):
            producer.produce(feeds.topic, line, headers={**POSITIONS, "correlationId": f"trade-{number}"})
        assert producer.flush(WAIT) == 0
    found = Counter(m.headers["correlationId"] for m in feeds.read())
    assert found == {"trade-0": 2, "trade-1": 2, "trade-2": 2}
    with pytest.raises(ConfigurationError, match="at most 36 characters"):
        producer.produce(feeds.topic, line, headers={**POSITIONS, "correlationId": "t" * 37})


def test_correlation_ids_of_two_batches_differ_and_of_two_sessions_too(feeds, lines):
    for _ in range(2):
        producer = feeds.producer()
        for line in lines("positions")[:2]:
            producer.produce(feeds.topic, line, headers={**POSITIONS, "deliveryId": "d"})
            producer.flush(WAIT)
    assert len({m.headers["correlationId"] for m in feeds.read()}) == 4


def test_a_json_feed_is_its_own_text(feeds, lines):
    as_json = feeds.changed("positions", serialization="json")
    producer = as_json.producer(**{"feedline.register.schemas": True})
    records = lines("positions")[:5]
    for line in records:
        producer.produce(as_json.topic, line, headers=POSITIONS)
    producer.produce(as_json.topic, check_record(records[0], as_json.feed("positions").schema), headers=POSITIONS)
    assert producer.flush(WAIT) == 0
    [message] = as_json.read()
    assert message.headers["contentType"] == "application/json"
    codec = codec_for(as_json.feed("positions").schema)
    batch = decode_json_batch([message.value[PREFIX_BYTES:]], [6], codec)
    quantities = [check_record(line, codec)["quantity"] for line in [*records, records[0]]]
    assert batch.column("quantity").to_pylist() == quantities
    assert isinstance(quantities[0], Decimal)


def test_len_and_the_queue_limit_count_records(feeds, lines, outcomes):
    heard = outcomes()
    slow = feeds.changed("positions", batch=BatchRule(max_age_s=600, max_records=10_000))
    producer = slow.producer(**{"queue.buffering.max.messages": 5})
    for line in lines("positions")[:5]:
        producer.produce(slow.topic, line, headers=POSITIONS, on_delivery=heard)
    assert len(producer) == 5
    with pytest.raises(BufferError, match="Queue full"):
        producer.produce(slow.topic, lines("positions")[5], headers=POSITIONS)
    producer.purge()
    assert heard.messages == []
    assert producer.poll(WAIT) == 5
    assert [error.code() for error in heard.errors] == [KafkaError._PURGE_QUEUE] * 5
    assert [message.value() for message in heard.messages] == lines("positions")[:5]
    assert len(producer) == 0
    producer.produce(slow.topic, lines("positions")[5], headers=POSITIONS, on_delivery=heard)
    assert producer.flush(WAIT) == 0
    assert heard.errors[5] is None


def test_an_exception_of_one_records_callback_surfaces_and_the_others_are_still_told(feeds, lines):
    told = []

    def fails(error, message):
        told.append(message.value())
        raise ValueError("theirs")

    producer = feeds.producer()
    for line in lines("positions")[:3]:
        producer.produce(feeds.topic, line, headers=POSITIONS, on_delivery=fails)
    with pytest.raises(ValueError, match="theirs"):
        producer.flush(WAIT)
    assert told == lines("positions")[:3]
    assert len(producer) == 0


def test_callbacks_may_produce(feeds, lines, outcomes):
    heard = outcomes()
    first, second = lines("positions")[:2]

    def again(error, message):
        producer.produce(feeds.topic, second, headers=POSITIONS, on_delivery=heard)

    producer = feeds.producer()
    producer.produce(feeds.topic, first, headers=POSITIONS, on_delivery=again)
    assert producer.flush(WAIT) == 0
    assert [message.value() for message in heard.messages] == [second]


def test_a_batch_call_takes_the_good_records_and_marks_the_others(feeds, lines, outcomes):
    shared, own = outcomes(), outcomes()
    producer = feeds.producer()
    good = lines("positions")[:3]
    messages = [
        {"value": good[0]},
        {"value": b"{}"},
        {"value": good[1], "callback": own, "key": "k"},
        {"value": lines("transactions")[0], "feed": "transactions", "headers": {"businessDate": "2026-11-20"}},
        {"value": good[2], "feed": "nosuch"},
    ]
    assert producer.produce_batch(feeds.topic, messages, on_delivery=shared, feed="positions") == 3
    codes = [message["_error"].code() if "_error" in message else None for message in messages]
    assert codes == [None, KafkaError._VALUE_SERIALIZATION, None, None, KafkaError._INVALID_ARG]
    assert "position_id" in messages[1]["_error"].str()
    assert producer.flush(WAIT) == 0
    assert (len(shared.messages), len(own.messages)) == (2, 1)


def test_threads_may_share_it_and_bytes_spread_evenly(feeds, lines, outcomes):
    small = feeds.changed("positions", batch=BatchRule(max_records=3, max_age_s=5))
    heard = outcomes()
    producer = small.producer()
    records = lines("positions")[:60]

    def run():
        for line in records:
            producer.produce(small.topic, line, headers=POSITIONS, on_delivery=heard)
            producer.poll(0)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert producer.flush(WAIT) == 0
    assert heard.errors == [None] * 240
    landed = small.read()
    assert sum(int(m.headers["recordCount"]) for m in landed) == 240
    held = Counter()
    for message in landed:
        held[message.partition] += len(message.value)
    largest = max(len(message.value) for message in landed) + 400
    assert max(held.values()) - min(held[number] for number in range(8)) <= largest


def test_a_group_is_not_split_by_a_full_batch(feeds, lines):
    grouped = feeds.changed("positions", batch=BatchRule(max_records=2, max_age_s=600, group_by="account_id"))
    producer = grouped.producer()
    values = [check_record(line, grouped.feed("positions").schema) for line in lines("positions")[:2]]
    accounts = ["a", "a", "a", "b", "b", "c"]
    for number, account in enumerate(accounts):
        producer.produce(grouped.topic, {**values[number % 2], "account_id": account}, headers=POSITIONS)
    assert producer.flush(WAIT) == 0
    found = sorted([record["account_id"] for record in grouped.decode(m)] for m in grouped.read())
    assert found == [["a", "a", "a"], ["b", "b"], ["c"]]


def test_an_unreachable_broker_is_reported_to_each_record(feeds, lines, outcomes):
    heard = outcomes()
    nowhere = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0, "delivery.timeout.ms": 400, "linger.ms": 0}
    producer = feeds.producer(**nowhere)
    for line in lines("positions")[:3]:
        producer.produce(feeds.topic, line, headers=POSITIONS, on_delivery=heard)
    producer.flush(WAIT)
    assert [error.code() for error in heard.errors] == [KafkaError._MSG_TIMED_OUT] * 3
    assert [message.value() for message in heard.messages] == lines("positions")[:3]


def test_what_is_not_provisioned_is_said_at_once(feeds, lines, stack):
    line = lines("positions")[0]
    unregistered = feeds.changed("positions", title="Other", register=False)
    with pytest.raises(ConfigurationError, match="provision the feeds first"):
        unregistered.producer().produce(unregistered.topic, line, headers=POSITIONS)
    absent = feeds.absent()
    with pytest.raises(ConfigurationError, match="no such topic"):
        absent.producer().produce(absent.topic, line, headers=POSITIONS)
    unregistering = FeedProducer({**stack.settings.kafka, "feedline.catalog": feeds.catalog})
    with pytest.raises(ConfigurationError, match="set feedline"):
        unregistering.produce(feeds.topic, line, headers=POSITIONS)
    away = {"url": "http://127.0.0.1:1", "max.retries": 0}
    with pytest.raises(RegistryUnavailableError):
        feeds.producer(**{"feedline.registry": away}).produce(feeds.topic, line, headers=POSITIONS)


def test_settings_that_could_lose_a_record_refuse_feeds_but_not_plain_topics(feeds, lines):
    producer = feeds.producer(acks=1)
    with pytest.raises(ConfigurationError, match="acks=1"):
        producer.produce(feeds.topic, lines("positions")[0], headers=POSITIONS)
    producer.produce(f"{feeds.topic}.ERROR", b"x")
    assert producer.flush(WAIT) == 0


@pytest.mark.parametrize("transactional", [False, True])
def test_a_batch_that_no_broker_is_known_to_have_is_sent_again_as_it_was(
    feeds, lines, outcomes, monkeypatch, transactional
):
    unproven = iter([True])
    monkeypatch.setattr(record_path, "is_unproven", lambda *_: next(unproven, False))
    slow = feeds.changed("positions", batch=BatchRule(max_age_s=600, max_records=10_000))
    heard = outcomes()
    producer = slow.producer(**({"transactional.id": uuid.uuid4().hex} if transactional else {}))
    if transactional:
        producer.init_transactions(WAIT)
        producer.begin_transaction()
    for line in lines("positions")[:5]:
        producer.produce(slow.topic, line, headers=POSITIONS, on_delivery=heard)
    if transactional:
        producer.commit_transaction(WAIT)
    else:
        assert producer.flush(WAIT) == 0
    assert heard.errors == [None] * 5
    first, again = slow.read(at_least=2)
    # Under one correlation id: of the two one is loaded.
    assert (first.headers, first.value, first.partition) == (again.headers, again.value, again.partition)
    assert {(m.partition(), m.offset()) for m in heard.messages} == {(again.partition, again.offset)}
