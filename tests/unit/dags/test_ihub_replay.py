"""The shape and the form of the replay Dag."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from feedline.catalog import default_catalog_path, load_catalog
from feedline.consumer.ranges import LoadRange
from feedline.errors import ConfigurationError, ValidationFailedError
from feedline.replay import run
from feedline.replay.report import DeliveryFinding, ReplayReport
from feedline.replay.selection import Mode


@pytest.fixture(scope="module")
def dag(dags):
    return dags["ihub_replay"]


def test_the_form_offers_the_catalogue_s_feeds_and_begins_with_a_dry_run_that_changes_nothing(dag):
    assert set(dag.params.get_param("feeds").schema["items"]["enum"]) == set(load_catalog().feeds)
    assert dag.params["dry_run"] is True
    assert dag.params["mode"] == "verify"


@pytest.mark.parametrize(
    ("conf", "accepted"),
    [
        ({"business_date": "2026-11-20"}, True),
        ({"offsets": ["3:100-199"], "feeds": ["positions"]}, True),
        ({"since": "2026-11-20T18:30:00-05:00", "mode": "repair"}, True),
        ({"offsets": ["3:100"]}, False),
        ({"mode": "delete"}, False),
        ({"business_date": "20.11.2026"}, False),
        ({"feeds": []}, False),
    ],
)
def test_the_form_refuses_what_a_run_could_not_use(dag, conf, accepted):
    from airflow.sdk.exceptions import ParamValidationError

    params = copy.deepcopy(dag.params)
    with nullcontext() if accepted else pytest.raises(ParamValidationError):
        params.update(conf)
        params.validate()


def test_the_form_becomes_a_selection_and_an_empty_one_is_refused(dag):
    from feedline_airflow.replay_steps import options_of, selected

    params = dict(dag.params)
    with pytest.raises(ConfigurationError, match="nothing is selected"):
        selected(params)
    params |= {"offsets": ["3:100-199"], "since": "2026-11-20T18:30:00-05:00", "mode": "rebuild", "schema": "side"}
    [span] = selected(params).offsets
    assert (span.partition, span.start, span.end) == (3, 100, 200)
    assert (options_of(params).schema, options_of(params).dry_run) == ("SIDE", True)


@pytest.mark.parametrize(
    ("mode", "dry_run", "fails"),
    [("verify", True, True), ("verify", False, True), ("repair", True, False), ("repair", False, True)],
)
def test_damage_that_is_not_mended_fails_a_verify_also_as_the_dry_run_that_the_form_begins_with(
    dag, monkeypatch, mode, dry_run, fails
):
    from feedline_airflow import replay_steps, warehouse_hook

    params = dict(dag.params) | {"mode": mode, "dry_run": dry_run, "business_date": "2026-11-20"}
    found = DeliveryFinding("accounts-1", None, 3, 30, {"whole": 2, "missing": 1}, checked=True)
    report = ReplayReport("accounts", Mode(mode), dry_run, LoadRange("accounts", "topic", ()), 3, (found,))
    monkeypatch.setattr(run, "replay", lambda *_: report)
    monkeypatch.setattr(replay_steps, "get_current_context", lambda: {"params": params})
    monkeypatch.setattr(replay_steps, "task_settings", lambda: SimpleNamespace(catalog=default_catalog_path()))
    monkeypatch.setattr(warehouse_hook, "WarehouseHook", lambda: SimpleNamespace(session=lambda: nullcontext(None)))
    with pytest.raises(ValidationFailedError, match="do not agree") if fails else nullcontext():
        assert replay_steps.replay_feed("accounts")["right"] is False
