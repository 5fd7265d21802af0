"""One local stack, and each comparison on it: every contender in turn, round after round."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date, timedelta
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

import snowflake.connector

from benchmarks import consumers, orders_bulk, orders_end_to_end, orders_fix, orders_http, recovery
from benchmarks.measure import Run, await_idle, python_contender, run_contender
from benchmarks.workload import bench_catalog, skew, topic_bytes, write_catalog
from feedline.catalog import load_catalog
from feedline.datagen import generate_day
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.local.stack import KAFKA, WAREHOUSE, StackConfig, down, status, up
from feedline.settings import Settings
from feedline.warehouse.provision import provision_tables

DAY = date(2026, 11, 20)
POSITIONS_A_FUND = 200

Series = dict[str, list[Run]]
POOLS = (1, 2, 4)
# A contender's command for a topic and a settings file.
Command = Callable[[str, Path], list[str]]


class Bench:
    """One stack, one set of files; `runs` rounds of each comparison."""

    def __init__(self, home: Path, *, runs: int, funds: int, baseline_records: int) -> None:
        self.runs = runs
        self.baseline_records = baseline_records
        self.home = home
        self.funds = funds
        # What is measured, for the lines that tell how far it is.
        self.part = "stack"
        self._started = time.monotonic()
        self._topics = 0
        self._consumed = ""
        self._databases = 0

    def __enter__(self) -> Self:
        self.settings: Settings = up(StackConfig(home=self.home, airflow=False), report=self._say)
        return self

    def __exit__(self, *_: object) -> None:
        down(self.home)

    @cached_property
    def landing(self) -> Path:
        """Files of positions, made when a comparison needs them first."""
        return self._generated("files", self.funds, ["positions"], files_per_feed=max(1, self.funds // 50))

    @cached_property
    def day_landing(self) -> Path:
        """A day's files of all feeds, likewise."""
        return self._generated("day", 50, None)

    def _generated(self, name: str, funds: int, feeds: list[str] | None, **more: int) -> Path:
        self._say(f"generating {', '.join(feeds or ['a day'])} of {funds} funds")
        out = self.home / name
        generate_day(load_catalog(), business_date=DAY, funds=funds, seed=1, out=out, feeds=feeds, **more)
        return out

    def files_to_kafka(self) -> Series:
        """(a) Positions from files to acknowledged Kafka."""
        common = self._common(self.landing)
        few = ["--feed", "positions", "--records", str(self.baseline_records)]
        contenders: Mapping[str, Command] = {
            "feedline, zstd": lambda topic, _: python_contender(
                "feedline_files", *common, "--topic", topic, "--feeds", "positions"
            ),
            "feedline, lz4": lambda topic, _: python_contender(
                "feedline_files", *common, "--topic", topic, "--feeds", "positions", "--compression", "lz4"
            ),
            "one Avro message a record": lambda topic, _: python_contender(
                "record_a_message", *common, "--topic", topic, *few
            ),
            "Kafka's producer-performance": lambda topic, _: python_contender(
                "producer_performance", *common, "--topic", topic, *few
            ),
        }
        return self._rounds(contenders, measure_topic=True)

    def topic_to_table(self) -> Series:
        """(b) Positions from the topic to their table."""
        topic = self._delivered()

        def usual(way: str, records: int) -> Command:
            few = ["--feed", "positions", "--records", str(records)]
            return lambda _, settings: python_contender("usual_load", way, *self._reading(settings, topic), *few)

        contenders: Mapping[str, Command] = {
            "feedline": lambda _, settings: python_contender(
                "feedline_load", *self._reading(settings, topic), "--feeds", "positions"
            ),
            "data frame, as write_pandas": usual("frame", self.baseline_records),
            "row-wise INSERT": usual("rows", 40),
        }
        return self._rounds(contenders, empty_tables=True)

    def whole_day(self) -> Series:
        """(c) All ten feeds of 50 funds, files to Kafka and topic to tables; what the steps take without Airflow."""
        feeds = ",".join(load_catalog().feeds)
        produced: list[Run] = []
        loaded: list[Run] = []
        # A topic for every round: a load from an empty checkpoint would read the rounds before as well.
        for number, topic in enumerate([self._topic() for _ in range(self.runs)], 1):
            self._say(f"whole day, round {number}")
            settings = self._empty_tables()
            command = ["feedline_files", *self._common(self.day_landing), "--topic", topic, "--feeds", feeds]
            produced.append(self._measured(python_contender(*command), topic))
            command = ["feedline_load", *self._reading(settings, topic), "--feeds", feeds]
            loaded.append(self._measured(python_contender(*command), ""))
        return {"files to Kafka": produced, "topic to tables": loaded}

    def consumers(self, delay_ms: float) -> Series:
        """(d) Messages of a topic through a consumer, each with `delay_ms` of waiting to do."""
        if not self._consumed:
            self._consumed = self._topic()
            # In a process of its own: what this one holds would count as the peak of every contender it starts.
            filler = get_context("spawn").Process(
                target=consumers.fill, args=(dict(self.settings.kafka), self._consumed, self.landing, DAY)
            )
            filler.start()
            filler.join()
        commands = consumers.commands(self.home / "settings.json", self._consumed, delay_ms)
        return self._rounds({name: lambda _, __, command=command: command for name, command in commands.items()})

    def pools(self) -> Series:
        """(e) Positions from the topic to their table, by so many at once."""
        topic = self._delivered()
        contenders = {f"planned, {size} ranges at once": self._pool("planned", size, topic) for size in POOLS}
        contenders |= {f"consume, {size} loads at once": self._pool("service", size, topic) for size in POOLS}
        contenders["consume, 2 processes of 2 loads"] = self._pool("services", 2, topic)
        return self._rounds(contenders, empty_tables=True)

    def pools_of_feeds(self) -> Series:
        """(e) The ten feeds of 50 funds from the topic to their tables, by so many at once."""
        topic, feeds = self._topic(), ",".join(load_catalog().feeds)
        command = ["feedline_files", *self._common(self.day_landing), "--topic", topic, "--feeds", feeds]
        run_contender(python_contender(*command), [])
        contenders = {f"planned, {size} feeds at once": self._pool("planned", size, topic, feeds) for size in POOLS}
        contenders |= {
            f"consume, {size} loads a feed at once, --max-mb {mb}": self._pool("service", size, topic, feeds, mb)
            for mb in (48, 256)
            for size in POOLS[:2]
        }
        return self._rounds(contenders, empty_tables=True)

    def _pool(self, kind: str, size: int, topic: str, feeds: str = "positions", max_mb: int = 256) -> Command:
        return lambda _, settings: python_contender(
            *("pool_load", kind, str(size), *self._reading(settings, topic), "--feeds", feeds, "--max-mb", str(max_mb))
        )

    def orders_http(self) -> dict[str, list[dict[str, Any]]]:
        """(p) Orders over HTTP, every contender in turn, round after round."""
        found: dict[str, list[dict[str, Any]]] = {}
        for number in range(self.runs):
            for index, (name, contender) in enumerate(orders_http.CONTENDERS.items()):
                self._say(f"{name}, round {number + 1} of {self.runs}")
                load = orders_http.measure(
                    self.home, self.settings, contender, self.home, number * len(orders_http.CONTENDERS) + index
                )
                found.setdefault(name, []).append(asdict(load))
        return found

    def orders_bulk(self) -> dict[str, list[dict[str, Any]]]:
        """(q) Bulk entry by instances and partitions, one run each."""
        found = {}
        for number, (partitions, instances, held) in enumerate(orders_bulk.runs()):
            name = f"{partitions} partitions, {instances} instances{', held up by the delay' if held else ''}"
            self._say(name)
            run = orders_bulk.measure(
                self.home, self.settings, partitions=partitions, instances=instances, held=held, number=number
            )
            found[name] = [asdict(run)]
        return found

    def orders_fix(self) -> dict[str, list[dict[str, Any]]]:
        """(r) Engine alone, gateways, and gateways that wait for the engine, round after round."""
        found: dict[str, list[dict[str, Any]]] = {}
        for number in range(self.runs):
            for name, one in orders_fix.measure_all(self.home, self.settings, self.home, number, self._say).items():
                found.setdefault(name, []).append(asdict(one))
        return found

    def orders_end_to_end(self) -> dict[str, list[dict[str, Any]]]:
        """(s) Orders at steady rates through all of their services; one run each, of so many seconds."""
        found = {}
        for number, (name, (rate, over_http)) in enumerate(orders_end_to_end.RUNS.items()):
            self._say(name)
            flow = orders_end_to_end.measure(self.home, self.settings, rate, over_http, seed=1 + 2 * number)
            found[name] = [asdict(flow)]
        return found

    def recovery(self) -> dict[str, list[recovery.Recovery]]:
        """(f) A loader is killed halfway and another is started."""
        topic = self._delivered()
        catalog = write_catalog(topic, self.home)
        records = self.funds * POSITIONS_A_FUND
        series: dict[str, list[recovery.Recovery]] = {}
        for number in range(1, self.runs + 1):
            for name, loader in recovery.loaders(topic, DAY).items():
                self._say(f"{name}, round {number} of {self.runs}")
                settings = self._empty_tables(catalog=str(catalog))
                series.setdefault(name, []).append(recovery.recover(loader, settings, records))
        return series

    def _delivered(self) -> str:
        """A topic that the positions have been delivered to."""
        topic = self._topic()
        command = ["feedline_files", *self._common(self.landing), "--topic", topic, "--feeds", "positions"]
        run_contender(python_contender(*command), [])
        return topic

    def _common(self, landing: Path) -> list[str]:
        return ["--settings", str(self.home / "settings.json"), "--landing", str(landing), "--date", DAY.isoformat()]

    @staticmethod
    def _reading(settings: Path, topic: str) -> list[str]:
        return ["--settings", str(settings), "--date", DAY.isoformat(), "--topic", topic]

    def _rounds(
        self, contenders: Mapping[str, Command], *, measure_topic: bool = False, empty_tables: bool = False
    ) -> Series:
        series: Series = {name: [] for name in contenders}
        # Each contender keeps one topic, as a day finds it: made long ago. A new one costs the broker seconds of work.
        topics = {name: self._topic() if measure_topic else "" for name in contenders}
        # One round more than is counted: the first warms caches, the registry and the broker's compiled code.
        for number in range(self.runs + 1):
            for name, command in contenders.items():
                self._say(f"{name}, round {number} of {self.runs}")
                settings = self._empty_tables() if empty_tables else self.home / "settings.json"
                run = self._measured(command(topics[name], settings), topics[name])
                if number:
                    series[name].append(run)
        return series

    def _measured(self, command: list[str], topic: str) -> Run:
        pids = [s.pid for s in status(self.home) if s.name in (KAFKA, WAREHOUSE) and s.pid is not None]
        await_idle(pids)
        before = topic_bytes(self.home / "kafka", topic)
        run = run_contender(command, pids)
        if topic:
            sizes = [b - a for a, b in zip(before, topic_bytes(self.home / "kafka", topic), strict=True)]
            run.extra.update(wire_bytes=sum(sizes), skew=skew(sizes))
        return run

    def _topic(self) -> str:
        self._topics += 1
        name = f"BENCH.{os.getpid()}.{self._topics}"
        ensure_topics(admin_client({**self.settings.kafka, "log_level": 4}), bench_catalog(name).topics(), 1)
        return name

    def _empty_tables(self, **more: str) -> Path:
        """Settings whose warehouse is a new database with empty tables; the stand-in has no DROP DATABASE."""
        self._databases += 1
        settings = json.loads((self.home / "settings.json").read_text(encoding="utf-8")) | more
        folder = self.home / "warehouses" / str(self._databases)
        settings["warehouse"]["session_parameters"]["FAKESNOW_DB_PATH"] = str(folder)
        with snowflake.connector.connect(**settings["warehouse"]) as connection:
            provision_tables(connection, load_catalog())
        file = self.home / f"settings-{self._databases}.json"
        file.write_text(json.dumps(settings), encoding="utf-8")
        return file

    def _say(self, text: str) -> None:
        spent = timedelta(seconds=round(time.monotonic() - self._started))
        print(f"{spent} {self.part}: {text}", file=sys.stderr, flush=True)
