"""The steps of `ihub_provision` and `ihub_drift`; each may run at any time and again, and changes only what is not as
declared."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

from feedline_airflow.run_links import run_link

if TYPE_CHECKING:
    from feedline.provisioning.installation import Installation
    from feedline.provisioning.plan import Plan

logger = logging.getLogger(__name__)

CLUSTER = ("users", "rules", "quotas", "topics")


def create_topics() -> dict[str, Any]:
    return _apply("topic", *CLUSTER)


def register_schemas() -> dict[str, Any]:
    return _apply("schema", "schemas")


def create_tables() -> dict[str, Any]:
    return _apply("table", "tables", "account")


def watch_drift() -> dict[str, Any]:
    """Tells what is not as declared; returns it. Raises RetriableError when it cannot be looked at, or told."""
    from feedline.provisioning.books import default_books
    from feedline.provisioning.drift import drift
    from feedline.provisioning.drift_watch import tell_drift
    from feedline_airflow.alert_channels import alert_channels

    found = _installation().plan()
    lines = drift(found)
    for line in lines:
        logger.warning("%s", line)
    run = get_current_context()["dag_run"]
    told = tell_drift(lines, default_books(), alert_channels(), who=run.dag_id, link=run_link(run.dag_id, run.run_id))
    if not lines:
        logger.info("Everything is as declared")
    return {"drift": lines, "told": told, "plan": found.fingerprint}


def _apply(kind: str, *parts: str) -> dict[str, Any]:
    """Plans these parts and makes what needs no word, or one that the run's form gives; what was made and left out."""
    from feedline.errors import FeedlineError
    from feedline.provisioning import audit
    from feedline.provisioning.apply import apply
    from feedline.provisioning.books import default_books
    from feedline.provisioning.plan import Allow

    context = get_current_context()
    run, books = context["dag_run"], default_books()
    allowed = [Allow(word) for word in context["params"].get("allow") or ()]
    installation = _installation(*parts)
    found = installation.plan()
    held = found.held(allowed)
    shown = found.without(held)
    _tell(found, kind)
    details = {"plan": shown.fingerprint, "run": run.run_id, "allow": [word.value for word in allowed]}
    try:
        made = apply(shown, installation, books.journal, allow=allowed)
    except FeedlineError as error:
        audit.record(books.audit, run.dag_id, "failed", **details, reason=error.reason)
        raise
    if made:
        audit.record(books.audit, run.dag_id, "applied", **details, changes=[list(one.place) for one in made])
    return {
        "plan": found.fingerprint,
        "made": [f"{one.action} {one.target}" for one in made],
        "left_out": [f"{one.action} {one.target}" for one in held],
    }


def _installation(*parts: str) -> Installation:
    from feedline.catalog import load_catalog
    from feedline.provisioning.desired import read_desired
    from feedline.provisioning.installation import Installation
    from feedline.provisioning.state import ALL_PARTS, Part
    from feedline_airflow.task_settings import task_settings

    settings = task_settings()
    wanted = read_desired(settings, load_catalog(settings.catalog))
    return Installation(settings, wanted, [Part(part) for part in parts] or ALL_PARTS, told=logger.info)


def _tell(found: Plan, kind: str) -> None:
    for one in found.changes:
        word = f"; left out unless the form's `allow` says {one.needs}" if one.needs else ""
        logger.info("%s %s %s (%s)%s", one.part, one.action, one.target, one.risk, word)
    for line in (*found.problems, *found.notes):
        logger.warning("%s", line)
    if not found.changes:
        logger.info("Every %s is as declared: nothing was changed", kind)
