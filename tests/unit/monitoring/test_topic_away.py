"""A topic that does not answer silences no alert, and what it alone knows is told as not known."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from feedline.catalog import ExchangeTime, Sla, Stage, load_catalog
from feedline.errors import BrokerUnavailableError, CorruptBatchError
from feedline.monitoring import watch as watching
from feedline.monitoring.alert import AlertKind
from feedline.monitoring.alert_book import OpenAlert
from feedline.monitoring.intraday import Late, intraday_alerts
from feedline.monitoring.topic_answers import TopicAnswers
from feedline.settings import Settings

FRIDAY = date(2026, 11, 20)
PROMISED = Sla(*map(ExchangeTime.parse, ("18:00", "19:00", "19:30")))
FEEDS = [replace(load_catalog().feed(name), sla=PROMISED) for name in ("positions", "accounts", "tax_lots")]


def new_york(clock):
    return ExchangeTime.parse(clock).on(FRIDAY)


class Evening:
    """Three feeds that share a topic, none of them validated; what lies where is set by the test."""

    def __init__(self) -> None:
        self.arrived = {feed.name: new_york("17:50") for feed in FEEDS}
        self.by_the_books = {}
        self.opened = []
        self.asked = []
        self.away = True
        self.loaded = None
        self.told = []

    def delivered(self, _settings, feed, _business_date):
        self.asked.append(feed.name)
        if self.away:
            raise BrokerUnavailableError("no broker answers")
        return "its manifest"

    def tell(self, _session, wanted, *_):
        self.told += wanted
        return []

    def look(self, clock):
        """What is told by a look then."""
        self.told = []
        settings = Settings({}, {}, {}, Path())
        about = {"is_business_date": lambda day: day == FRIDAY, "channels": {}}
        watching.watch(settings, None, FEEDS, now=new_york(clock), **about)


@pytest.fixture
def evening(monkeypatch):
    found = Evening()
    monkeypatch.setattr(watching.cycle, "delivered", found.delivered)
    monkeypatch.setattr(watching, "arrived_at", lambda _landing, feed, _date: found.arrived[feed])
    monkeypatch.setattr(watching, "loaded_by_the_books", lambda _s, _l, feed, _d: found.by_the_books.get(feed))
    monkeypatch.setattr(watching, "last_load", lambda *_: found.loaded)
    monkeypatch.setattr(watching, "open_alerts", lambda *_: found.opened)
    monkeypatch.setattr(watching, "stages_reached", lambda *_: {})
    monkeypatch.setattr(watching, "record_stage", lambda *_: None)
    monkeypatch.setattr(watching, "tell", found.tell)
    return found


def test_every_late_feed_is_told_while_the_broker_is_away_and_then_that_it_is(evening):
    evening.arrived["accounts"] = None
    with pytest.raises(BrokerUnavailableError):
        evening.look("19:12")
    missing, unknown = sorted(evening.told, key=lambda alert: alert.feed)[:2]
    assert missing.text == "accounts of 2026-11-20 has not arrived: it was due at 18:00 EST, 1 h 12 min ago"
    assert unknown.text == (
        "positions of 2026-11-20 is not known to be loaded: it was due at 19:00 EST, 12 min ago\n"
        "the topic does not answer, and files and tables alone cannot tell: no broker answers"
    )
    # Of three feeds on the topic one was asked: each question that is not answered takes half a minute.
    assert evening.asked == ["positions"]


def test_a_feed_that_files_and_tables_know_to_be_loaded_is_not_told_late(evening):
    evening.by_the_books = {feed.name: new_york("18:40") for feed in FEEDS}
    with pytest.raises(BrokerUnavailableError):
        evening.look("19:12")
    assert evening.told == []


def test_a_feed_that_was_loaded_in_time_after_all_is_not_called_late_when_the_broker_is_back(evening):
    with pytest.raises(BrokerUnavailableError):
        evening.look("19:12")
    evening.opened = [OpenAlert(alert, new_york("19:12")) for alert in evening.told if alert.feed == "positions"]
    with pytest.raises(BrokerUnavailableError):
        evening.look("19:17")
    assert [alert for alert in evening.told if alert.kind is AlertKind.RECOVERED] == []
    evening.away, evening.loaded = False, new_york("18:40")
    evening.look("19:22")
    [recovered] = evening.told
    assert recovered.text == "recovered: positions of 2026-11-20 was loaded in time, at 18:40 EST (due 19:00 EST)"


def test_a_load_that_was_seen_to_be_missing_was_not_there_before(evening):
    evening.away = False
    evening.look("19:12")
    assert {alert.stage for alert in evening.told} == {Stage.LOADED}
    evening.opened = [OpenAlert(evening.told[0], new_york("19:12"))]
    evening.loaded = new_york("18:40")
    evening.look("19:17")
    assert "loaded 12 min late, at 19:12 EST" in evening.told[0].text


def test_what_comes_during_the_day_is_told_as_not_known_and_nothing_as_recovered():
    late = [Late("a small delivery", new_york("10:02"), new_york("10:32"))]
    rest = {"now": new_york("10:40"), "heard_within": timedelta(hours=6), "loaded": None, "link": None}
    [alert] = intraday_alerts(FEEDS[0], FRIDAY, late, [], **rest, unsure="no broker answers")
    assert alert.text == (
        "positions of 2026-11-20 has intraday data that is not known to be loaded: it was due at 10:32 EST, 8 min ago\n"
        "the topic does not answer, and files and tables alone cannot tell: no broker answers\n"
        "1 delivery waits: a small delivery"
    )
    opened = [OpenAlert(alert, new_york("10:40"))]
    assert list(intraday_alerts(FEEDS[0], FRIDAY, [], opened, **rest, unsure="no broker answers")) == []
    assert len(list(intraday_alerts(FEEDS[0], FRIDAY, [], opened, **rest))) == 1


def test_a_message_that_cannot_be_read_is_one_feed_s_and_leaves_the_topic_to_the_others():
    def corrupt():
        raise CorruptBatchError("no manifest")

    answers, (first, second, _) = TopicAnswers(), FEEDS
    assert answers.ask(first, corrupt) is None
    assert answers.ask(second, lambda: "an answer") == "an answer"
    assert (answers.silence_of(second), answers.silence_of(first).reason) == (None, "no manifest")
    with pytest.raises(CorruptBatchError):
        answers.raise_silence()
