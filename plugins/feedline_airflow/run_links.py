"""Addresses of runs, for messages that are read outside Airflow."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from urllib.parse import quote
from zoneinfo import ZoneInfo

from airflow.sdk import conf

from feedline_airflow.run_options import EXCHANGE_TIMEZONE

EOD_DAG = "ihub_eod"
INTRADAY_DAG = "ihub_intraday"
# When the Dag's schedule starts a business date's run in New York; tests/unit/dags holds it against the schedule.
EOD_STARTS = time(18, 30)


def run_link(dag_id: str, run_id: str) -> str | None:
    """A run's page, or None when Airflow does not know its own address."""
    return _link(f"dags/{dag_id}/runs/{quote(run_id, safe='')}")


def dag_link(dag_id: str) -> str | None:
    return _link(f"dags/{dag_id}")


def scheduled_run_id(business_date: date) -> str:
    """The id of the run that the schedule starts for a business date."""
    starts = datetime.combine(business_date, EOD_STARTS, ZoneInfo(EXCHANGE_TIMEZONE)).astimezone(UTC)
    return f"scheduled__{starts.isoformat()}"


def _link(path: str) -> str | None:
    base = conf.get("api", "base_url", fallback=None)
    return f"{base.rstrip('/')}/{path}" if base else None
