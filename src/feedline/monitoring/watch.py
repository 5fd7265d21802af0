"""One look at the day: what is late and has not been told, what has recovered, who is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from snowflake.connector import SnowflakeConnection

from feedline import cycle
from feedline.batch.manifest import DeliveryManifest
from feedline.catalog import EXCHANGE_TIMEZONE, Feed, Stage
from feedline.monitoring.alert import CYCLE_STAGE, INTRADAY_STAGE, Alert, late_alert, unsure_detail
from feedline.monitoring.alert_book import FAILED, RECORDED, SENT, Claim, OpenAlert, claim, mark, open_alerts
from feedline.monitoring.arrival import arrived_at
from feedline.monitoring.cycles import cycle_done, missed_cycle_alert
from feedline.monitoring.intraday import watch_intraday
from feedline.monitoring.sla import StageTimes, StageVerdict, breaches, evaluate
from feedline.monitoring.topic_answers import TopicAnswers, loaded_by_the_books
from feedline.settings import Settings
from feedline.warehouse.connection import Session
from feedline.warehouse.stages import last_load, record_stage, stages_reached

logger = logging.getLogger(__name__)

# What was due longer ago than this is history: nobody is woken for it. Airflow may be away for that long and an alert
# still comes.
HEARD_WITHIN = timedelta(hours=6)
# How long a recovery is waited for; topics keep a delivery for five days.
RECOVERS_WITHIN = timedelta(days=7)
# The latest time the catalogue can write is nine days after its business date.
_DAYS_BACK = 10

# A channel's name, and what sends an alert through it, raising whatever it raises when it cannot.
Channels = Mapping[str, Callable[[Alert], None]]


@dataclass(frozen=True, slots=True)
class Told:
    """An alert that this look claimed, with what came of it: SENT, RECORDED (no channel) or FAILED."""

    alert: Alert
    status: str


def watch(
    settings: Settings,
    connection: SnowflakeConnection,
    feeds: Sequence[Feed],
    *,
    now: datetime,
    is_business_date: Callable[[date], bool],
    channels: Channels,
    link: Callable[[date], str | None] = lambda _: None,
    has_run: Callable[[date], bool] = lambda _: True,
    intraday_link: str | None = None,
) -> list[Told]:
    """Evaluates the feeds of every business date that is being waited for, and tells what is new.

    May run at any time, again, and twice at once: each alert is claimed by one (see `alert_book`). A date whose times
    passed more than `HEARD_WITHIN` ago raises no alert, so neither a backfill nor a date that is run again by hand
    does. link: of a business date, the address to look at. has_run: whether the scheduled run of a business date was
    ever started; one that was not has no deadline of its own, and is told here when the last feed is due.
    intraday_link: where to look when what comes during the day is late. Raises WarehouseUnavailableError,
    LostRaceError and, when a topic had to be asked and did not answer, why (BrokerUnavailableError, ...); by then
    everything is told, and what that topic alone knows is told as not known.
    """
    answers = TopicAnswers()
    session = Session(connection)
    opened = open_alerts(session, now - RECOVERS_WITHIN)
    wanted: list[Alert] = []
    for business_date in sorted({*live_dates(feeds, now, is_business_date), *_dates(opened)}):
        of_date = [one for one in opened if one.alert.business_date == business_date]
        times = observe(settings, connection, feeds, business_date, now=now, missing=of_date, answers=answers)
        wanted += _breaches(feeds, business_date, times, now, link)
        wanted += _recoveries(of_date, times, link)
        if is_business_date(business_date) and not has_run(business_date):
            wanted += _missed(feeds, business_date, times, now, link)
    told = tell(session, wanted, channels, now)
    wanted = watch_intraday(
        settings,
        connection,
        feeds,
        opened,
        now=now,
        is_business_date=is_business_date,
        heard_within=HEARD_WITHIN,
        link=intraday_link,
        answers=answers,
    )
    told += tell(session, wanted, channels, now)
    answers.raise_silence()
    return told


def live_dates(feeds: Iterable[Feed], now: datetime, is_business_date: Callable[[date], bool]) -> Iterator[date]:
    """The business dates of which some stage is due by now, or was not long ago."""
    promised = [feed for feed in feeds if feed.sla.last_due(date(2000, 1, 3)) is not None]
    today = now.astimezone(ZoneInfo(EXCHANGE_TIMEZONE)).date()
    for back in range(_DAYS_BACK, -1, -1):
        day = today - timedelta(days=back)
        dues = [due for feed in promised for stage in Stage if (due := feed.sla.due(stage, day)) is not None]
        if dues and min(dues) < now <= max(dues) + HEARD_WITHIN and is_business_date(day):
            yield day


def observe(
    settings: Settings,
    connection: SnowflakeConnection,
    feeds: Iterable[Feed],
    business_date: date,
    *,
    now: datetime,
    missing: Iterable[OpenAlert] = (),
    record: bool = True,
    answers: TopicAnswers | None = None,
) -> dict[str, StageTimes]:
    """By feed, when it reached each stage of the date, from what is recorded and, for the rest, from where it lies.

    missing: alerts that were told because a feed had not arrived; a file that keeps the time at which it was written
    elsewhere cannot then say that it came before. record: write down arrivals that are seen for the first time.
    answers: of the topics in this look; without them, a topic that does not answer raises why.
    """
    session = Session(connection)
    known = stages_reached(session, business_date)
    absent = {one.alert.feed: one.missing_at for one in missing if one.alert.stage == Stage.ARRIVED}
    found, answers = {}, answers or TopicAnswers(strict=True)
    for feed in feeds:
        times = known.get(feed.name, {})
        arrived, loaded = times.get(Stage.ARRIVED), times.get(Stage.LOADED)
        validated, unsure = times.get(Stage.VALIDATED), ""
        if arrived is None:
            arrived = arrived_at(settings.landing, feed.name, business_date)
            if arrived is not None:
                arrived = min(max(arrived, absent.get(feed.name, arrived)), now)
                if record:
                    record_stage(session, feed.name, business_date, Stage.ARRIVED, arrived)
        due = feed.sla.due(Stage.LOADED, business_date)
        if arrived is not None and loaded is None and validated is None and due is not None and now > due:
            loaded, unsure = _loaded_at(settings, session, feed, business_date, answers)
        found[feed.name] = StageTimes(arrived, loaded, validated, unsure)
    return found


def record_arrival(settings: Settings, connection: SnowflakeConnection, manifest: DeliveryManifest) -> None:
    """Writes when the files of a delivery arrived, unless that is known; at the latest it was when it was produced."""
    seen = arrived_at(settings.landing, manifest.feed, manifest.business_date)
    record_stage(
        Session(connection),
        manifest.feed,
        manifest.business_date,
        Stage.ARRIVED,
        min(seen or manifest.produced_at, manifest.produced_at),
        cycle=manifest.cycle,
        delivery_id=manifest.delivery_id,
    )


def verdicts(
    feeds: Iterable[Feed], business_date: date, times: Mapping[str, StageTimes], now: datetime
) -> list[tuple[StageVerdict, ...]]:
    """Of each feed the verdicts on its stages."""
    return [evaluate(feed, business_date, times[feed.name], now) for feed in feeds]


def tell(session: Session, wanted: Sequence[Alert], channels: Channels, now: datetime) -> list[Told]:
    """Claims, sends and marks; also what an earlier evaluation left unsent. A channel that fails holds up no other."""
    return [_send(session, claimed, channels, now) for claimed in claim(session, wanted, now)]


def _send(session: Session, claimed: Claim, channels: Channels, now: datetime) -> Told:
    alert, sent_to, refused = claimed.alert, set(claimed.sent_to), {}
    for name in channels.keys() - sent_to:
        try:
            channels[name](alert)
        except Exception as error:  # noqa: BLE001  a channel is somebody else's program: it may raise anything
            # Its message may hold the address of a webhook, which is a secret.
            logger.warning("%s was not told by %s (%s)", alert.subject, name, type(error).__name__)
            refused[name] = f"{name}: {type(error).__name__}"
        else:
            sent_to.add(name)
    if refused:
        status = FAILED
    elif channels:
        status = SENT
        logger.warning("%s (told by %s)", alert.subject, ", ".join(sorted(sent_to)))
    else:
        status = RECORDED
        logger.warning(
            "%s; nobody was told: set up a connection feedline_alerts_smtp, feedline_alerts_slack or "
            "feedline_alerts_webhook",
            alert.subject,
        )
    mark(session, claimed, status=status, channels=sent_to, reason="; ".join(refused.values()) or None, now=now)
    return Told(alert, status)


def _breaches(
    feeds: Iterable[Feed],
    business_date: date,
    times: Mapping[str, StageTimes],
    now: datetime,
    link: Callable[[date], str | None],
) -> Iterator[Alert]:
    for feed in feeds:
        for verdict in breaches(feed, business_date, times[feed.name], now, heard_within=HEARD_WITHIN):
            unsure = verdict.stage is Stage.LOADED and verdict.reached is None
            yield late_alert(verdict, link(business_date), times[feed.name].unsure if unsure else "")


def _missed(
    feeds: Iterable[Feed],
    business_date: date,
    times: Mapping[str, StageTimes],
    now: datetime,
    link: Callable[[date], str | None],
) -> Iterator[Alert]:
    due = max((at for feed in feeds if (at := feed.sla.last_due(business_date)) is not None), default=None)
    if due is not None and now - due <= HEARD_WITHIN:
        alert = missed_cycle_alert(business_date, due, times, now, link(business_date))
        yield from [alert] if alert else []


def _recoveries(
    opened: Iterable[OpenAlert], times: Mapping[str, StageTimes], link: Callable[[date], str | None]
) -> Iterator[Alert]:
    for one in opened:
        alert = one.alert
        if alert.stage == INTRADAY_STAGE:
            continue
        if alert.stage == CYCLE_STAGE:
            reached = cycle_done(times)
        else:
            reached = times[alert.feed].reached(Stage(alert.stage)) if alert.feed in times else None
        if reached is not None:
            # A load's time is that of its last decoded message: it may be before the look that did not see it yet.
            yield alert.recovery(one.reached(reached), link(alert.business_date))


def _loaded_at(
    settings: Settings, session: Session, feed: Feed, business_date: date, answers: TopicAnswers
) -> tuple[datetime | None, str]:
    """When a delivery was loaded, None while it is not, and why that is not known where the topic does not answer."""
    manifest = answers.ask(feed, lambda: cycle.delivered(settings, feed, business_date))
    silence = answers.silence_of(feed)
    if silence is None:
        return (None if manifest is None else last_load(session, manifest)), ""
    loaded = loaded_by_the_books(session, settings.landing, feed.name, business_date)
    return loaded, "" if loaded else unsure_detail(silence.reason)


def _dates(opened: Iterable[OpenAlert]) -> set[date]:
    return {one.alert.business_date for one in opened}
