"""A feed that is added to the catalogue is a feed of every Dag at its next reading, with no Python written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from feedline.catalog import default_catalog_path

ROOT = Path(__file__).parents[3]
TOPIC = "BNY.IN.PRD.IHUB.DEFAULT.DEFAULT"


@pytest.fixture
def added(tmp_path, monkeypatch):
    """The folder of added feeds of an installation whose settings name its catalogue."""
    include = tmp_path / "include"
    shutil.copytree(default_catalog_path().parent, include)
    (include / "feeds").mkdir(exist_ok=True)
    (tmp_path / "settings.json").write_text(json.dumps({"catalog": str(include / "feeds.yaml")}))
    monkeypatch.setenv("FEEDLINE_SETTINGS", str(tmp_path / "settings.json"))
    return include / "feeds"


def read_dags():
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(ROOT / "dags"), bundle_path=ROOT / "dags")


def test_an_added_feed_has_its_tasks_its_asset_and_its_place_in_every_form(added):
    (added / "loans.yaml").write_text(f"topic: {TOPIC}\n")
    dags = read_dags().dags
    assert "loans.wait_for_files" in dags["ihub_eod"].task_ids
    [asset] = dags["ihub_eod"].get_task("loans.publish").outlets
    assert asset.uri == "feedline://ihub/loans"
    assert "loans.wait_for_news" in dags["ihub_intraday"].task_ids
    for dag in ("ihub_eod", "ihub_intraday", "ihub_replay", "ihub_error_redrive"):
        assert dags[dag].params.get_param("feeds").schema["items"]["enum"][-1] == "loans", dag


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("positions", f"topic: {TOPIC}\n", "the feed positions is in feeds.yaml already"),
        ("loans", "topic: [", "the catalogue cannot be read"),
        ("loans", "title: Loans\n", "wrong or missing entry: 'topic'"),
    ],
)
def test_an_entry_that_cannot_be_used_is_the_dag_file_s_import_error_and_names_its_file(added, name, text, said):
    (added / f"{name}.yaml").write_text(text)
    errors = read_dags().import_errors
    [error] = [text for file, text in errors.items() if "ihub_eod" in file]
    assert said in error
