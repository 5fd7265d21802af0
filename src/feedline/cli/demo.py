"""`feedline demo`: one whole EOD day on the local stack, from made-up files to checked tables, through Airflow."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from feedline.batch.control_file import control_path, read_control_file
from feedline.catalog import Catalog, load_catalog
from feedline.cli.output import (
    FAILED,
    INCOMPLETE,
    format_option,
    print_json,
    print_table,
    progress,
    say,
    tell_activation,
)
from feedline.cli.run_progress import feed_seconds, follow_run
from feedline.cli.stack import home_option
from feedline.datagen import generate_day
from feedline.errors import ConfigurationError
from feedline.local.airflow import airflow_login
from feedline.local.airflow_api import AirflowApi, TaskState
from feedline.local.stack import AIRFLOW, ServiceStatus, StackConfig, status, up
from feedline.settings import Settings
from feedline.warehouse.connection import Session, open_warehouse
from feedline.warehouse.deliveries import COMPLETE, DeliveryRow, deliveries_of

PROVISION, EOD = "ihub_provision", "ihub_eod"
NEW_YORK = ZoneInfo("America/New_York")
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class FeedResult:
    """One line of the table at the end. raw_mb: megabytes of source before compression; seconds: in Airflow, from the
    start of the feed's first task to the end of its last."""

    feed: str
    files: int
    source_records: int
    messages: int
    loaded: int
    errors: int
    raw_mb: float
    seconds: float | None
    complete: bool


def latest_weekday(now: datetime) -> date:
    """The last weekday before today in New York: the latest date whose files a custodian has sent."""
    day = now.astimezone(NEW_YORK).date() - timedelta(days=1)
    while day.weekday() >= SATURDAY:
        day -= timedelta(days=1)
    return day


@click.command(
    epilog="""\b
Examples:
  feedline demo
  feedline demo --funds 500 --business-date 2026-11-20
  feedline demo --format json""",
)
@click.option("--funds", type=click.IntRange(1, 5000), default=50, show_default=True, help="Funds to make files for.")
@click.option(
    "--business-date",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day the data are for.  [default: the latest weekday before today in New York]",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed makes another day.")
@home_option
@format_option
@click.pass_context
def demo(
    context: click.Context, *, funds: int, business_date: datetime | None, seed: int, home: Path, output_format: str
) -> None:
    """Run one whole EOD day on the local stack.

    Starts the stack if it is not up, makes the day's files, lets Airflow provision topics, schemas and tables and run
    the EOD cycle, and shows what each feed came to. What runs stays up. The same command again changes no row.
    """
    day = business_date.date() if business_date else latest_weekday(datetime.now(NEW_YORK))
    _check_project(Path.cwd())
    began = time.monotonic()
    with _interruptible(home):
        settings = up(StackConfig(home=home), say)
        services = status(home)
        catalog = load_catalog(settings.catalog)
        with _compiling():
            _make_files(catalog, settings, day, funds, seed)
        api = AirflowApi(_address(services), *airflow_login(home.resolve() / AIRFLOW))
        state, _ = _run(api, PROVISION, {})
        if state != "success":
            context.exit(FAILED)
        _, groups = _run(api, EOD, {"business_date": day.isoformat()})
        results = _results(catalog, settings, day, groups)
    seconds = time.monotonic() - began
    if output_format == "json":
        print_json({"business_date": day, "funds": funds, "seconds": round(seconds, 1), "feeds": results})
    else:
        _print_results(results, day, funds, seconds)
        _print_services(home, services)
    if not all(result.complete for result in results):
        context.exit(INCOMPLETE)


def _check_project(folder: Path) -> None:
    if not (folder / "dags").is_dir():
        raise ConfigurationError(
            "the demo runs the Dags of a checkout: call it in the project's folder", file=str(folder / "dags")
        )


@contextmanager
def _interruptible(home: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        running = [service.title for service in status(home) if service.running]
        say(
            f"\ninterrupted; still running: {', '.join(running)}. `make stop` ends it, `make demo` goes on from here."
            if running
            else "\ninterrupted; nothing runs."
        )
        raise SystemExit(130) from None


@contextmanager
def _compiling() -> Iterator[None]:
    """Compiles the codec meanwhile: the first tasks would each do it for themselves otherwise, at once."""
    code = "from feedline.batch.warm_up import compile_kernels; compile_kernels()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as compiler:
        try:
            yield
        except BaseException:
            compiler.kill()
            raise


def _address(services: list[ServiceStatus]) -> str:
    [address] = [service.address for service in services if service.name == AIRFLOW]
    assert address is not None
    return address


def _make_files(catalog: Catalog, settings: Settings, day: date, funds: int, seed: int) -> None:
    say(f"making the files of {funds} funds for {day}")
    with progress("files", total=funds * len(catalog.feeds), unit="funds of feeds") as advance:
        generate_day(
            catalog,
            business_date=day,
            funds=funds,
            seed=seed,
            out=settings.landing,
            progress=lambda _feed, _done, _total: advance(1),
        )


def _run(api: AirflowApi, dag: str, conf: Mapping[str, Any]) -> tuple[str, dict[str, dict[str, list[TaskState]]]]:
    """Runs a Dag to its end; its state and its task instances by feed. Raises ConfigurationError when there is none."""
    api.await_dag(dag)
    run = api.trigger(dag, dict(conf))
    say(f"running {dag}: {api.run_address(dag, run)}")
    state, groups = follow_run(api, dag, run)
    if state != "success":
        failed = sorted(
            f"{group}.{name}" if group else name
            for group, steps in groups.items()
            for name, tasks in steps.items()
            if any(task.state == "failed" for task in tasks)
        )
        say(f"{dag} failed at {', '.join(failed)}: the tasks' logs say why, {api.run_address(dag, run)}")
    return state, groups


def _results(
    catalog: Catalog, settings: Settings, day: date, groups: Mapping[str, Mapping[str, list[TaskState]]]
) -> list[FeedResult]:
    """What the warehouse says of the deliveries whose files were made."""
    with open_warehouse(settings.warehouse) as connection:
        rows = {row.delivery_id: row for row in deliveries_of(Session(connection), day)}
    results = []
    for feed in catalog.feeds:
        control = read_control_file(control_path(settings.landing, feed, day))
        row = rows.get(control.delivery.delivery_id)
        seconds = feed_seconds(groups.get(feed, {}))
        results.append(_result(row, seconds) if row else _missing(feed, len(control.files), control.records, seconds))
    return results


def _result(row: DeliveryRow, seconds: float | None) -> FeedResult:
    return FeedResult(
        feed=row.feed,
        files=row.source_files,
        source_records=row.source_records,
        messages=row.batches,
        loaded=row.loaded_records,
        errors=row.error_records,
        raw_mb=row.raw_bytes / 1e6,
        seconds=seconds,
        complete=row.status == COMPLETE and row.source_records == row.loaded_records + row.error_records,
    )


def _missing(feed: str, files: int, records: int, seconds: float | None) -> FeedResult:
    return FeedResult(feed, files, records, 0, 0, 0, 0.0, seconds, complete=False)


def _print_results(results: list[FeedResult], day: date, funds: int, seconds: float) -> None:
    rows: list[list[Any]] = [
        [r.feed, r.files, r.source_records, r.messages, r.loaded, r.errors, r.raw_mb, r.seconds, r.complete]
        for r in results
    ]
    sums = [sum(row[column] for row in rows) for column in range(1, 7)]
    rows.append(["all", *sums, seconds, all(r.complete for r in results)])
    columns = ("feed", "files", "source records", "messages", "loaded", "errors", "raw MB", "seconds", "complete")
    click.echo()
    print_table(columns, rows, title=f"EOD {day}, {funds} funds")


def _print_services(home: Path, services: list[ServiceStatus]) -> None:
    click.echo()
    print_table(("still running", "address"), [(s.title, s.address) for s in services if s.running])
    user, password = airflow_login(home.resolve() / AIRFLOW)
    click.echo(f"\nAirflow login: user {user}, password {password}. `make stop` ends it all; the data stay.")
    tell_activation()
