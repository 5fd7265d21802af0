"""The steps of `ihub_error_redrive`; any of them may be tried again at any time.

What was checked is checked again by the step that sends it: a file of corrections may be changed in between, and an
error redriven by somebody else.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from feedline_airflow.task_settings import task_settings

if TYPE_CHECKING:
    from feedline.redrive.stored_error import Selection

logger = logging.getLogger(__name__)

# Where files of corrections are put, beside the feeds' own folders. The form names one of them and nothing else.
CORRECTIONS = "corrections"
# By which `send` hands `tell_open` what it left out.
LEFT_OPEN = "left_open"


def redrive_source(params: Mapping[str, Any], landing: Path) -> Path | Selection:
    """What a run is to send: the file of corrections that its form names, or the errors of a date as they are.

    Raises ConfigurationError when the form names neither, both, or a file outside the folder of corrections.
    """
    from feedline.errors import ConfigurationError
    from feedline.redrive.stored_error import Selection

    named, as_is = params["file"], params["as_is"]
    if bool(named) == as_is:
        raise ConfigurationError("name a file of corrections, or choose to send the errors as they are: one of the two")
    if named:
        folder = (landing / CORRECTIONS).resolve()
        path = (folder / named).resolve()
        if not path.is_relative_to(folder) or not path.is_file():
            raise ConfigurationError(f"there is no file of corrections {named!r} in {folder}", file=str(named))
        return path
    if not params["business_date"]:
        raise ConfigurationError("say of which business date the errors are to be sent as they are")
    return Selection(feeds=frozenset(params["feeds"]), business_date=date.fromisoformat(params["business_date"]))


def check() -> None:
    """Checks everything and tells what would be sent; a dry run ends here. Raises SchemaMismatchError."""
    from feedline.catalog import load_catalog
    from feedline.redrive import run
    from feedline_airflow.warehouse_hook import WarehouseHook

    settings, params = task_settings(), get_current_context()["params"]
    source = redrive_source(params, settings.landing)
    with WarehouseHook().session() as connection:
        plan = run.check(settings, connection, load_catalog(settings.catalog), source)
    for refusal in plan.refused:
        logger.warning("Stays open: %s", refusal)
    logger.info(
        "%d errors of %d records fit and %s; %d were redriven before, %d are dismissed, %d still do not fit",
        len(plan.errors),
        plan.records,
        "would be sent" if params["dry_run"] else "are sent next",
        len(plan.redriven),
        plan.dismissed,
        len(plan.refused),
    )
    if params["dry_run"]:
        raise AirflowSkipException("dry run: nothing was changed")


def send() -> list[dict[str, Any]]:
    """Sends what fits, and where it lies by delivery; for `tell_open`, how many errors do not fit, and the first."""
    from feedline.catalog import load_catalog
    from feedline.redrive import run
    from feedline.redrive.plan import SHOWN
    from feedline_airflow.warehouse_hook import WarehouseHook

    settings, context = task_settings(), get_current_context()
    source = redrive_source(context["params"], settings.landing)
    run_of = context["dag_run"]
    requested_by = f"{run_of.triggering_user_name or 'nobody by name'} (Airflow run {run_of.run_id})"
    catalog = load_catalog(settings.catalog)
    with WarehouseHook().session() as connection:
        plan = run.check(settings, connection, catalog, source)
        sent = run.send(settings, connection, catalog, plan, requested_by=requested_by)
    left = {"errors": len(plan.refused), "named": [str(refusal) for refusal in plan.refused[:SHOWN]]}
    context["ti"].xcom_push(key=LEFT_OPEN, value=left)
    for one in sent:
        logger.info("%s: %d records in %d messages", one.delivery.delivery_id, one.records, one.messages)
    return [one.to_dict() for one in sent]


def settle(sent: dict[str, Any]) -> None:
    """Loads what was sent of one delivery and validates it. Raises ValidationFailedError."""
    from feedline.catalog import load_catalog
    from feedline.redrive import run
    from feedline_airflow.warehouse_hook import WarehouseHook

    settings, one = task_settings(), run.Sent.from_dict(sent)
    feed = load_catalog(settings.catalog).feed(one.delivery.feed)
    with WarehouseHook().session() as connection:
        settled = run.settle(settings, connection, feed, one)
    settled.report.raise_for_failures()
    logger.info(
        "%s: %d records were loaded, all %d checks passed",
        one.delivery.delivery_id,
        settled.loaded_records,
        len(settled.report.checks),
    )


def tell_open() -> None:
    """Fails when errors that were to be sent as they are did not fit when the others were sent, once those are loaded.

    Raises SchemaMismatchError, naming the first of them.
    """
    from feedline.errors import SchemaMismatchError

    left = get_current_context()["ti"].xcom_pull(task_ids="send", key=LEFT_OPEN)
    if not left:
        raise AirflowSkipException("dry run: nothing was to be sent")
    if left["errors"]:
        raise SchemaMismatchError(
            f"{left['errors']} errors stay open, since they still do not fit: {'; '.join(left['named'])}; put the "
            "schema or the catalogue right and trigger this Dag again, or correct them by a file"
        )
    logger.info("No error is left open that was to be sent")
