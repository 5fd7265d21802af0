"""The whole local stack, Airflow included, and a small day of files, for the whole session."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from feedline.batch.control_file import control_path, read_control_file
from feedline.catalog import Feed, load_catalog
from feedline.datagen import generate_day
from feedline.local.airflow import airflow_login
from feedline.local.airflow_api import FINISHED, AirflowApi
from feedline.local.stack import StackConfig, down, status, up
from feedline.settings import Settings
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.layout import feed_layout
from feedline.warehouse.names import DATA_SCHEMA, data_table

ROOT = Path(__file__).parents[2]
BUSINESS_DATE = date(2026, 10, 23)
FUNDS = 2


class Airflow(AirflowApi):
    """The REST API of the stack's Airflow as its user, with what tests look at besides."""

    def __init__(self, url: str, user: str, password: str) -> None:
        super().__init__(url, user, password)
        self.url, self.user, self.password = url, user, password
        self.call = self._call

    def finish(self, dag: str, run: str, *, within_s: float = 400) -> str:
        """Waits for the end of a run; its state."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            state = self.run_state(dag, run)
            if state in FINISHED:
                return state
            time.sleep(1)
        raise AssertionError(f"{run} is still {state}: {self.unfinished(dag, run)}")

    def fail(self, dag: str, **conf: Any) -> str:
        """Starts a run and waits for it; its id when it failed."""
        run = self.trigger(dag, conf)
        assert self.finish(dag, run) == "failed", run
        return run

    def run(self, dag: str, **conf: Any) -> str:
        """Starts a run and waits for it; its id when it succeeded."""
        run = self.trigger(dag, conf)
        state = self.finish(dag, run)
        assert state == "success", (run, self.unfinished(dag, run))
        return run

    def instances(self, dag: str, run: str) -> list[dict[str, Any]]:
        """Every task instance of a run, with all that Airflow tells of it."""
        return self.call("GET", f"{self._run(dag, run)}/taskInstances?limit=500")["task_instances"]

    def task(self, dag: str, run: str, task: str) -> dict[str, Any]:
        """The one instance of a task, mapped or not."""
        [found] = [instance for instance in self.instances(dag, run) if instance["task_id"] == task]
        return found

    def log(self, dag: str, run: str, task: str, *, attempt: int = 1, map_index: int = -1) -> str:
        """What a task logged, every line with all its fields."""
        path = f"{self._run(dag, run)}/taskInstances/{task}/logs/{attempt}?map_index={map_index}"
        return "\n".join(map(str, self.call("GET", path)["content"]))

    def await_state(self, dag: str, run: str, task: str, *states: str, within_s: float = 120) -> dict[str, Any]:
        """Waits until the one instance of a task is in one of these states; the instance."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            found = [instance for instance in self.instances(dag, run) if instance["task_id"] == task]
            if len(found) == 1 and found[0]["state"] in states:
                return found[0]
            time.sleep(0.5)
        raise AssertionError(f"{task} is not {' or '.join(states)}: {self.unfinished(dag, run)}")

    def unfinished(self, dag: str, run: str) -> dict[str, str]:
        """Every task that has not succeeded, with its state."""
        return {t["task_id"]: t["state"] for t in self.instances(dag, run) if t["state"] not in ("success", "skipped")}


# A busy machine draws Airflow's first page in tens of seconds.
PATIENCE_MS = 120_000


@dataclass(frozen=True)
class Stack:
    home: Path
    settings: Settings
    airflow: Airflow


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("e2e").resolve()
    try:
        settings = up(StackConfig(home=home, project=ROOT))
        [url] = [service.address for service in status(home) if service.name == "airflow"]
        airflow = Airflow(str(url), *airflow_login(home / "airflow"))
        for dag in ("ihub_provision", "ihub_eod"):
            airflow.await_dag(dag)
        yield Stack(home, settings, airflow)
    finally:
        down(home)


def send_files(
    stack: Stack, business_date: date, feeds: Collection[str] = tuple(load_catalog().feeds)
) -> dict[str, int]:
    """Generates a small day into the landing folder; the records that each feed's control file announces."""
    landing = stack.settings.landing
    generate_day(load_catalog(), business_date=business_date, funds=FUNDS, seed=1, out=landing, feeds=feeds)
    return {feed: read_control_file(control_path(landing, feed, business_date)).records for feed in feeds}


@pytest.fixture(scope="session")
def provisioned(stack: Stack) -> Stack:
    stack.airflow.run("ihub_provision")
    return stack


@pytest.fixture(scope="session")
def source_records(provisioned: Stack) -> dict[str, int]:
    """Records of each feed in the files of `BUSINESS_DATE`, which have landed."""
    return send_files(provisioned, BUSINESS_DATE)


@pytest.fixture(scope="session")
def day(source_records: dict[str, int]) -> date:
    """A business date whose files have landed, on a provisioned cluster and warehouse."""
    return BUSINESS_DATE


@pytest.fixture(scope="session")
def first_run(stack: Stack, day: date) -> str:
    """The end-of-day run that took every feed of `BUSINESS_DATE` into its tables: that of the browser, or its own."""
    runs = stack.airflow.call("GET", "/api/v2/dags/ihub_eod/dagRuns?state=success&limit=100")["dag_runs"]
    whole = [run["dag_run_id"] for run in runs if run["conf"].get("business_date") == day.isoformat()]
    return whole[0] if whole else stack.airflow.run("ihub_eod", business_date=day.isoformat())


@pytest.fixture(scope="session")
def send(provisioned: Stack) -> Callable[..., dict[str, int]]:
    """Lands the files of another business date, of some feeds or all."""
    return functools.partial(send_files, provisioned)


@pytest.fixture(scope="session")
def row_counts(stack: Stack) -> Callable[..., dict[str, int]]:
    """Rows of every table of the data schema now, of one business date or of all."""

    def count(business_date: date | None = None) -> dict[str, int]:
        where = f"WHERE \"_BUSINESS_DATE\" = '{business_date}'" if business_date else ""
        with open_warehouse(stack.settings.warehouse) as connection, connection.cursor() as cursor:
            tables = cursor.execute(
                "SELECT TABLE_NAME FROM FEEDLINE.INFORMATION_SCHEMA.TABLES "
                "WHERE TABLE_SCHEMA = 'IHUB' AND TABLE_TYPE = 'BASE TABLE'"
            ).fetchall()
            return {
                table: cursor.execute(f'SELECT COUNT(*) FROM FEEDLINE.IHUB."{table}" {where}').fetchone()[0]
                for (table,) in tables
            }

    return count


@pytest.fixture(scope="module")
def page(browser, stack):
    """A signed-in user's page."""
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(stack.airflow.url)
    page.get_by_label("Username").fill(stack.airflow.user)
    page.get_by_label("Password").fill(stack.airflow.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/auth/login" not in url)
    return page


@pytest.fixture(scope="module")
def take(page):
    """Takes a picture for the documentation, when `FEEDLINE_SCREENSHOTS` names its folder."""
    folder = os.environ.get("FEEDLINE_SCREENSHOTS")

    def picture(name: str) -> None:
        if folder:
            page.screenshot(path=Path(folder) / name)

    return picture


@pytest.fixture(scope="session")
def content(stack: Stack) -> Callable[..., dict[str, list[Any]]]:
    """Every row of a feed's tables, of one business date, in order: all values that came with the records, and the
    ids that they go by; not when they were loaded, nor where on the topic they lay."""

    def read(
        feed: Feed, business_date: date, *, schema: str = DATA_SCHEMA, settings: Settings = stack.settings
    ) -> dict[str, list[Any]]:
        found = {}
        with open_warehouse(settings.warehouse) as connection, connection.cursor() as cursor:
            for table in feed_layout(feed).tables():
                item = ['"_ITEM_INDEX"'] if table.array else []
                ids = ['"_CORRELATION_ID"', '"_RECORD_INDEX"', *item]
                columns = [*ids, '"_DELIVERY_ID"', *(f'"{column.name}"' for column in table.columns)]
                found[table.name] = cursor.execute(
                    f"SELECT {', '.join(columns)} FROM {data_table(table.name, schema)} "
                    f"WHERE \"_BUSINESS_DATE\" = '{business_date}' ORDER BY {', '.join(ids)}"
                ).fetchall()
        return found

    return read
