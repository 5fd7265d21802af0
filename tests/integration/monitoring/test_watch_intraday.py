"""What comes during the day and is not taken up in time is told once, and so is that it was: on a real broker."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import yaml
from click.testing import CliRunner

from feedline import FeedProducer, cycle
from feedline import cycle_intraday as intraday
from feedline.batch.control_file import control_path, intraday_control_paths, read_control_file
from feedline.catalog import Catalog, ExchangeTime, IntradaySla, Sla, default_catalog_path
from feedline.cli.main import main
from feedline.datagen import IntradayShare, generate_day
from feedline.errors import BrokerUnavailableError
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.monitoring import intraday as watching
from feedline.monitoring.topic_answers import TopicAnswers
from feedline.monitoring.watch import watch
from feedline.producer.intraday_files import landed_deliveries
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.provision import provision_tables

NEW_YORK = ZoneInfo("America/New_York")
WITHIN = timedelta(minutes=30)
FEED = "transactions"


class Desk:
    """The feed `transactions` for a business date of its own, on a topic of its own, and who watches it."""

    def __init__(self, settings, connection, catalog) -> None:
        self.settings, self.connection = settings, connection
        self.now = datetime.now(UTC)
        self.day = self.now.astimezone(NEW_YORK).date() - timedelta(days=1)
        self.feed = catalog.feed(FEED)
        self.promise(ends=timedelta(hours=3))
        self.catalog = Catalog({FEED: self.feed})
        provision_tables(connection, self.catalog)
        ensure_topics(admin_client(settings.kafka), [self.feed.topic], settings.replication_factor)
        self.heard: list[dict] = []

    def promise(self, *, ends):
        """From three hours ago until so long from now."""
        span = [exchange_time(self.now + shift, self.day) for shift in (timedelta(hours=-3), ends)]
        self.feed = replace(self.feed, sla=Sla(intraday=IntradaySla(WITHIN, *span)))

    def look(self, after):
        watch(
            self.settings,
            self.connection,
            [self.feed],
            now=self.now + after,
            is_business_date=lambda day: day == self.day,
            channels={"desk": lambda alert: self.heard.append(alert.to_dict())},
            intraday_link="https://airflow",
        )
        return [(one["kind"], one["stage"]) for one in self.heard]

    def land(self):
        """Two small deliveries; their controls."""
        share = IntradayShare(0.5, deliveries=2)
        out = self.settings.landing
        generate_day(self.catalog, business_date=self.day, funds=1, seed=2, out=out, intraday=share)
        return intraday_control_paths(out, FEED, self.day)

    def records(self):
        """Records of the day that no small delivery has."""
        file, *_ = control_path(self.settings.landing, FEED, self.day).parent.glob("*.jsonl")
        return file.read_bytes().splitlines()

    def settings_file(self, folder, *, within_minutes):
        """Settings for the commands, with a catalogue that promises so much."""
        include = folder / "include"
        shutil.copytree(default_catalog_path().parent, include)
        document = yaml.safe_load((include / "feeds.yaml").read_text(encoding="utf-8"))
        [shipped] = document["topics"]
        topic = self.feed.topic.name
        entry = document["feeds"][FEED] | {"topic": topic}
        promise = self.feed.sla.intraday
        span = {"from": str(promise.begins), "until": str(promise.ends)}
        entry["sla"] = {"intraday": {"within_minutes": within_minutes, **span}}
        kept = {"topics": {topic: document["topics"][shipped]}, "feeds": {FEED: entry}}
        (include / "feeds.yaml").write_text(yaml.safe_dump(kept), encoding="utf-8")
        of_stack = {name: dict(getattr(self.settings, name)) for name in ("kafka", "registry", "warehouse")}
        file = folder / "settings.json"
        places = {"landing": str(self.settings.landing), "catalog": str(include / "feeds.yaml")}
        file.write_text(json.dumps({**of_stack, **places}), encoding="utf-8")
        return file

    def pass_(self):
        """What the Dag's tasks of a feed do one after the other."""
        landed = landed_deliveries(self.settings.landing, FEED, self.day)
        announced = intraday.announced_deliveries(self.settings, self.feed, self.day)
        intraday.produce_landed(self.settings, self.feed, landed, announced)
        for part in intraday.plan_what_is_there(self.settings, self.connection, self.feed):
            cycle.load(self.settings, self.connection, self.feed, part)

    def program(self):
        """A client's program."""
        ours = {
            "feedline.catalog": self.catalog,
            "feedline.registry": dict(self.settings.registry),
            "feedline.register.schemas": True,
            "feedline.business.date": self.day,
            "feedline.cycle": "INTRADAY",
        }
        return FeedProducer({**self.settings.kafka, **ours})


def exchange_time(moment, business_date):
    local = moment.astimezone(NEW_YORK)
    return ExchangeTime((local.date() - business_date).days, local.time().replace(second=0, microsecond=0))


@pytest.fixture
def desk(warehouse_settings, catalog, tmp_path):
    """In a database of its own: a look takes up whatever alert is open."""
    warehouse = dict(warehouse_settings.warehouse)
    warehouse["session_parameters"] = {**warehouse["session_parameters"], "FAKESNOW_DB_PATH": str(tmp_path / "db")}
    settings = replace(warehouse_settings, warehouse=warehouse, landing=tmp_path / "landing")
    with open_warehouse(warehouse) as connection:
        yield Desk(settings, connection, catalog)


def test_files_and_records_that_nobody_takes_up_are_told_once_and_so_is_that_they_were(desk):
    names = {read_control_file(control).delivery.delivery_id for control in desk.land()}
    records = desk.records()
    with desk.program() as program:
        program.produce(desk.feed.topic.name, records[0])
        program.flush()
        assert desk.look(timedelta(minutes=25)) == []
        assert desk.look(timedelta(minutes=35)) == [("late", "intraday")]
        assert desk.look(timedelta(minutes=40)) == [("late", "intraday")]
        [alert] = desk.heard
        assert (alert["feed"], alert["businessDate"], alert["link"]) == (FEED, str(desk.day), "https://airflow")
        assert alert["detail"].startswith("3 deliveries wait: ")
        assert all(name in alert["detail"] for name in names)

        desk.pass_()
        assert desk.look(timedelta(minutes=45)) == [("late", "intraday"), ("recovered", "intraday")]
        assert desk.look(timedelta(minutes=50)) == desk.look(timedelta(minutes=55))
        assert len(desk.heard) == 2

        # Late again on the same date, this time only on the topic, and for longer than a look reads back.
        program.produce(desk.feed.topic.name, records[1])
        program.flush()
    assert desk.look(timedelta(minutes=60))[2:] == [("late", "intraday")]
    assert desk.look(timedelta(minutes=170))[3:] == []
    desk.pass_()
    assert desk.look(timedelta(minutes=175))[3:] == [("recovered", "intraday")]
    assert len({one["alertId"] for one in desk.heard}) == 4


def test_a_date_that_is_filled_in_afterwards_raises_no_alert(desk):
    desk.promise(ends=timedelta(hours=-1))
    desk.land()
    with desk.program() as program:
        program.produce(desk.feed.topic.name, desk.records()[0])
        program.flush()
    assert desk.look(timedelta(minutes=45)) == []


def test_without_a_broker_files_are_late_only_when_the_ledger_does_not_know_them_loaded(desk, monkeypatch):
    def no_broker(*_):
        raise BrokerUnavailableError("no broker answers")

    def look_without_broker(after):
        with monkeypatch.context() as away:
            away.setattr(watching, "offsets_at", no_broker)
            with pytest.raises(BrokerUnavailableError):
                desk.look(after)

    desk.land()
    look_without_broker(timedelta(minutes=35))
    [alert] = desk.heard
    assert "has intraday data that is not known to be loaded" in alert["text"]
    assert "no broker answers" in alert["detail"]
    desk.pass_()
    # Nothing is late any more, and that nothing is cannot be known.
    look_without_broker(timedelta(minutes=40))
    with monkeypatch.context() as away:
        away.setattr(watching, "offsets_at", no_broker)
        known = {"now": desk.now + timedelta(minutes=40), "answers": TopicAnswers()}
        assert watching.late_deliveries(desk.settings, desk.connection, desk.feed, desk.day, **known) == []
    assert len(desk.heard) == 1
    assert desk.look(timedelta(minutes=45)) == [("late", "intraday"), ("recovered", "intraday")]
    assert "had its intraday data loaded in time" in desk.heard[1]["text"]


def test_a_control_file_that_cannot_be_used_is_late_by_its_name_and_the_command_shows_it(desk, tmp_path, monkeypatch):
    _, second = desk.land()
    second.write_text("{", encoding="utf-8")
    desk.pass_()
    assert desk.look(timedelta(minutes=35)) == [("late", "intraday")]
    [alert] = desk.heard
    assert alert["detail"] == f"1 delivery waits: {second.name}"

    monkeypatch.setenv("FEEDLINE_SETTINGS", str(desk.settings_file(tmp_path, within_minutes=0.001)))
    options = ["sla", "--business-date", str(desk.day), "--feeds", FEED]
    shown = CliRunner().invoke(main, [*options, "--format", "json"])
    assert shown.exit_code == 4
    [late] = json.loads(shown.stdout)["intraday"]
    assert (late["feed"], late["name"]) == (FEED, second.name)
    table = CliRunner().invoke(main, options)
    assert f"{second.name} came at" in table.stderr
