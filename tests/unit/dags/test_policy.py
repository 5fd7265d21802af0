"""What every Dag of the house has, whoever writes it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DAG_FILES = sorted((ROOT / "dags").glob("*.py"))
HEAVY = (
    "confluent_kafka",
    "pyarrow",
    "snowflake.connector",
    "fastavro",
    "numba",
    "numpy",
    "pandas",
    "duckdb",
)
# What of Feedline tells a Dag file which feeds there are, and no more.
LIGHT = {"feedline", "feedline.catalog_files"}


def test_every_dag_file_is_imported_without_an_error_and_holds_the_dag_it_is_named_after(dags):
    assert sorted(dags) == [file.stem for file in DAG_FILES]


def test_reading_the_dags_loads_no_client_library_and_no_work_of_feedline():
    program = (
        "import importlib, json, sys\n"
        f"sys.path[:0] = [{str(ROOT / 'dags')!r}, {str(ROOT / 'plugins')!r}]\n"
        f"for name in {[file.stem for file in DAG_FILES]!r}: importlib.import_module(name)\n"
        "ours = [name for name in sys.modules if name.partition('.')[0] == 'feedline']\n"
        f"print(json.dumps([*(name for name in {HEAVY!r} if name in sys.modules), *(set(ours) - {LIGHT!r})]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("file", DAG_FILES, ids=lambda file: file.stem)
def test_a_dag_file_defines_no_function_and_no_class(file):
    nodes = ast.walk(ast.parse(file.read_text()))
    assert [node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)] == []


def test_every_dag_says_what_it_does_and_runs_by_the_exchange_s_clock_without_catching_up(dags):
    for dag in dags.values():
        assert dag.doc_md, dag.dag_id
        assert dag.description, dag.dag_id
        assert dag.tags, dag.dag_id
        assert dag.catchup is False, dag.dag_id
        assert dag.max_active_runs <= 3, dag.dag_id
        if dag.timetable.can_be_scheduled:
            # Of a schedule of times and assets the part that knows times.
            clock = getattr(dag.timetable, "timetable", dag.timetable)
            assert str(clock.timezone) == "America/New_York", dag.dag_id


def test_every_field_of_a_form_is_typed_titled_and_described(dags):
    fields = [(dag.dag_id, name, dag.params.get_param(name)) for dag in dags.values() for name in dag.params]
    assert fields
    for dag_id, name, field in fields:
        assert field.schema.get("type"), (dag_id, name)
        assert field.schema.get("title"), (dag_id, name)
        assert field.description, (dag_id, name)


def test_every_task_is_owned_limited_in_time_and_tried_again_only_when_that_can_help(dags):
    from feedline_airflow.retry_policy import RetryUnlessTerminal

    for task in (task for dag in dags.values() for task in dag.tasks):
        assert task.owner == "ihub-operations", task.task_id
        assert task.retries >= 3, task.task_id
        assert task.retry_exponential_backoff, task.task_id
        assert isinstance(task.retry_policy, RetryUnlessTerminal), task.task_id
        assert task.execution_timeout, task.task_id


def test_only_what_airflow_has_to_know_is_loaded_when_it_starts():
    known = {"feedline_plugin.py"}
    ignored = (ROOT / "plugins" / ".airflowignore").read_text().split("\n")
    found = [path for path in (ROOT / "plugins").iterdir() if path.name[0] not in "._"]
    assert {f"{path.name}/**" if path.is_dir() else path.name for path in found} - known <= set(ignored)
