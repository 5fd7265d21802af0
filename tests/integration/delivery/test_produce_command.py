"""`feedline produce` against real services: what it prints and how it exits."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from click.testing import CliRunner

from feedline.catalog import default_catalog_path
from feedline.cli.produce import produce


@pytest.fixture
def run(settings, catalog, tmp_path, monkeypatch):
    """Runs the command with settings and a catalogue of this test alone."""
    shipped = default_catalog_path()
    document = yaml.safe_load(shipped.read_text())
    (topic,) = catalog.topics()
    document["topics"] = {topic.name: {"partitions": topic.partitions}}
    for feed in document["feeds"].values():
        feed["topic"] = topic.name
    shutil.copytree(shipped.parent / "schemas", tmp_path / "schemas")
    (tmp_path / "feeds.yaml").write_text(yaml.safe_dump(document))
    places = {name: dict(getattr(settings, name)) for name in ("kafka", "registry", "warehouse")}
    (tmp_path / "settings.json").write_text(
        json.dumps(
            {
                **places,
                "landing": str(settings.landing),
                "catalog": str(tmp_path / "feeds.yaml"),
                "replication_factor": settings.replication_factor,
            }
        )
    )
    monkeypatch.setenv("FEEDLINE_SETTINGS", str(tmp_path / "settings.json"))

    def invoke(*arguments: str):
        return CliRunner().invoke(produce, ["--business-date", "2026-11-20", *arguments])

    return invoke


def test_deliveries_are_produced_once_and_counted(run, bulk):
    bulk.land("accounts", bulk.text(bulk.lines("accounts")))
    bulk.land("positions", bulk.text([*bulk.lines("positions"), b"bad"]))
    first = run("--feeds", "accounts,positions", "--format", "json")
    assert first.exit_code == 0, first.output
    counted = {one["feed"]: one for one in json.loads(first.stdout)["feeds"]}
    assert counted["positions"]["source_records"] == counted["positions"]["records"] + 1
    assert (counted["positions"]["error_records"], counted["positions"]["status"]) == (1, "produced")

    again = json.loads(run("--feeds", "positions", "--format", "json").stdout)["feeds"]
    assert [one["status"] for one in again] == ["already on the topic"]
    anyway = json.loads(run("--feeds", "positions", "--again", "--format", "json").stdout)["feeds"]
    assert [one["status"] for one in anyway] == ["produced"]
    assert anyway[0]["delivery_id"] == counted["positions"]["delivery_id"]


def test_a_feed_that_is_refused_does_not_keep_the_others_from_being_produced(run, bulk):
    bulk.land("accounts", bulk.text(bulk.lines("accounts")), records=999)
    bulk.land("positions", bulk.text(bulk.lines("positions")))
    result = run("--feeds", "accounts,positions", "--format", "json")
    assert result.exit_code == 4
    assert "the control file says 999" in result.stderr
    assert [one["status"] for one in json.loads(result.stdout)["feeds"]] == ["refused", "produced"]


def test_a_delivery_that_has_not_arrived_is_told_in_one_line(run):
    result = run("--feeds", "positions")
    assert result.exit_code == 4
    assert result.stderr.count("\n") == 1
    assert "has not arrived" in result.stderr
