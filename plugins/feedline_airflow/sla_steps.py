"""The look at the day's promises: by the clock, after each validation, and when a cycle has missed its deadline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

from feedline_airflow.run_links import EOD_DAG, INTRADAY_DAG, dag_link, run_link, scheduled_run_id

if TYPE_CHECKING:
    from feedline.monitoring.watch import Told

logger = logging.getLogger(__name__)

# A run of the schedule is about today; every other kind may be about any date.
SCHEDULED = "scheduled"


def watch_slas() -> dict[str, int]:
    """Tells what is late or has recovered; how many alerts of each kind were made.

    Raises WarehouseUnavailableError and LostRaceError, after which trying again is safe, and when everything is told
    why a topic did not answer.
    """
    task_instance = get_current_context()["ti"]
    told = _watch(_link_of_date(task_instance), lambda day: _has_run(task_instance, day))
    made = {kind: sum(1 for one in told if one.alert.kind == kind) for kind in ("late", "recovered")}
    if not told:
        logger.info("Nothing is late that has not been told, and nothing that was late has recovered since")
    return made


def watch_after_validation() -> None:
    """As `watch_slas`, at once when a feed is done instead of minutes later; a validation never fails for it."""
    from feedline.errors import FeedlineError

    run = get_current_context()["dag_run"]
    try:
        _watch(lambda _: run_link(run.dag_id, run.run_id))
    except FeedlineError as error:
        logger.warning("The SLAs were not looked at: %s; `ihub_sla` will", error)


async def cycle_overdue(context: Mapping[str, Any]) -> None:
    """The deadline callback of `ihub_eod`: tells that a scheduled run did not end in time.

    Airflow calls it for every run that has a logical date, and a backfilled past date is overdue as soon as it starts:
    only runs of the schedule are told.
    """
    run = context["dag_run"]
    if run["run_type"] != SCHEDULED:
        logger.info("%s is a %s run: nobody waits for it", run["dag_run_id"], run["run_type"])
        return
    # The warehouse's client blocks, and the triggerer has other waits to serve.
    await asyncio.to_thread(_tell_overdue, run, context["deadline"]["deadline_time"])


def _tell_overdue(run: Mapping[str, Any], deadline: datetime | str) -> None:
    from feedline.catalog import load_catalog
    from feedline.monitoring.cycles import cycle_alert
    from feedline.monitoring.topic_answers import TopicAnswers
    from feedline.monitoring.watch import observe, tell
    from feedline.warehouse.connection import Session
    from feedline_airflow.alert_channels import alert_channels
    from feedline_airflow.run_options import exchange_date
    from feedline_airflow.task_settings import task_settings
    from feedline_airflow.warehouse_hook import WarehouseHook

    settings, now = task_settings(), datetime.now(UTC)
    business_date = exchange_date(_instant(run["logical_date"]))
    feeds = list(load_catalog(settings.catalog).feeds.values())
    with WarehouseHook().session() as connection:
        times = observe(settings, connection, feeds, business_date, now=now, answers=TopicAnswers())
        link = run_link(run["dag_id"], run["dag_run_id"])
        alert = cycle_alert(business_date, _instant(deadline), times, now, link)
        tell(Session(connection), [alert] if alert else [], alert_channels(), now)


def _watch(link: Callable[[date], str | None], has_run: Callable[[date], bool] = lambda _: True) -> list[Told]:
    from feedline.catalog import load_catalog
    from feedline.catalog.business_days import is_business_day
    from feedline.monitoring.watch import watch
    from feedline_airflow.alert_channels import alert_channels
    from feedline_airflow.task_settings import task_settings
    from feedline_airflow.warehouse_hook import WarehouseHook

    settings = task_settings()
    with WarehouseHook().session() as connection:
        return watch(
            settings,
            connection,
            list(load_catalog(settings.catalog).feeds.values()),
            now=datetime.now(UTC),
            is_business_date=is_business_day,
            channels=alert_channels(),
            link=link,
            has_run=has_run,
            intraday_link=dag_link(INTRADAY_DAG),
        )


def _link_of_date(task_instance: Any) -> Callable[[date], str | None]:
    def link(business_date: date) -> str | None:
        if _has_run(task_instance, business_date):
            return run_link(EOD_DAG, scheduled_run_id(business_date))
        return dag_link(EOD_DAG)

    return link


def _has_run(task_instance: Any, business_date: date) -> bool:
    """Whether the schedule has started the run of a business date."""
    return bool(task_instance.get_dr_count(dag_id=EOD_DAG, run_ids=[scheduled_run_id(business_date)]))


def _instant(moment: datetime | str) -> datetime:
    return moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)
