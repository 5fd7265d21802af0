"""Which messages on a shared topic are no feed's, and whose load looks for them."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from confluent_kafka import Message

from feedline.batch.error_record import Origin, place_id, refused_message
from feedline.batch.headers import AVRO, MANIFEST
from feedline.catalog import default_catalog_path, load_catalog
from feedline.consumer.error_topic import error_id
from feedline.errors import RetriableError, UnknownFeedError
from feedline.producer.error_report import ErrorReporter
from feedline.settings import Settings
from feedline.strays import find_strays, reads_all

TOPIC = "BNY.IN.PRD.IHUB.DEFAULT.DEFAULT"


@pytest.fixture
def include(tmp_path):
    """The shipped catalogue, to be changed."""
    return shutil.copytree(default_catalog_path().parent, tmp_path / "include")


@pytest.fixture
def settings(include):
    return Settings(
        kafka={"bootstrap.servers": "nowhere:1"},
        registry={},
        warehouse={},
        landing=include,
        catalog=include / "feeds.yaml",
    )


@pytest.fixture
def positions(settings):
    return load_catalog(settings.catalog).feed("positions")


def message(feed=None, kind=AVRO, offset=0, **headers):
    named = {"feed": feed, "contentType": kind, **headers}
    pairs = [(name, value.encode()) for name, value in named.items() if value is not None]
    return Message(topic=TOPIC, partition=3, offset=offset, value=b"\x00\xff", headers=pairs)


def add_feed(include, name, topic=TOPIC):
    entry = f"title: New\ntopic: {topic}\nschema: schemas/positions.avsc\nvolume: {{rows: 1, kilobytes: 1}}\n"
    (include / "feeds").mkdir(exist_ok=True)
    (include / "feeds" / f"{name}.yaml").write_text(entry, encoding="utf-8")


def test_what_names_no_feed_of_the_topic_is_a_stray_and_other_feeds_messages_are_not(settings, positions):
    find = find_strays(settings, positions)
    nameless, misspelt = message(), message("postions")
    bare = Message(topic=TOPIC, partition=0, offset=1, value=None, headers=None)
    others = [message("positions"), message("accounts"), message("postions", MANIFEST)]
    assert find([nameless, *others, misspelt, bare]) == [nameless, misspelt, bare]
    assert find(others) == []


def test_a_feed_that_was_added_while_a_service_runs_is_known(settings, positions, include):
    find = find_strays(settings, positions)
    new = message("new_one")
    assert find([new]) == [new]
    add_feed(include, "new_one")
    assert find([new]) == []


def test_a_feed_of_another_topic_is_a_stray_on_this_one(settings, positions, include):
    topics = "topics:\n"
    text = settings.catalog.read_text(encoding="utf-8").replace(topics, f"{topics}  ELSEWHERE: {{partitions: 1}}\n", 1)
    settings.catalog.write_text(text, encoding="utf-8")
    add_feed(include, "one_of_elsewhere", topic="ELSEWHERE")
    assert load_catalog(settings.catalog).feed("one_of_elsewhere").topic.name == "ELSEWHERE"
    lost = message("one_of_elsewhere")
    assert find_strays(settings, positions)([lost]) == [lost]


def test_while_the_catalogue_cannot_be_read_nothing_is_called_a_stray(settings, positions):
    good = settings.catalog.read_text(encoding="utf-8")
    find, misspelt = find_strays(settings, positions), message("postions")
    settings.catalog.write_text("feeds: [", encoding="utf-8")
    assert find([message("positions")]) == []
    with pytest.raises(RetriableError, match="mend the catalogue"):
        find([misspelt])
    settings.catalog.write_text(good, encoding="utf-8")
    assert find([misspelt]) == [misspelt]


def test_of_a_feed_outside_the_catalogue_only_a_nameless_message_is_a_stray(settings, positions):
    own = replace(positions, topic=replace(positions.topic, name="TEST.OWN"))
    nameless = message()
    assert find_strays(settings, own)([message("whoever"), nameless]) == [nameless]


def test_one_feed_of_a_topic_reads_all_of_it(settings):
    catalog = load_catalog(settings.catalog)
    assert [name for name, feed in catalog.feeds.items() if reads_all(settings, feed)] == ["account_dimensions"]


class Sender:
    """In place of the client: keeps what is sent."""

    def __init__(self):
        self.sent = []

    def send(self, value, headers):
        self.sent.append((value, headers))

    def settle(self):
        pass


BATCH = {
    "correlationId": "c-1",
    "businessDate": "2026-11-20",
    "cycle": "EOD",
    "deliveryId": "d",
    "batchIndex": "0",
    "recordCount": "5",
    "sourceFile": "a.jsonl",
}


@pytest.mark.parametrize(
    ("stray", "known_by"),
    [
        (message("postions", **BATCH), "c-1"),
        # Others give one correlation id to many messages: only a micro-batch's names its content.
        (message("postions", correlationId="c-1"), place_id(Origin(TOPIC, 3, 7))),
        (message(), place_id(Origin(TOPIC, 3, 7))),
    ],
)
def test_a_stray_goes_to_the_error_topic_as_it_is_under_an_id_that_stays_the_same(settings, positions, stray, known_by):
    stray = Message(topic=TOPIC, partition=3, offset=7, value=stray.value(), headers=stray.headers())
    reporter, sender = ErrorReporter(settings.kafka, positions), Sender()
    reporter._sender = sender
    reporter.forward_strays([stray])
    reporter.forward_strays([stray])
    [(value, headers), again] = sender.sent
    assert (value, headers[: len(stray.headers())]) == (stray.value(), stray.headers())
    assert dict(headers)["errorCode"] == b"UnknownFeedError"
    assert error_id(headers) == error_id(again[1]) == known_by


def test_an_error_is_known_by_what_refused_it_and_not_by_what_its_message_says():
    own = [("correlationId", b"c-1"), ("errorId", b"theirs")]
    error = UnknownFeedError("no feed")
    assert error_id([*own, *refused_message(Origin(TOPIC, 3, 7), error)]) == place_id(Origin(TOPIC, 3, 7))
    assert error_id([*own, *refused_message(Origin(TOPIC, 3, 7), error, "ours")]) == "ours"
