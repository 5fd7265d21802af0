"""The shape and the forms of the Dags of orders."""

from __future__ import annotations

import copy
from contextlib import nullcontext

import pytest


def tasks_in_order(dag):
    return [one.task_id for one in dag.topological_sort()]


def test_events_are_loaded_before_the_executions_that_answer_them_one_run_at_a_time(dags):
    dag = dags["orders_load"]
    assert tasks_in_order(dag) == ["load_events", "load_executions"]
    assert (dag.max_active_runs, dag.catchup) == (1, False)
    [asset] = dag.get_task("load_executions").outlets
    assert asset.uri == "feedline://orders/current"


def test_the_books_are_looked_at_after_all_of_the_day_is_loaded(dags):
    dag = dags["orders_reconcile"]
    assert tasks_in_order(dag) == ["load_events", "load_executions", "reconcile"]
    assert dag.get_task("reconcile").trigger_rule == "all_success"


@pytest.mark.parametrize(
    ("dag_id", "conf", "accepted"),
    [
        ("orders_reconcile", {}, True),
        ("orders_reconcile", {"business_date": "2026-11-20"}, True),
        ("orders_reconcile", {"business_date": "20.11.2026"}, False),
        ("orders_bulk_test", {"count": 5000, "rate": 250}, True),
        ("orders_bulk_test", {"funds": 101}, False),
        ("orders_bulk_test", {"count": 0}, False),
        ("orders_recover", {"since": "2026-11-20T14:05:00-05:00"}, True),
        ("orders_recover", {}, False),
        ("orders_recover", {"since": "2026-11-20T14:05:00-05:00", "engine": "localhost"}, False),
    ],
)
def test_forms_refuse_what_a_run_could_not_use(dags, dag_id, conf, accepted):
    from airflow.sdk.exceptions import ParamValidationError

    params = copy.deepcopy(dags[dag_id].params)
    with nullcontext() if accepted else pytest.raises(ParamValidationError):
        params.update(conf)
        params.validate()


def test_a_recovery_begins_with_a_dry_run_and_takes_points_in_time_with_a_zone_only(dags):
    from feedline.errors import ConfigurationError
    from feedline_airflow.order_steps import window_of

    dag = dags["orders_recover"]
    assert dag.params["dry_run"] is True
    assert dag.max_active_runs == 1
    window = window_of({"since": "2026-11-20T14:05:00-05:00", "until": None, "order": ""})
    assert (window.start.isoformat(), window.end, window.order_id) == ("2026-11-20T14:05:00-05:00", None, None)
    with pytest.raises(ConfigurationError, match="time zone"):
        window_of({"since": "2026-11-20T14:05:00"})


def test_each_attempt_of_a_bulk_test_is_found_again_by_a_name_of_its_own(dags):
    from datetime import UTC, datetime
    from types import SimpleNamespace

    from feedline_airflow.order_steps import bulk_test_of

    dag = dags["orders_bulk_test"]
    assert tasks_in_order(dag) == ["enter", "check"]
    run = SimpleNamespace(run_after=datetime(2026, 11, 20, 14, 5, tzinfo=UTC))
    test = bulk_test_of({"params": dict(dag.params), "dag_run": run, "ti": SimpleNamespace(try_number=1)})
    again = bulk_test_of({"params": dict(dag.params), "dag_run": run, "ti": SimpleNamespace(try_number=2)})
    assert again.lives.client != test.lives.client
    assert (test.lives.client, test.count, test.rate) == ("bulk-test-20261120T140500-1", 1000, 100)
    assert (test.lives.mix, test.lives.amend, test.lives.cancel) == (
        {"EQUITY": 70, "OPTION": 20, "MUTUAL_FUND": 10}, 0.2, 0.1,
    )  # fmt: skip
