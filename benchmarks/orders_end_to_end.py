"""Orders from end to end: HTTP and bulk entry, FIX gateway and engine as their own processes, at a steady rate.

Latencies are taken from what the messages themselves say: when an event was entered, when the broker was given it on
each topic, when its first answer was. One clock, since all of it runs on one machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import Message

from benchmarks.measure import cpu_seconds_of
from feedline.consumer.spans import read_spans
from feedline.kafka.admin import watermarks
from feedline.local.order_services import BULK, ENGINE, ENTRY, GATEWAY, ORDER_SERVICES, start_order_services
from feedline.local.stack import KAFKA
from feedline.local.state import read_state
from feedline.orders.demo.flow import Pace, Tally, enter_in_bulk, enter_over_http
from feedline.orders.demo.stages import await_drained, look, tell
from feedline.orders.model import EntrySource, decode_event, decode_report
from feedline.orders.provision import provision_orders
from feedline.orders.testdata.lives import Lives, LivesPolicy
from feedline.orders.topics import OrderTopics
from feedline.services.api_keys import add_key
from feedline.services.roles import Role
from feedline.settings import Settings

TITLE = "(s) Orders from end to end, each acknowledged by the engine; 100 ms of delay in bulk"
SECONDS = 20.0
# Events a second, and how many of them over HTTP.
RUNS: Mapping[str, tuple[float, float]] = {
    "250/s over HTTP": (250.0, 1.0),
    "250/s, half in bulk": (250.0, 0.5),
    "1,000/s, half in bulk": (1_000.0, 0.5),
}
# What takes orders to the engine and its answers back; the simulated engine and the broker are others'.
OURS = (ENTRY, BULK, GATEWAY)
WARM_UP_S = 5.0
DRAINED_WITHIN_S = 300.0
GROUP = "feedline.bench"

# Stages of an event, each from one moment to another.
HTTP_ANSWER = "HTTP request to its answer"
BULK_STAGE = "orders.bulk to orders.out"
FIX_STAGE = "orders.out to the engine's answer on orders.executions"
HTTP_WHOLE = "entered over HTTP to the answer on orders.executions"
BULK_WHOLE = "entered in bulk to the answer on orders.executions"


@dataclass(frozen=True, slots=True)
class Flow:
    """One run. asked, reached: events a second; cpu: seconds per 1,000 events by service; latencies in ms by stage:
    median, 95th and 99th percentile."""

    asked: float
    reached: float
    events: int
    answered: int
    cpu: Mapping[str, float]
    latencies: Mapping[str, tuple[float, float, float]]


def measure(home: Path, settings: Settings, rate: float, over_http: float, seed: int) -> Flow:
    """Sends `rate` events a second through the services of the stack in `home`, which it starts; over_http: the share
    that takes that way; seed: another one each time, or the orders would be there already."""
    topics = OrderTopics()
    provision_orders(settings)
    services = start_order_services(home, lambda _: None)
    url = services.url
    _, key = add_key(services.keys, "bench", Role.OPERATOR, expires=datetime.now(UTC) + timedelta(hours=1))
    time.sleep(1.5)
    tell(url(ENGINE), "/behaviour", {"answer": "ack"})
    _send(settings, topics, url(ENTRY), key, rate=rate, over_http=over_http, seconds=WARM_UP_S, seed=seed)
    begin = look(url(BULK), url(GATEWAY), url(ENGINE))
    await_drained(lambda: look(url(BULK), url(GATEWAY), url(ENGINE)).since(begin), 0, within_s=DRAINED_WITHIN_S)
    starts = {topic: _ends(settings, topic) for topic in (topics.bulk, topics.out, topics.executions)}
    before = look(url(BULK), url(GATEWAY), url(ENGINE))
    cpu, began = _cpu(home), time.monotonic()
    http, bulk = _send(
        settings, topics, url(ENTRY), key, rate=rate, over_http=over_http, seconds=SECONDS, seed=seed + 1
    )
    took = time.monotonic() - began
    await_drained(
        lambda: look(url(BULK), url(GATEWAY), url(ENGINE)).since(before), http.entered, within_s=DRAINED_WITHIN_S
    )
    events = http.entered + bulk.entered
    spent = {name: (now - cpu[name]) * 1000 / events for name, now in _cpu(home).items()}
    found = _latencies(settings, topics, starts)
    found[HTTP_ANSWER] = [1000 * one for one in http.seconds]
    return Flow(
        asked=rate,
        reached=events / took,
        events=events,
        answered=len(found[HTTP_WHOLE]) + len(found[BULK_WHOLE]),
        cpu=spent,
        latencies={stage: _percentiles(some) for stage, some in found.items()},
    )


def _send(
    settings: Settings,
    topics: OrderTopics,
    url: str,
    key: str,
    *,
    rate: float,
    over_http: float,
    seconds: float,
    seed: int,
) -> tuple[Tally, Tally]:
    http, bulk = Tally(), Tally()
    by_http, by_bulk = (
        Lives(LivesPolicy(source=source, client="bench"), seed).whole()
        for source in (EntrySource.HTTP, EntrySource.BULK)
    )
    ways = [partial(enter_over_http, url, key, by_http, Pace(rate * over_http, seconds), http)]
    if over_http < 1:
        ways.append(partial(enter_in_bulk, settings, topics, by_bulk, Pace(rate * (1 - over_http), seconds), bulk))
    failures: list[BaseException] = []

    def run(work: Any) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
            failures.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return http, bulk


def _cpu(home: Path) -> dict[str, float]:
    processes = read_state(home.resolve()).processes
    return {name: cpu_seconds_of([processes[name].pid]) for name in (*ORDER_SERVICES, KAFKA)}


def _ends(settings: Settings, topic: str) -> dict[int, int]:
    marks = watermarks(settings.kafka, topic, range(OrderTopics().partitions))
    return {partition: high for partition, (_, high) in marks.items()}


def _latencies(
    settings: Settings, topics: OrderTopics, starts: Mapping[str, Mapping[int, int]]
) -> dict[str, list[float]]:
    """By stage, milliseconds of every event."""

    def read(topic: str) -> Sequence[Message]:
        ends = _ends(settings, topic)
        spans = {partition: (start, ends[partition]) for partition, start in starts[topic].items()}
        return list(read_spans(settings.kafka, topic, spans, group=GROUP))

    entered_in_bulk: dict[tuple[str, int], int] = {}
    for message in read(topics.bulk):
        event = decode_event(message.value())
        entered_in_bulk[event.order_id, event.sequence] = message.timestamp()[1]
    first: dict[tuple[str, int], int] = {}
    for message in read(topics.executions):
        report = decode_report(message.value())
        known = (report.order_id, report.sequence)
        first[known] = min(first.get(known, 2**63), message.timestamp()[1])
    found: dict[str, list[float]] = {stage: [] for stage in (BULK_STAGE, FIX_STAGE, HTTP_WHOLE, BULK_WHOLE)}
    for message in read(topics.out):
        event = decode_event(message.value())
        name, at = (event.order_id, event.sequence), message.timestamp()[1]
        answered = first.get(name)
        if event.source is EntrySource.BULK:
            found[BULK_STAGE].append(at - entered_in_bulk[name])
        if answered is not None:
            found[FIX_STAGE].append(answered - at)
            over_http = event.source is EntrySource.HTTP
            entered = event.transact_time.timestamp() * 1000 if over_http else entered_in_bulk[name]
            found[HTTP_WHOLE if over_http else BULK_WHOLE].append(answered - entered)
    return found


def _percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    if not values:
        return (0.0, 0.0, 0.0)
    ordered = sorted(values)
    return tuple(ordered[min(len(ordered) - 1, int(len(ordered) * q))] for q in (0.5, 0.95, 0.99))  # type: ignore[return-value]


def table(flows: Mapping[str, Flow]) -> str:
    """Markdown: one table of throughput and CPU, one of latencies."""
    services = [*ORDER_SERVICES, KAFKA]
    lines = [
        f"### {TITLE}",
        "",
        "| flow | events/s | events | answered | "
        + " | ".join(f"{name}, CPU s / 1,000" for name in services)
        + " | entry, bulk and gateway, of one core |",
        "| --- " * (len(services) + 5) + "|",
    ]
    for name, flow in flows.items():
        share = sum(flow.cpu[one] for one in OURS) * flow.reached / 1000
        costs = " | ".join(f"{flow.cpu[one]:.3f}" for one in services)
        lines.append(f"| {name} | {flow.reached:,.0f} | {flow.events:,} | {flow.answered:,} | {costs} | {share:.1%} |")
    lines += ["", "| stage, ms: 50 %, 95 %, 99 % | " + " | ".join(flows) + " |", "| --- " * (len(flows) + 1) + "|"]
    for stage in (HTTP_ANSWER, BULK_STAGE, FIX_STAGE, HTTP_WHOLE, BULK_WHOLE):
        figures = (", ".join(f"{one:,.0f}" for one in flow.latencies[stage]) for flow in flows.values())
        lines.append(f"| {stage} | " + " | ".join(figures) + " |")
    return "\n".join(lines) + "\n"
