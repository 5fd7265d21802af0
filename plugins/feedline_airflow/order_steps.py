"""The steps of the Dags of orders; each may be tried again at any time, and by several at once."""

from __future__ import annotations

import logging
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from feedline_airflow.run_options import exchange_date
from feedline_airflow.task_settings import task_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from feedline.orders.demo.bulk_test import BulkTest
    from feedline.orders.recovery.window import Window

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


def enter_bulk_test() -> dict[str, Any]:
    """Sends the form's events to `orders.bulk`; under which client name they are found again, and how many."""
    from feedline.orders.demo.bulk_test import enter_test

    test = bulk_test_of(get_current_context())
    tally = enter_test(task_settings(), test)
    logger.info("%d events of %d orders entered as %s", tally.entered, tally.orders, test.lives.client)
    return {"client": test.lives.client, "entered": tally.entered, "orders": tally.orders}


def check_bulk_test(entered: dict[str, Any]) -> dict[str, Any]:
    """Waits until each of them is in the tables with an answer or a reason; raises ValidationFailedError otherwise."""
    from feedline.orders.demo.bulk_test import await_answers
    from feedline.orders.warehouse.tables import provision_order_tables
    from feedline_airflow.warehouse_hook import WarehouseHook

    minutes = get_current_context()["params"]["wait_minutes"]
    with WarehouseHook().session() as connection:
        provision_order_tables(connection)
        found = await_answers(
            task_settings(), connection, entered["client"], entered["entered"], within_s=60.0 * minutes
        )
    logger.info("%d loaded, %d answered, %d refused with a reason", found.loaded, found.answered, found.refused)
    return {"loaded": found.loaded, "answered": found.answered, "refused": found.refused}


def bulk_test_of(context: Mapping[str, Any]) -> BulkTest:
    """What the form asks for; raises ConfigurationError. Every attempt has a client name of its own: what an attempt
    that failed has entered does not count for the next."""
    from feedline.orders.demo.bulk_test import BulkTest
    from feedline.orders.model import Product
    from feedline.orders.testdata.lives import LivesPolicy

    params, attempt = context["params"], context["ti"]
    options, funds = params["options"], params["funds"]
    mix = {Product.EQUITY: 100 - options - funds, Product.OPTION: options, Product.MUTUAL_FUND: funds}
    moment = context["dag_run"].run_after
    client = f"bulk-test-{moment:%Y%m%dT%H%M%S}-{attempt.try_number}"
    lives = LivesPolicy(mix, amend=params["amended"] / 100, cancel=params["cancelled"] / 100, client=client)
    return BulkTest(lives, params["count"], params["rate"])


def recover_orders() -> dict[str, int]:
    """Sends again what the form's span holds and the engine does not have; how many events of each outcome.

    Raises ValidationFailedError when the engine refused or did not answer one.
    """
    import tempfile
    from collections import Counter

    from feedline.errors import ValidationFailedError
    from feedline.orders.fix.connection import Connection
    from feedline.orders.fix.session_policy import SessionPolicy
    from feedline.orders.recovery.run import NOT_DONE, Outcome, recover
    from feedline.orders.topics import OrderTopics

    params = get_current_context()["params"]
    address, _, port = params["engine"].rpartition(":")
    window = window_of(params)
    # A store of its own each time: the session begins with number 1 on both sides, and what waited for it is asked for
    # again.
    with tempfile.TemporaryDirectory(prefix="feedline-recovery-") as folder:
        session = SessionPolicy(
            sender="RECOVERY", targets=(params["target"],), folder=Path(folder), host=address, port=int(port)
        )
        found = recover(
            task_settings(),
            OrderTopics(),
            window,
            Connection(session),
            dry_run=params["dry_run"],
            lost_reports=window.end is None,
        )
    for one in found:
        if one.outcome is not Outcome.KNOWN:
            event = one.sent.taken.event
            logger.info("order %s, sequence %d: %s %s", event.order_id, event.sequence, one.outcome, one.text)
    counts = Counter(one.outcome for one in found)
    logger.info(
        "%s", "; ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "nothing was entered then"
    )
    if any(counts[outcome] for outcome in NOT_DONE):
        raise ValidationFailedError(
            f"{counts[Outcome.REFUSED]} events were refused, {counts[Outcome.UNANSWERED]} not answered, and of "
            f"{counts[Outcome.NOT_GIVEN]} the engine gives no reports again; the lines above name them: look at the "
            "engine, then run it again, what it has is not sent twice"
        )
    return {outcome.name: counts[outcome] for outcome in Outcome}


def window_of(params: Mapping[str, Any]) -> Window:
    """The form's span; raises ConfigurationError for what is no point in time with a zone."""
    from feedline.errors import ConfigurationError
    from feedline.orders.recovery.window import Window

    try:
        start = datetime.fromisoformat(params["since"])
        end = datetime.fromisoformat(params["until"]) if params.get("until") else None
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"not a point in time: {error}") from error
    if start.tzinfo is None or (end is not None and end.tzinfo is None):
        raise ConfigurationError("a point in time needs a time zone, for example 2026-11-20T14:05:00-05:00")
    return Window(start=start, end=end, order_id=params.get("order") or None)
