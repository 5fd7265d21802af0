"""A late feed is told once, and so is its recovery: on a real broker and warehouse, to a real HTTP server."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from feedline import cycle
from feedline.batch.control_file import control_path, delivery_folder
from feedline.catalog import ExchangeTime, Sla, load_catalog
from feedline.cli.main import main
from feedline.consumer.manifests import find_manifests
from feedline.datagen import generate_day
from feedline.errors import BrokerUnavailableError
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.monitoring.alert_book import CLAIM_HOLDS, alerts_of
from feedline.monitoring.watch import watch
from feedline.warehouse.connection import Session, open_warehouse
from feedline.warehouse.provision import provision_tables
from feedline.warehouse.validate import validate_delivery

NEW_YORK = ZoneInfo("America/New_York")
LATE = timedelta(minutes=12)


def exchange_time(moment: datetime, business_date: date) -> ExchangeTime:
    local = moment.astimezone(NEW_YORK)
    return ExchangeTime((local.date() - business_date).days, local.time().replace(second=0, microsecond=0))


class Desk:
    """The feed `accounts`, due twelve minutes ago for a business date of its own, and who watches it."""

    def __init__(self, settings, connection, catalog, business_date) -> None:
        self.settings, self.connection, self.day = settings, connection, business_date
        self.now = datetime.now(UTC).replace(second=0, microsecond=0)
        arrived, later = self.now - LATE, self.now + timedelta(hours=1)
        last = later + timedelta(hours=2)
        promised = Sla(*(exchange_time(due, self.day) for due in (arrived, later, last)))
        self.feed = replace(catalog.feed("accounts"), sla=promised)
        provision_tables(connection, replace(catalog, feeds={"accounts": self.feed}))
        ensure_topics(admin_client(settings.kafka), [self.feed.topic], settings.replication_factor)
        self.heard: list[dict] = []
        self.channels = {"desk": lambda alert: self.heard.append(alert.to_dict())}

    def look(self, after=timedelta(), connection=None, settings=None, **changed):
        asked = {"channels": self.channels, "is_business_date": lambda day: day == self.day, **changed}
        using, own = settings or self.settings, connection or self.connection
        return watch(using, own, [self.feed], now=self.now + after, link=str, **asked)

    def land(self):
        generate_day(
            load_catalog(), business_date=self.day, funds=2, seed=3, out=self.settings.landing, feeds=("accounts",)
        )

    def load(self, *, validate=True):
        manifest = cycle.produce(self.settings, self.feed, self.day)
        for part in cycle.plan(self.settings, self.connection, self.feed, manifest):
            cycle.load(self.settings, self.connection, self.feed, part)
        if validate:
            validate_delivery(self.connection, self.feed, manifest).raise_for_failures()

    def statuses(self):
        return [(alert.kind.value, status) for alert, status in alerts_of(Session(self.connection), self.day)]

    def kinds(self):
        return [(one["kind"], str(one["stage"])) for one in self.heard]


@pytest.fixture
def desk(warehouse_settings, catalog, tmp_path):
    """In a database of its own: a look takes up whatever alert is open."""
    warehouse = dict(warehouse_settings.warehouse)
    warehouse["session_parameters"] = {**warehouse["session_parameters"], "FAKESNOW_DB_PATH": str(tmp_path / "db")}
    settings = replace(warehouse_settings, warehouse=warehouse, landing=tmp_path / "landing")
    with open_warehouse(warehouse) as connection:
        yield Desk(settings, connection, catalog, datetime.now(NEW_YORK).date() - timedelta(days=1))


def test_a_feed_that_does_not_come_is_told_once_and_so_is_its_recovery(desk):
    desk.look()
    desk.look(timedelta(minutes=5))
    [alert] = desk.heard
    assert (alert["kind"], alert["feed"], alert["businessDate"]) == ("late", "accounts", desk.day.isoformat())
    assert (alert["stage"], alert["reached"], alert["link"]) == ("arrived", None, desk.day.isoformat())
    due = datetime.fromisoformat(alert["due"])
    assert due == desk.feed.sla.arrived_by.on(desk.day)
    assert alert["lateSeconds"] == int((desk.now - due).total_seconds())

    desk.land()
    desk.load()
    for minutes in (10, 15):
        desk.look(timedelta(minutes=minutes))
    assert desk.kinds() == [("late", "arrived"), ("recovered", "arrived")]
    assert desk.heard[1]["lateSeconds"] >= alert["lateSeconds"]
    assert desk.statuses() == [("late", "SENT"), ("recovered", "SENT")]


def test_a_file_that_keeps_an_older_time_does_not_turn_a_late_arrival_into_an_early_one(desk):
    import os

    desk.look()
    desk.land()
    early = (desk.now - timedelta(hours=5)).timestamp()
    for file in delivery_folder(desk.settings.landing, "accounts", desk.day).iterdir():
        os.utime(file, (early, early))
    desk.look(timedelta(minutes=1))
    assert desk.heard[1]["lateSeconds"] >= desk.heard[0]["lateSeconds"]


def test_a_load_that_hangs_after_a_late_arrival_is_another_alert_and_only_when_its_own_time_is_up(desk):
    desk.look()
    desk.land()
    desk.look(timedelta(minutes=1))
    desk.look(timedelta(minutes=65))
    assert desk.kinds() == [("late", "arrived"), ("recovered", "arrived")]
    desk.look(timedelta(minutes=100))
    assert desk.kinds()[2:] == [("late", "loaded")]
    desk.load(validate=False)
    desk.look(timedelta(minutes=101))
    assert desk.kinds()[3:] == [("recovered", "loaded")]


@pytest.mark.parametrize("files", ["there", "taken away"])
def test_without_a_broker_a_feed_is_late_only_when_files_and_ledger_do_not_know_it_loaded(desk, monkeypatch, files):
    away = replace(desk.settings, kafka={**desk.settings.kafka, "bootstrap.servers": "127.0.0.1:9"})
    monkeypatch.setattr(cycle, "find_manifests", partial(find_manifests, timeout_s=1))
    desk.land()
    desk.look()
    desk.load(validate=False)
    if files == "taken away":
        control_path(desk.settings.landing, "accounts", desk.day).unlink()
    before = len(desk.heard)
    with pytest.raises(BrokerUnavailableError):
        desk.look(timedelta(minutes=100), settings=away)
    desk.look(timedelta(minutes=105))
    told = [one["text"].partition("loaded")[0] for one in desk.heard[before:]]
    accounts = f"accounts of {desk.day}"
    known = [f"{accounts} is not known to be ", f"recovered: {accounts} was "]
    assert told == (known if files == "taken away" else [])
    assert all("was loaded in time" in one["text"] for one in desk.heard[before + 1 :])


def test_a_date_whose_times_passed_long_ago_and_a_day_without_trading_raise_no_alert(desk):
    desk.look(timedelta(days=2))
    desk.look(is_business_date=lambda _: False)
    desk.land()
    desk.load()
    desk.look(timedelta(days=2))
    assert desk.heard == []
    assert desk.statuses() == []


def test_a_scheduled_run_that_never_started_is_told_once_when_its_cycle_is_due_and_so_is_its_recovery(desk):
    never = {"has_run": lambda _: False}
    desk.look(timedelta(hours=2), **never)
    assert ("late", "cycle") not in desk.kinds()
    for minutes in (181, 190):
        desk.look(timedelta(minutes=minutes), **never)
    [missed] = [one for one in desk.heard if one["stage"] == "cycle"]
    assert (missed["feed"], missed["businessDate"]) == ("ihub_eod", desk.day.isoformat())
    assert missed["detail"] == "its scheduled run was never started; not validated: accounts"
    # Somebody starts a run by hand instead.
    desk.land()
    desk.load()
    for minutes in (195, 200):
        desk.look(timedelta(minutes=minutes), **never)
    assert desk.kinds().count(("recovered", "cycle")) == 1


def test_a_missed_run_of_a_day_without_trading_or_long_ago_or_of_a_whole_day_is_nobody_s(desk):
    never = {"has_run": lambda _: False}
    desk.look(timedelta(hours=4), is_business_date=lambda _: False, **never)
    desk.look(timedelta(days=2), **never)
    desk.land()
    desk.load()
    desk.look(timedelta(hours=4), **never)
    assert ("late", "cycle") not in desk.kinds()


def test_two_that_look_at_once_tell_once(desk):
    start = threading.Barrier(4)

    def one():
        with open_warehouse(desk.settings.warehouse) as own:
            start.wait()
            desk.look(connection=own)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert desk.kinds() == [("late", "arrived")]
    assert desk.statuses() == [("late", "SENT")]


def test_what_a_channel_refused_is_sent_again_to_that_channel_alone(desk):
    def refuse(_alert):
        raise ConnectionError("https://hooks.example/secret-token")

    desk.look(channels={**desk.channels, "other": refuse})
    assert desk.statuses() == [("late", "FAILED")]
    [(reason,)] = Session(desk.connection).execute(
        f"SELECT REASON FROM FEEDLINE.CONTROL.SLA_ALERT WHERE BUSINESS_DATE = '{desk.day}'", doing="cannot read"
    )
    assert reason == "other: ConnectionError"
    other: list = []
    desk.look(timedelta(minutes=5), channels={**desk.channels, "other": other.append})
    assert (len(desk.heard), len(other)) == (1, 1)
    assert desk.statuses() == [("late", "SENT")]


def test_an_alert_whose_sender_died_is_sent_by_a_later_look_under_the_same_id(desk):
    class Killed(BaseException):
        pass

    def die(alert):
        desk.heard.append(alert.to_dict())
        raise Killed

    with pytest.raises(Killed):
        desk.look(channels={"desk": die})
    desk.look(CLAIM_HOLDS / 2)
    assert len(desk.heard) == 1
    desk.look(CLAIM_HOLDS + timedelta(minutes=1))
    assert len(desk.heard) == 2
    assert desk.heard[0]["alertId"] == desk.heard[1]["alertId"]
    assert desk.statuses() == [("late", "SENT")]


def test_without_a_channel_an_alert_is_recorded_and_the_log_says_what_to_set_up(desk, caplog):
    desk.look(channels={})
    assert desk.statuses() == [("late", "RECORDED")]
    assert "feedline_alerts_webhook" in caplog.text


def test_the_command_shows_what_is_late_by_how_much_and_who_was_told(desk, tmp_path, monkeypatch):
    desk.look()
    file = tmp_path / "settings.json"
    of_stack = {name: dict(getattr(desk.settings, name)) for name in ("kafka", "registry", "warehouse")}
    file.write_text(json.dumps({**of_stack, "landing": str(desk.settings.landing)}), encoding="utf-8")
    monkeypatch.setenv("FEEDLINE_SETTINGS", str(file))
    options = ["sla", "--business-date", desk.day.isoformat(), "--feeds", "accounts"]
    shown = CliRunner().invoke(main, [*options, "--format", "json"])
    assert shown.exit_code == 4
    document = json.loads(shown.stdout)
    [accounts], [alert] = document["feeds"], document["alerts"]
    assert accounts["arrived"]["standing"] == "missing"
    assert accounts["arrived"]["lateSeconds"] > 0
    assert (alert["feed"], alert["stage"], alert["status"]) == ("accounts", "arrived", "SENT")
    table = CliRunner().invoke(main, options)
    assert "missing, " in table.stdout
    assert "has not arrived" in table.stderr
