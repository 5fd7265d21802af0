"""A catalogue that is wrong is refused when it is read, and the message says where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from feedline.catalog import Catalog, ErrorLimit, Topic, load_catalog
from feedline.errors import ConfigurationError, UnknownFeedError

SCHEMA = {
    "type": "record",
    "name": "Thing",
    "namespace": "t",
    "businessKeys": ["id"],
    "fields": [{"name": "id", "type": "string"}],
}


def catalog_with(folder: Path, *, record: Any = SCHEMA, **feed: Any) -> Catalog:
    (folder / "thing.avsc").write_text(json.dumps(record))
    entry = {"title": "Things", "topic": "t", "schema": "thing.avsc", "volume": {"rows": 1, "kilobytes": 1}, **feed}
    (folder / "feeds.yaml").write_text(yaml.safe_dump({"topics": {"t": {}}, "feeds": {"things": entry}}))
    return load_catalog(folder / "feeds.yaml")


def test_a_small_catalogue_is_read(tmp_path: Path) -> None:
    feed = catalog_with(tmp_path, batch={"max_records": 7}, fund_field="id").feed("things")
    assert (feed.full_name, feed.business_keys, feed.table, feed.batch.max_records) == ("t.Thing", ("id",), "THINGS", 7)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"topic": "other"}, "other"),
        ({"serialization": "csv"}, "serialization"),
        ({"colour": "red"}, "colour"),
        ({"control_totals": ["amount"]}, "'amount'"),
        ({"fund_field": "fund"}, "'fund'"),
        ({"batch": {"group_by": "fund"}}, "'fund'"),
        ({"batch": {"max_records": 0}}, "max_records"),
        ({"batch": {"target_bytes": 12}}, "target_bytes"),
        ({"errors": {"max_ratio": 2}}, "max_ratio"),
        ({"volume": {"rows": 0, "kilobytes": 1}}, "volume"),
        ({"schema": "missing.avsc"}, "missing.avsc"),
        ({"sla": {"arrived_by": 1080}}, "1080 is no clock time"),
        ({"sla": {"arrived_by": "19:00", "loaded_by": "18:00"}}, "must follow one another"),
        ({"sla": {"produced_by": "18:00"}}, "produced_by"),
        ({"sla": "18:00"}, "arrived_by"),
        ({"sla": {"fresh_within_hours": 0}}, "fresh_within_hours"),
        ({"sla": {"intraday": {"within_minutes": 30}}}, "within_minutes, from and until"),
        ({"sla": {"intraday": {"within_minutes": 0, "from": "07:00", "until": "17:00"}}}, "more than 0"),
        ({"sla": {"intraday": {"within_minutes": "30", "from": "07:00", "until": "17:00"}}}, "write a number"),
        ({"sla": {"intraday": {"within_minutes": 30, "from": "17:00", "until": "07:00"}}}, "from must be before until"),
    ],
)
def test_a_wrong_entry_of_a_feed_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        catalog_with(tmp_path, **changes)


def test_a_schema_without_business_keys_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="businessKeys"):
        catalog_with(tmp_path, record={**SCHEMA, "businessKeys": []})


def test_a_topic_that_could_never_reach_its_in_sync_minimum_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="min_insync_replicas"):
        Topic("t", replication_factor=1, min_insync_replicas=2)


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "feeds.yaml"
    file.write_text("feeds: [")
    with pytest.raises(ConfigurationError) as caught:
        load_catalog(file)
    assert caught.value.where.file == str(file)


def test_an_unknown_feed_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownFeedError, match="it has: things"):
        catalog_with(tmp_path).feed("thing")


def test_a_feed_stops_only_beyond_both_its_limits() -> None:
    limit = ErrorLimit(max_count=10, max_ratio=0.01)
    assert not limit.exceeded(bad=10, read=20)
    assert not limit.exceeded(bad=50, read=10_000)
    assert limit.exceeded(bad=101, read=10_000)
