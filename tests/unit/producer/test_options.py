from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from feedline.batch.identity import Cycle
from feedline.catalog import default_catalog_path, load_catalog
from feedline.errors import ConfigurationError, UnknownFeedError
from feedline.kafka.config import MAX_MESSAGE_BYTES
from feedline.producer.feed_record import LaneReader
from feedline.producer.options import split_settings

CATALOG = load_catalog()
TOPIC = CATALOG.topics()[0].name
DAY = date(2026, 11, 20)


def reader(**settings):
    given = {"feedline.catalog": CATALOG, "feedline.business.date": "2026-11-20", **settings}
    return LaneReader(split_settings(given).options, "session-1")


def lane(headers=(), feed="positions", partition=-1, **settings):
    return reader(**settings).lane(TOPIC, feed, list(headers), partition)[0]


def test_settings_of_ours_never_reach_librdkafka():
    settings = split_settings(
        {
            "bootstrap.servers": "b",
            "feedline.catalog": str(default_catalog_path()),
            "feedline.registry": "http://r",
            "schema.registry.basic.auth.user.info": "u:p",
            "feedline.cycle": "EOD",
            "feedline.register.schemas": "true",
        }
    )
    assert not [key for key in settings.client if key.startswith(("feedline", "schema"))]
    assert settings.options.registry == {"url": "http://r", "basic.auth.user.info": "u:p"}
    assert settings.options.cycle is Cycle.EOD
    assert settings.options.register_schemas is True
    assert "u:p" not in repr(settings)


def test_feeds_are_durable_unless_the_program_asks_for_less_and_then_it_is_known_why():
    durable = split_settings({})
    assert (durable.client["acks"], durable.client["enable.idempotence"]) == ("all", True)
    assert durable.client["compression.type"] == "zstd"
    assert durable.durability_gap is None
    weak = split_settings({"request.required.acks": 1, "compression.codec": "lz4"})
    assert weak.durability_gap == "acks=1"
    assert weak.client.keys() & {"acks", "enable.idempotence", "compression.type"} == set()


def test_a_message_may_hold_a_batch_but_the_programs_own_limit_stays():
    settings = split_settings({"message.max.bytes": 5_000})
    assert settings.client["message.max.bytes"] == MAX_MESSAGE_BYTES
    assert settings.plain_message_max_bytes == 5_000
    assert (
        split_settings({"message.max.bytes": 2 * MAX_MESSAGE_BYTES}).client["message.max.bytes"]
        == 2 * MAX_MESSAGE_BYTES
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"feedline.nosuch": 1}, "no setting feedline.nosuch"),
        ({"feedline.business.date": "20261120"}, "YYYY-MM-DD"),
        ({"feedline.business.date": "today"}, "YYYY-MM-DD"),
        ({"feedline.cycle": "NIGHT"}, "EOD or INTRADAY"),
        ({"feedline.catalog": "/no/such/feeds.yaml"}, "cannot be read"),
    ],
)
def test_a_wrong_setting_is_named(wrong, said):
    with pytest.raises(ConfigurationError, match=said):
        split_settings(wrong)


def test_a_record_without_headers_belongs_to_the_sessions_delivery():
    found = lane()
    assert (found.delivery.business_date, found.delivery.cycle) == (DAY, Cycle.INTRADAY)
    assert found.delivery.delivery_id.startswith("positions-20261120-INTRADAY-")
    assert found.source_file == "session:session-1"
    assert found == lane()
    assert found.delivery != LaneReader(reader()._options, "session-2").delivery(found.feed)


def test_headers_win_over_settings():
    headers = [("businessDate", b"2026-11-19"), ("cycle", b"EOD"), ("deliveryId", b"d"), ("sourceFile", b"f")]
    found = lane(headers, **{"feedline.delivery.id": "other", "feedline.source": "other"})
    assert (found.delivery.business_date, found.delivery.cycle) == (date(2026, 11, 19), Cycle.EOD)
    assert (found.delivery.delivery_id, found.source_file) == ("d", "f")


def test_headers_copied_from_a_message_say_nothing_of_another():
    copied = [("batchIndex", b"7"), ("recordCount", b"9"), ("contentType", b"x/y")]
    assert lane(copied) == lane()


def test_own_headers_and_partitions_keep_records_apart():
    assert lane([("desk", b"east")]) != lane([("desk", b"west")])
    assert lane([("desk", b"east")]) == lane([("desk", b"east")])
    assert lane(partition=1) != lane(partition=2)


def test_the_feed_is_the_keywords_then_the_headers():
    assert lane([("feed", b"tax_lots")], feed=None).feed.name == "tax_lots"
    assert lane([("feed", b"tax_lots")], feed="positions").feed.name == "positions"
    with pytest.raises(UnknownFeedError, match="name the record's"):
        lane(feed=None)


@pytest.mark.parametrize("header", [("businessDate", b"yesterday"), ("cycle", b"NIGHT")])
def test_a_header_that_is_none_is_named(header):
    with pytest.raises(ConfigurationError, match=header[0]):
        lane([header])


def test_without_a_business_date_it_is_the_day_in_the_exchanges_zone():
    options = split_settings({}).options
    ahead, behind = replace(options, timezone="Pacific/Kiritimati"), replace(options, timezone="Etc/GMT+12")
    # 26 hours lie between the two zones, so their dates always differ.
    assert behind.today() < ahead.today()
    assert behind.today() <= options.today() <= ahead.today()
    with pytest.raises(ConfigurationError, match="time zone"):
        replace(options, timezone="Nowhere/None").today()
