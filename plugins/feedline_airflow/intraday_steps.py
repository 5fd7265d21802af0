"""The steps of `ihub_intraday`, most of them for one feed; any of them may be tried again at any time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

from feedline_airflow.eod_steps import load
from feedline_airflow.run_options import exchange_date
from feedline_airflow.task_settings import task_settings

if TYPE_CHECKING:
    from feedline.catalog import Feed

# Loading a range is the same whatever cycle it came in.
__all__ = ["choose_feeds", "intraday_options", "load", "look", "plan_ranges", "produce", "validate"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IntradayOptions:
    """`wait`: how long a feed of which there is nothing new is waited for; zero for what is there and no more.

    Of several business dates nothing is waited for."""

    business_dates: tuple[date, ...]
    feeds: tuple[str, ...]
    wait: timedelta


@dataclass(frozen=True, slots=True)
class Look:
    """What there is of a feed; `news` says in words what is new, else is empty. The rest is what a wait begins at."""

    news: str
    landing: str
    topic: str
    known: tuple[str, ...]
    positions: Mapping[int, int]


def intraday_options(context: Mapping[str, Any]) -> IntradayOptions:
    """The options of the run that a task context belongs to; the same for every task and every retry of the run.

    A run that messages on the topic have started is about their feeds and dates, and does not wait. Otherwise the form
    says, or the moment of the run.
    """
    params, run = context["params"], context["dag_run"]
    payloads = _payloads(context)
    if payloads:
        return IntradayOptions(
            tuple(sorted({date.fromisoformat(payload["business_date"]) for payload in payloads})),
            tuple(sorted({feed for payload in payloads for feed in payload["feeds"]})),
            timedelta(),
        )
    named = params.get("business_date")
    return IntradayOptions(
        (date.fromisoformat(named) if named else exchange_date(run.logical_date or run.run_after),),
        tuple(params["feeds"]),
        timedelta(minutes=params["wait_minutes"]),
    )


def _payloads(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    events = context.get("triggering_asset_events") or {}
    extras = [event.extra or {} for asset in events for event in events[asset]]
    return [extra["payload"] for extra in extras if isinstance(extra.get("payload"), dict)]


def choose_feeds() -> list[str]:
    """The task groups of the feeds to take up; the others are skipped. Raises UnknownFeedError."""
    options = intraday_options(get_current_context())
    logger.info("Business date %s: %s", ", ".join(map(str, options.business_dates)), ", ".join(options.feeds))
    return [_feed(name).name for name in options.feeds]


def look(feed: str, business_date: date) -> Look:
    """Looks once at the landing folder and the topic.

    A delivery is news too whose rows were loaded before the manifest came that closes it, also when it is of an earlier
    date: it is to be validated.
    """
    from feedline.cycle_intraday import announced_deliveries, has_unloaded, left_open, positions, unchecked
    from feedline.producer.intraday_files import landed_deliveries
    from feedline.warehouse.connection import Session
    from feedline_airflow.warehouse_hook import WarehouseHook

    settings, known = task_settings(), _feed(feed)
    landed = landed_deliveries(settings.landing, feed, business_date)
    announced = announced_deliveries(settings, known, business_date)
    new = [
        one.control.name for one in landed if one.source and one.source.control.delivery.delivery_id not in announced
    ]
    with WarehouseHook().session() as connection:
        places = positions(settings, connection, known)
        closed = unchecked(Session(connection), business_date, announced)
        earlier = left_open(settings, connection, known, business_date)
    closed += [one.manifest for one in earlier if one.manifest is not None]
    news = f"{', '.join(new)} landed" if new else ""
    if not news and has_unloaded(settings, known, places):
        news = "the topic has records that are not loaded"
    if not news and closed:
        news = f"{', '.join(one.delivery_id for one in closed)} closed and not validated"
    return Look(
        news,
        str(settings.landing.resolve()),
        known.topic.name,
        tuple(one.fingerprint for one in landed),
        places,
    )


def produce(feed: str) -> list[str]:
    """Produces the small deliveries that have landed and are not on the topic; why others cannot be."""
    from feedline import cycle_intraday
    from feedline.producer.intraday_files import landed_deliveries

    options, settings, known = intraday_options(get_current_context()), task_settings(), _feed(feed)
    reasons: list[str] = []
    for business_date in options.business_dates:
        landed = landed_deliveries(settings.landing, feed, business_date)
        announced = cycle_intraday.announced_deliveries(settings, known, business_date)
        produced, refused = cycle_intraday.produce_landed(settings, known, landed, announced)
        for manifest in produced:
            logger.info("Produced %s: %d records", manifest.delivery_id, manifest.records)
        reasons += refused
    for reason in reasons:
        logger.error("%s", reason)
    return reasons


def plan_ranges(feed: str) -> list[dict[str, Any]]:
    """From the checkpoints to the topic's end; the ranges, each with the name that its task goes by."""
    from feedline import cycle_intraday
    from feedline_airflow.warehouse_hook import WarehouseHook

    with WarehouseHook().session() as connection:
        ranges = cycle_intraday.plan_what_is_there(task_settings(), connection, _feed(feed))
    return [
        {"name": f"{feed} {number}/{len(ranges)}", "range": planned.to_dict()}
        for number, planned in enumerate(ranges, 1)
    ]


def validate(feed: str, refused: list[str]) -> dict[str, Any]:
    """Checks what is loaded of the day so far, or of each of the days that the run is about; and what was closed of
    earlier days after their last pass.

    Raises ValidationFailedError, and ControlMismatchError for small deliveries that could not be produced, after the
    others are loaded and checked.
    """
    from feedline import cycle_intraday
    from feedline.errors import ControlMismatchError
    from feedline_airflow.warehouse_hook import WarehouseHook

    options, settings, known = intraday_options(get_current_context()), task_settings(), _feed(feed)
    with WarehouseHook().session() as connection:
        days = [
            cycle_intraday.validate_day_so_far(settings, connection, known, business_date)
            for business_date in options.business_dates
        ]
        earlier = cycle_intraday.validate_left_open(settings, connection, known, max(options.business_dates))
    for report in earlier:
        logger.info("%s of an earlier date was closed and is validated", report.delivery_id)
    for so_far in days:
        logger.info(
            "%s of %s so far: %d records; %d deliveries are complete, %d are open",
            feed,
            so_far.business_date,
            so_far.records,
            so_far.complete,
            so_far.open,
        )
    for so_far in days:
        so_far.raise_for_failures()
    for report in earlier:
        report.raise_for_failures()
    if refused:
        raise ControlMismatchError(f"{len(refused)} deliveries were not produced: {'; '.join(refused)}", feed=feed)
    return {
        "business_dates": [so_far.business_date.isoformat() for so_far in days],
        "records": sum(so_far.records for so_far in days),
        "complete": sum(so_far.complete for so_far in days),
        "open": sum(so_far.open for so_far in days),
    }


def _feed(name: str) -> Feed:
    from feedline.catalog import load_catalog
    from feedline.settings import load_settings

    return load_catalog(load_settings().catalog).feed(name)
