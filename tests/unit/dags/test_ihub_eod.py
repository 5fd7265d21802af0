"""The shape of the end-of-day Dag."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

from feedline.catalog import load_catalog

STEPS = ("wait_for_files", "produce", "wait_for_delivery", "plan_ranges", "load", "validate", "publish")


@pytest.fixture(scope="module")
def eod(dags):
    return dags["ihub_eod"]


def test_the_dag_s_feeds_are_those_of_the_catalogue(eod):
    feeds = list(load_catalog().feeds)
    assert {task.task_id.partition(".")[0] for task in eod.tasks} == {*feeds, "choose_feeds"}
    assert eod.params.get_param("feeds").schema["items"]["enum"] == feeds


def test_every_feed_goes_through_the_same_steps_and_waits_for_no_other_feed(eod):
    edges = {task.task_id: task.downstream_task_ids for task in eod.tasks}
    chosen = edges.pop("choose_feeds")
    feeds = [task_id.removesuffix(".wait_for_files") for task_id in chosen]
    assert len(edges) == len(feeds) * len(STEPS)
    for feed in feeds:
        of_feed = {f"{feed}.{step}" for step in STEPS}
        for step in of_feed:
            assert edges[step] <= of_feed
        assert edges[f"{feed}.wait_for_files"] == {f"{feed}.produce"}
        assert f"{feed}.wait_for_delivery" in edges[f"{feed}.produce"]
        assert edges[f"{feed}.wait_for_delivery"] == {f"{feed}.plan_ranges"}
        assert f"{feed}.load" in edges[f"{feed}.plan_ranges"]
        assert edges[f"{feed}.load"] == {f"{feed}.validate"}
        assert edges[f"{feed}.validate"] == {f"{feed}.publish"}
        assert edges[f"{feed}.publish"] == set()


def test_publishing_is_the_only_step_with_an_asset_and_every_feed_has_its_own(eod):
    outlets = {task.task_id: [asset.uri for asset in task.outlets] for task in eod.tasks if task.outlets}
    assert outlets == {f"{feed}.publish": [f"feedline://ihub/{feed}"] for feed in load_catalog().feeds}


def test_a_scheduled_run_is_due_on_weekday_evenings_in_new_york_whatever_the_season(eod):
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.base import TimeRestriction

    timetable = DagSerialization.from_dict(DagSerialization.to_dict(eod)).timetable
    due = []
    last = None
    restriction = TimeRestriction(earliest=_utc(2026, 10, 29), latest=None, catchup=True)
    for _ in range(4):
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        due.append(info.run_after)
        last = info.data_interval
    # New York leaves daylight saving time on Sunday, 1 November 2026.
    assert due == [
        _utc(2026, 10, 29, 22, 30),
        _utc(2026, 10, 30, 22, 30),
        _utc(2026, 11, 2, 23, 30),
        _utc(2026, 11, 3, 23, 30),
    ]


def _utc(*moment):
    import pendulum

    return pendulum.instance(datetime(*moment, tzinfo=UTC))


@pytest.mark.parametrize(
    ("conf", "accepted"),
    [
        ({}, True),
        ({"business_date": "2026-11-20", "feeds": ["positions"], "dry_run": True}, True),
        ({"business_date": "20.11.2026"}, False),
        ({"feeds": []}, False),
        ({"feeds": ["postions"]}, False),
        ({"dry_run": "perhaps"}, False),
    ],
)
def test_the_form_refuses_what_a_run_could_not_use(eod, conf, accepted):
    from airflow.sdk.exceptions import ParamValidationError

    params = copy.deepcopy(eod.params)
    with nullcontext() if accepted else pytest.raises(ParamValidationError):
        params.update(conf)
        params.validate()


def test_the_end_of_day_validates_intraday_deliveries_that_were_closed_after_the_last_pass(monkeypatch, tmp_path):
    from feedline import cycle_intraday
    from feedline.errors import ValidationFailedError
    from feedline.monitoring import watch
    from feedline.settings import Settings
    from feedline.warehouse import validate
    from feedline.warehouse.report import Check, ValidationReport
    from feedline_airflow import eod_steps, sla_steps, warehouse_hook

    end = SimpleNamespace(
        delivery_id="the end of day",
        business_date=date(2026, 11, 20),
        source_records=3,
        records=3,
        error_records=0,
        produced_at=datetime(2026, 11, 20, 23, tzinfo=UTC),
    )
    reports = {name: ValidationReport(name, "accounts", (Check("rows", "", 3, 3),)) for name in ("end", "small")}
    asked = []

    def closed(_settings, _connection, _feed, business_date):
        asked.append(business_date)
        return (reports["small"],)

    monkeypatch.setattr(eod_steps, "_feed", load_catalog().feed)
    monkeypatch.setattr(eod_steps, "announced", lambda *_: end)
    monkeypatch.setattr(eod_steps, "task_settings", lambda: Settings({}, {}, {}, tmp_path))
    monkeypatch.setattr(eod_steps, "get_current_context", lambda: {"dag_run": SimpleNamespace(run_type="manual")})
    monkeypatch.setattr(warehouse_hook, "WarehouseHook", lambda: SimpleNamespace(session=lambda: nullcontext(None)))
    monkeypatch.setattr(watch, "record_arrival", lambda *_: None)
    monkeypatch.setattr(sla_steps, "watch_after_validation", lambda: None)
    monkeypatch.setattr(validate, "validate_delivery", lambda *_, **__: reports["end"])
    monkeypatch.setattr(cycle_intraday, "validate_closed", closed)
    assert eod_steps.validate("accounts", {})["delivery_id"] == "the end of day"
    assert asked == [end.business_date]
    reports["small"] = ValidationReport("small", "accounts", (Check("rows", "", 3, 2),))
    with pytest.raises(ValidationFailedError, match=r"rows: 2 instead of 3.*small"):
        eod_steps.validate("accounts", {})
