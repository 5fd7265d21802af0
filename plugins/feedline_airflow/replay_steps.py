"""The steps of `ihub_replay`; each may be tried again at any time, and changes only what is not right."""

from __future__ import annotations

import logging
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

from feedline_airflow.task_settings import task_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from feedline.replay.run import ReplayOptions
    from feedline.replay.selection import Selection

logger = logging.getLogger(__name__)


def choose() -> list[str]:
    """The feeds to replay; raises ConfigurationError when the form selects nothing or what cannot be."""
    from feedline.catalog import load_catalog
    from feedline.errors import ConfigurationError
    from feedline.settings import load_settings

    params = get_current_context()["params"]
    selection, options = selected(params), options_of(params)
    named = [load_catalog(load_settings().catalog).feed(name).name for name in params["feeds"]]
    if selection.delivery_id:
        named = [name for name in named if selection.delivery_id.startswith(f"{name}-")] or named
    if selection.offsets and len(named) != 1:
        raise ConfigurationError("offsets are of one feed's topic: choose one feed")
    logger.info("%s%s of %s: %s", options.mode, " (dry run)" if options.dry_run else "", ", ".join(named), selection)
    return named


def replay_feed(feed: str) -> dict[str, Any]:
    """Replays one feed and tells in the log what was found and done; its counts. A verify that finds something wrong,
    dry run or not, or a repair that leaves something, raises ValidationFailedError."""
    from feedline.catalog import load_catalog
    from feedline.errors import ValidationFailedError
    from feedline.replay.run import replay
    from feedline.replay.selection import Mode
    from feedline_airflow.warehouse_hook import WarehouseHook

    params, settings = get_current_context()["params"], task_settings()
    known = load_catalog(settings.catalog).feed(feed)
    options = options_of(params)
    with WarehouseHook().session() as connection:
        report = replay(settings, connection, known, selected(params), options)
    for line in report.lines():
        logger.info("%s", line)
    # A dry run of the others tells what they would do about it; a verify does nothing but find it.
    if not report.right and (options.mode is Mode.VERIFY or not options.dry_run):
        raise ValidationFailedError(
            "topic and tables do not agree; the lines above say where: run it in mode repair, or rebuild the delivery, "
            "with the dry run off",
            feed=feed,
        )
    counts = report.to_dict()
    return {name: counts[name] for name in SUMMARY}


SUMMARY = (
    "feed",
    "mode",
    "dry_run",
    "right",
    "offsets",
    "messages",
    "to_load",
    "records_to_load",
    "to_delete",
    "loaded_batches",
    "loaded_records",
    "deleted_rows",
)


def selected(params: Mapping[str, Any]) -> Selection:
    """What the form selects; raises ConfigurationError."""
    from feedline.errors import ConfigurationError
    from feedline.replay.selection import Selection, parse_offsets

    try:
        moments = {
            name: datetime.fromisoformat(params[name]) if params.get(name) else None for name in ("since", "until")
        }
    except ValueError as error:
        raise ConfigurationError(f"not a point in time: {error}") from error
    return Selection(
        delivery_id=params.get("delivery_id") or None,
        business_date=date.fromisoformat(params["business_date"]) if params.get("business_date") else None,
        correlation_id=params.get("correlation_id") or None,
        offsets=tuple(parse_offsets(text) for text in params.get("offsets") or ()),
        **moments,
    )


def options_of(params: Mapping[str, Any]) -> ReplayOptions:
    from feedline.replay.run import ReplayOptions
    from feedline.replay.selection import Mode

    return ReplayOptions(
        mode=Mode(params["mode"]),
        dry_run=params["dry_run"],
        schema=(params.get("schema") or "").upper() or None,
        from_archive=params["from_archive"],
        drop_incomplete=params["drop_incomplete"],
    )
