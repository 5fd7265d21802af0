"""Whether what comes during the day is loaded in time: small deliveries, and records that programs send."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from snowflake.connector import SnowflakeConnection

from feedline.batch.identity import Cycle
from feedline.catalog import EXCHANGE_TIMEZONE, Feed, IntradaySla
from feedline.consumer.range_reader import read_range
from feedline.consumer.ranges import LoadRange, PartitionSpan
from feedline.cycle_intraday import announced_deliveries
from feedline.kafka.admin import offsets_at
from feedline.monitoring.alert import INTRADAY_STAGE, Alert, AlertKind, unsure_detail
from feedline.monitoring.alert_book import OpenAlert
from feedline.monitoring.topic_answers import TopicAnswers
from feedline.producer.intraday_files import LandedDelivery, landed_deliveries
from feedline.settings import Settings
from feedline.warehouse.connection import Session
from feedline.warehouse.deliveries import COMPLETE, deliveries_of
from feedline.warehouse.ledger import loaded_batches, read_checkpoints
from feedline.warehouse.partial import loaded_deliveries
from feedline.warehouse.stages import last_intraday_load, last_load

# A name for the broker's log; the group is never joined.
WATCH_GROUP = "feedline.sla"


@dataclass(frozen=True, slots=True)
class Late:
    """What has arrived of a delivery and is not loaded by its promise.

    name: the delivery's id, or the name of a control file that cannot be used. arrived, due: instants with zone.
    """

    name: str
    arrived: datetime
    due: datetime


def intraday_dates(
    feeds: Iterable[Feed], now: datetime, is_business_date: Callable[[date], bool], heard_within: timedelta
) -> Iterator[date]:
    """The business dates of which something may be late by now, or became so not long ago."""
    promised = [feed.sla.intraday for feed in feeds if feed.sla.intraday is not None]
    today = now.astimezone(ZoneInfo(EXCHANGE_TIMEZONE)).date()
    for day in (today - timedelta(days=1), today):
        if is_business_date(day) and any(
            one.begins.on(day) < now <= one.ends.on(day) + one.within + heard_within for one in promised
        ):
            yield day


def late_deliveries(
    settings: Settings,
    connection: SnowflakeConnection,
    feed: Feed,
    business_date: date,
    *,
    now: datetime,
    answers: TopicAnswers | None = None,
) -> list[Late]:
    """What of the feed is late by now, what was due first at the head; nothing without a promise.

    answers: of the topics in this look: of one that does not answer, only what files and tables tell; without them it
    raises why. Raises WarehouseUnavailableError.
    """
    promise = feed.sla.intraday
    if promise is None:
        return []
    answers = answers or TopicAnswers(strict=True)
    session = Session(connection, feed=feed.name)
    checkpoints = read_checkpoints(connection, feed.name, feed.topic.name)
    sent = answers.ask(feed, lambda: _unread(settings, feed, promise, business_date, checkpoints, now=now)) or {}
    loaded = loaded_batches(session, feed.name, sent.keys())
    found = {
        **_not_loaded(sent, loaded, promise, business_date, now),
        **_of_files(settings, session, feed, promise, business_date, now=now, answers=answers),
    }
    return sorted(found.values(), key=lambda late: (late.due, late.name))


def intraday_alerts(
    feed: Feed,
    business_date: date,
    late: Sequence[Late],
    opened: Sequence[OpenAlert],
    *,
    now: datetime,
    heard_within: timedelta,
    loaded: datetime | None,
    link: str | None,
    unsure: str = "",
) -> Iterator[Alert]:
    """The alert that a feed has become late, unless one is open; the end of the open ones, when nothing is late.

    opened: the feed's open alerts of the date. loaded: when something of it was loaded last. unsure: why the topic
    could not be asked, in which case nothing is known to be at an end.
    """
    if late and not opened and now - late[0].due <= heard_within:
        names = ", ".join(one.name for one in late[:3]) + (", ..." if len(late) > 3 else "")
        detail = f"{len(late)} {'deliveries wait' if len(late) > 1 else 'delivery waits'}: {names}"
        if unsure:
            detail = f"{unsure_detail(unsure)}\n{detail}"
        yield Alert(
            AlertKind.LATE,
            feed.name,
            business_date,
            INTRADAY_STAGE,
            late[0].due,
            None,
            now - late[0].due,
            link,
            detail,
        )
    if not late and not unsure:
        for one in opened:
            yield one.alert.recovery(one.reached(loaded or now), link)


def watch_intraday(
    settings: Settings,
    connection: SnowflakeConnection,
    feeds: Sequence[Feed],
    opened: Sequence[OpenAlert],
    *,
    now: datetime,
    is_business_date: Callable[[date], bool],
    heard_within: timedelta,
    link: str | None = None,
    answers: TopicAnswers | None = None,
) -> list[Alert]:
    """What is to be told of the intraday promises of every business date that is being waited for.

    answers: see `late_deliveries`.
    """
    mine = [one for one in opened if one.alert.stage == INTRADAY_STAGE]
    live = set(intraday_dates(feeds, now, is_business_date, heard_within))
    wanted: list[Alert] = []
    for day in sorted(live | {one.alert.business_date for one in mine}):
        for feed in feeds:
            of_feed = [one for one in mine if (one.alert.feed, one.alert.business_date) == (feed.name, day)]
            if feed.sla.intraday is None or (day not in live and not of_feed):
                continue
            late = late_deliveries(settings, connection, feed, day, now=now, answers=answers)
            silence = answers.silence_of(feed) if answers else None
            unsure = silence.reason if silence else ""
            loaded = last_intraday_load(Session(connection), feed.name, day) if of_feed and not late else None
            wanted += intraday_alerts(
                feed,
                day,
                late,
                of_feed,
                now=now,
                heard_within=heard_within,
                loaded=loaded,
                link=link,
                unsure=unsure,
            )
    return wanted


def _of_files(
    settings: Settings,
    session: Session,
    feed: Feed,
    promise: IntradaySla,
    business_date: date,
    *,
    now: datetime,
    answers: TopicAnswers,
) -> dict[str, Late]:
    """Small deliveries that have landed and are not loaded whole, those that cannot be used among them.

    When the topic does not answer, a delivery counts as loaded whose control file has no more records than the tables.
    """
    found: dict[str, Late] = {}
    records: dict[str, int] = {}
    for one in landed_deliveries(settings.landing, feed.name, business_date):
        arrived = _landed_at(one)
        due = promise.due(business_date, arrived) if arrived else None
        if arrived and due and due < now:
            name = one.source.control.delivery.delivery_id if one.source else one.control.name
            found[name] = Late(name, arrived, due)
            records |= {name: one.source.control.records} if one.source else {}
    if not found:
        return found
    rows = deliveries_of(session, business_date)
    done = {row.delivery_id for row in rows if row.feed == feed.name and row.status == COMPLETE}
    if found.keys() - done:
        announced = answers.ask(feed, lambda: announced_deliveries(settings, feed, business_date))
        if announced is None:
            held = loaded_deliveries(session, feed, business_date, Cycle.INTRADAY)
            done |= {name for name, said in records.items() if held.get(name, -1) >= said}
        else:
            known = found.keys() & announced.keys()
            done |= {name for name in known if last_load(session, announced[name]) is not None}
    return {name: late for name, late in found.items() if name not in done}


def _landed_at(one: LandedDelivery) -> datetime | None:
    """When the last file of a delivery came to its place here, whatever time its sender gave it."""
    files = (
        [one.control, *(one.source.path(file) for file in one.source.control.files)] if one.source else [one.control]
    )
    try:
        return datetime.fromtimestamp(max(file.lstat().st_ctime for file in files), UTC)
    except FileNotFoundError:
        return None


def _unread(
    settings: Settings,
    feed: Feed,
    promise: IntradaySla,
    business_date: date,
    checkpoints: Mapping[int, int],
    *,
    now: datetime,
) -> dict[str, dict[str, datetime]]:
    """By delivery, when its micro-batches were sent that lie beyond the checkpoints for longer than is promised.

    Reads from the first arrival that is promised anything of, however long ago the last look was: what the feed's
    loads have passed is not read.
    """
    topic, kafka = feed.topic.name, settings.acting_as("loader").kafka
    first, last = promise.counts_from(business_date), min(now - promise.within, promise.ends.on(business_date))
    if first >= last:
        return {}
    begins, ends = offsets_at(kafka, topic, first), offsets_at(kafka, topic, last)
    starts = {partition: max(offset, checkpoints.get(partition, 0)) for partition, offset in begins.items()}
    spans = tuple(PartitionSpan(p, start, ends[p]) for p, start in sorted(starts.items()) if start < ends.get(p, 0))
    sent: dict[str, dict[str, datetime]] = {}
    reading = read_range(kafka, LoadRange(feed.name, topic, spans), on_corrupt=lambda *_: None, group_id=WATCH_GROUP)
    with closing(reading) as batches:
        for batch in batches:
            of_day = (batch.headers.cycle, batch.headers.business_date) == (Cycle.INTRADAY, business_date)
            if of_day and batch.sent_at is not None:
                sent.setdefault(batch.headers.delivery_id, {})[batch.headers.correlation_id] = batch.sent_at
    return sent


def _not_loaded(
    sent: Mapping[str, Mapping[str, datetime]],
    loaded: Mapping[str, int],
    promise: IntradaySla,
    business_date: date,
    now: datetime,
) -> dict[str, Late]:
    found = {}
    for delivery, batches in sent.items():
        arrived = min((at for batch, at in batches.items() if batch not in loaded), default=None)
        due = promise.due(business_date, arrived) if arrived else None
        if arrived and due and due < now:
            found[delivery] = Late(delivery, arrived, due)
    return found
