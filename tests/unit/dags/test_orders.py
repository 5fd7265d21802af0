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
    ],
)
def test_forms_refuse_what_a_run_could_not_use(dags, dag_id, conf, accepted):
    from airflow.sdk.exceptions import ParamValidationError

    params = copy.deepcopy(dags[dag_id].params)
    with nullcontext() if accepted else pytest.raises(ParamValidationError):
        params.update(conf)
        params.validate()
