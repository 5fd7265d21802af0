"""The error redrive's form: it changes nothing unless told, and names no file but one of corrections."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from datetime import date
from types import SimpleNamespace

import pytest

from feedline.catalog import default_catalog_path, load_catalog
from feedline.errors import ConfigurationError, SchemaMismatchError
from feedline.redrive import run
from feedline.redrive.plan import RedrivePlan, Refusal
from feedline.redrive.stored_error import Selection

FORM = {"file": None, "as_is": False, "feeds": ["positions"], "business_date": None, "dry_run": True}


@pytest.fixture(scope="module")
def redrive(dags):
    return dags["ihub_error_redrive"]


def test_the_form_knows_the_feeds_of_the_catalogue_and_is_a_dry_run_unless_told(redrive):
    assert set(redrive.params.get_param("feeds").schema["items"]["enum"]) == set(load_catalog().feeds)
    assert redrive.params["dry_run"] is True


def test_nothing_is_sent_before_it_is_checked_nor_loaded_before_it_is_sent(redrive):
    edges = {task.task_id: task.downstream_task_ids for task in redrive.tasks}
    assert edges == {"check": {"send"}, "send": {"settle"}, "settle": {"tell_open"}, "tell_open": set()}
    # Also when there is nothing to settle, since none of the errors fits.
    assert redrive.get_task("tell_open").trigger_rule == "none_failed"


@pytest.mark.parametrize(
    ("conf", "accepted"),
    [
        ({}, True),
        ({"as_is": True, "business_date": "2026-11-20", "feeds": ["positions"], "dry_run": False}, True),
        ({"business_date": "20.11.2026"}, False),
        ({"feeds": []}, False),
        ({"feeds": ["postions"]}, False),
        ({"file": 7}, False),
    ],
)
def test_the_form_refuses_what_a_run_could_not_use(redrive, conf, accepted):
    from airflow.sdk.exceptions import ParamValidationError

    params = copy.deepcopy(redrive.params)
    with nullcontext() if accepted else pytest.raises(ParamValidationError):
        params.update(conf)
        params.validate()


def test_a_run_takes_a_file_of_the_folder_of_corrections_or_the_errors_of_a_date(tmp_path):
    from feedline_airflow.redrive_steps import redrive_source

    (tmp_path / "corrections").mkdir()
    file = tmp_path / "corrections" / "corrected.jsonl"
    file.write_text("")
    assert redrive_source({**FORM, "file": "corrected.jsonl"}, tmp_path) == file.resolve()
    by_date = redrive_source({**FORM, "as_is": True, "business_date": "2026-11-20"}, tmp_path)
    assert by_date == Selection(feeds=frozenset({"positions"}), business_date=date(2026, 11, 20))


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"file": "corrected.jsonl", "as_is": True},
        {"as_is": True},
        {"file": "missing.jsonl"},
        {"file": "../secret.jsonl"},
        {"file": "/etc/passwd"},
        {"file": "link.jsonl"},
    ],
)
def test_a_form_that_says_too_little_too_much_or_names_another_file_is_refused(tmp_path, form):
    from feedline_airflow.redrive_steps import redrive_source

    (tmp_path / "corrections").mkdir()
    (tmp_path / "secret.jsonl").write_text("")
    (tmp_path / "corrections" / "corrected.jsonl").write_text("")
    (tmp_path / "corrections" / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    with pytest.raises(ConfigurationError):
        redrive_source({**FORM, **form}, tmp_path)


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """The last steps of a run that sends errors as they are, with what they hand each other; `found` is the plan."""
    from feedline_airflow import redrive_steps, warehouse_hook

    handed = {}
    ti = SimpleNamespace(
        xcom_push=lambda key, value: handed.update({("send", key): value}),
        xcom_pull=lambda task_ids, key: handed.get((task_ids, key)),
    )
    form = {**FORM, "as_is": True, "business_date": "2026-11-20", "dry_run": False}
    dag_run = SimpleNamespace(triggering_user_name="ada", run_id="manual")
    given = SimpleNamespace(steps=redrive_steps, found=RedrivePlan())
    monkeypatch.setattr(run, "check", lambda *_: given.found)
    monkeypatch.setattr(run, "send", lambda *_, **__: [])
    context = {"params": form, "ti": ti, "dag_run": dag_run}
    monkeypatch.setattr(redrive_steps, "get_current_context", lambda: context)
    settings = SimpleNamespace(landing=tmp_path, catalog=default_catalog_path())
    monkeypatch.setattr(redrive_steps, "task_settings", lambda: settings)
    hook = SimpleNamespace(session=lambda: nullcontext(None))
    monkeypatch.setattr(warehouse_hook, "WarehouseHook", lambda: hook)
    return given


def test_a_run_that_leaves_errors_open_fails_and_names_them(steps):
    named = Refusal("e1", "no number", field_path="price"), Refusal("e2", "no fund")
    steps.found = RedrivePlan(refused=named)
    steps.steps.send()
    # Put right meanwhile, they fit, and are as open as they were: nobody has sent them.
    steps.found = RedrivePlan()
    with pytest.raises(SchemaMismatchError, match=r"2 errors stay open.*price: no number \(e1\); no fund \(e2\)"):
        steps.steps.tell_open()
    steps.steps.send()
    steps.steps.tell_open()


def test_a_dry_run_leaves_nothing_open_that_was_to_be_sent(steps):
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(AirflowSkipException):
        steps.steps.tell_open()
