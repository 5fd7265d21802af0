"""The steps of the Dags of orders; each may be tried again at any time, and by several at once."""

from __future__ import annotations

import logging
from datetime import date
from pathlib import Path
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from feedline_airflow.run_options import exchange_date
from feedline_airflow.task_settings import task_settings

logger = logging.getLogger(__name__)


def load_table(table: str) -> dict[str, Any]:
    """Loads one table up to where its topic ends now; its counts. Skips where nobody has provisioned orders."""
    from feedline.kafka.admin import admin_client, has_topic
    from feedline.orders.topics import OrderTopics
    from feedline.orders.warehouse.run import load_planned, plan_orders
    from feedline.orders.warehouse.tables import TABLES, provision_order_tables
    from feedline_airflow.warehouse_hook import WarehouseHook

    settings, topics = task_settings(), OrderTopics()
    [chosen] = [one for one in TABLES if one.table == table]
    if not has_topic(admin_client(settings.kafka), chosen.topic(topics)):
        raise AirflowSkipException(
            f"there is no topic {chosen.topic(topics)}: `feedline orders provision` makes it, where there are orders"
        )
    with WarehouseHook().session() as connection:
        provision_order_tables(connection)
        planned = plan_orders(settings, connection, chosen)
        result = load_planned(settings, connection, planned)
    logger.info("%s: %d rows loaded, %d repeats, %d refused", table, result.loaded, result.repeats, result.refused)
    counts = result.to_dict()
    return {name: counts[name] for name in ("table", "loaded", "repeats", "refused", "transactions")}


def reconcile_day() -> dict[str, Any]:
    """Holds the day's books against each other and tells every line in the log.

    Raises ValidationFailedError naming the orders when a line does not balance.
    """
    from feedline.orders.reconcile.books import reconcile
    from feedline_airflow.warehouse_hook import WarehouseHook

    context = get_current_context()
    params, run = context["params"], context["dag_run"]
    named, folder = params.get("business_date"), params.get("engine_book")
    day = date.fromisoformat(named) if named else exchange_date(run.logical_date or run.run_after)
    with WarehouseHook().session() as connection:
        found = reconcile(task_settings(), connection, day, engine_folder=Path(folder) if folder else None)
    for one in found.lines:
        say = logger.info if one.balances else logger.error
        say("%s, %s: expected %s, found %s %s", one.book, one.what, one.expected, one.found, ", ".join(one.orders))
    found.raise_unless_balanced()
    return {"business_date": day.isoformat(), "balances": found.balances, "lines": len(found.lines)}
