"""`make bench`: every contender in turn, round after round, on one local stack; the table is printed and stored."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Self

import snowflake.connector

from benchmarks import consumers, recovery
from benchmarks.measure import Run, await_idle, python_contender, run_contender
from benchmarks.report import raw, table
from benchmarks.workload import bench_catalog, skew, topic_bytes, write_catalog
from feedline.catalog import load_catalog
from feedline.datagen import generate_day
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.local.stack import KAFKA, WAREHOUSE, StackConfig, down, status, up
from feedline.settings import Settings
from feedline.warehouse.provision import provision_tables

RESULTS = Path(__file__).parent / "results"
DAY = date(2026, 11, 20)
POSITIONS_A_FUND = 200

Series = dict[str, list[Run]]
PARTS = ("files_to_kafka", "topic_to_table", "whole_day", "consumers", "pools", "recovery")
# A contender's command for a topic and a settings file.
Command = Callable[[str, Path], list[str]]


class Bench:
    """One stack, one set of files; `runs` rounds of each comparison."""

    def __init__(self, home: Path, *, runs: int, funds: int, baseline_records: int) -> None:
        self.runs = runs
        self.baseline_records = baseline_records
        self.home = home
        self.landing = home / "files"
        self.day_landing = home / "day"
        self.funds = funds
        self._topics = 0
        self._consumed = ""
        self._databases = 0

    def __enter__(self) -> Self:
        self.settings: Settings = up(StackConfig(home=self.home, airflow=False), report=self._say)
        try:
            catalog = load_catalog()
            self._say(f"generating positions of {self.funds} funds, and a day of 50")
            generate_day(
                catalog,
                business_date=DAY,
                funds=self.funds,
                seed=1,
                out=self.landing,
                feeds=["positions"],
                files_per_feed=max(1, self.funds // 50),
            )
            generate_day(catalog, business_date=DAY, funds=50, seed=1, out=self.day_landing)
        except BaseException:
            down(self.home)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        down(self.home)

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
        """(e) Positions from the topic to their table, by so many processes at once."""
        topic = self._delivered()

        def pool(kind: str, workers: int) -> Command:
            return lambda _, settings: python_contender(
                "pool_load", kind, str(workers), *self._reading(settings, topic)
            )

        contenders = {f"planned, {workers} at once": pool("planned", workers) for workers in (1, 2, 4)}
        contenders |= {f"services, {workers} at once": pool("services", workers) for workers in (1, 2)}
        return self._rounds(contenders, empty_tables=True)

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

    @staticmethod
    def _say(text: str) -> None:
        if sys.stderr.isatty():
            print(text, file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python -m benchmarks.run --runs 5 --only files_to_kafka",
    )
    parser.add_argument("--runs", type=int, default=5, help="counted rounds of each comparison (default 5)")
    parser.add_argument("--funds", type=int, default=250, help="positions of so many funds, 200 each (default 250)")
    parser.add_argument("--baseline-records", type=int, default=10_000, help="records for the slow contenders")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the table and the figures go")
    args = parser.parse_args()

    home = Path(tempfile.mkdtemp(prefix="feedline-bench-"))
    parts: list[str] = []
    figures = {}
    try:
        with Bench(home, runs=args.runs, funds=args.funds, baseline_records=args.baseline_records) as bench:
            comparisons: dict[str, tuple[str, Callable[[], Series], str]] = {
                "files_to_kafka": (
                    "(a) Files to acknowledged Kafka, positions",
                    bench.files_to_kafka,
                    "feedline, zstd",
                ),
                "topic_to_table": ("(b) Topic to table, positions", bench.topic_to_table, "feedline"),
                "whole_day": ("(c) The whole day of 50 funds, ten feeds", bench.whole_day, "files to Kafka"),
            }
            for delay in consumers.DELAYS_MS:
                title = f"(d) Consuming, {delay:g} ms of work a message"
                comparisons[f"consumers_{delay:g}"] = (title, partial(bench.consumers, delay), "feedline")
            comparisons["pools"] = ("(e) Topic to table by pool size, positions", bench.pools, "planned, 1 at once")
            for name, (title, measure, ours) in comparisons.items():
                if args.only is None or name.startswith(args.only):
                    series = measure()
                    parts.append(table(title, series, ours))
                    figures[name] = raw(series)
            if args.only in (None, "recovery"):
                recovered = bench.recovery()
                parts.append(recovery.table(recovered))
                figures["recovery"] = recovery.raw(recovered)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    text = f"# Benchmarks\n\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {machine}, {args.runs} runs.\n\n" + "\n".join(
        parts
    )
    args.out.mkdir(parents=True, exist_ok=True)
    suffix = f"-{args.only}" if args.only else ""
    (args.out / f"results{suffix}.md").write_text(text, encoding="utf-8")
    (args.out / f"results{suffix}.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
