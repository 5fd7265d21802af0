"""`/health` and `/metrics` of running consumers, over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from feedline.consumer.pipeline_status import PipelineStatus
from feedline.small_server import JSON, small_server

# A status older than this says that the polling thread hangs.
STATUS_TOO_OLD_S = 30.0
HEALTH_PATHS = ("/health", "/health/live", "/health/ready")


@dataclass(frozen=True, slots=True)
class Watched:
    """A consumer as telemetry sees it: by feed, its status now, and the sink's counters by name."""

    status: Callable[[], PipelineStatus]
    counters: Callable[[], Mapping[str, int]]
    stall_s: float


def problems(watched: Mapping[str, Watched]) -> list[str]:
    """What is wrong now, a sentence each; nothing when all is well."""
    found = []
    for feed, one in watched.items():
        status = one.status()
        age = time.monotonic() - status.taken_at
        if age > STATUS_TOO_OLD_S:
            found.append(f"{feed}: the polling thread has said nothing for {age:.0f} s")
        if status.unplaced_s > one.stall_s:
            found.append(
                f"{feed}: partitions were taken {status.unplaced_s:.0f} s ago, and it cannot be found out where they "
                "begin: the log says why"
            )
        if status.ends_age_s > one.stall_s:
            found.append(f"{feed}: the broker has not said for {status.ends_age_s:.0f} s where partitions end")
        found += [
            f"{feed}: {p.topic} [{p.partition}] has stood at offset {p.next_offset} for {p.stalled_s:.0f} s, "
            f"with {p.lag} offsets to go"
            for p in status.stalled(one.stall_s)
        ]
    return found


class _Collector:
    def __init__(self, watched: Mapping[str, Watched]) -> None:
        self._watched = watched

    def collect(self) -> Iterator[Metric]:
        place = ["feed", "topic", "partition"]
        lag = GaugeMetricFamily("feedline_consumer_lag", "Offsets not dealt with yet.", labels=place)
        stalled = GaugeMetricFamily(
            "feedline_consumer_partition_stalled", "1 when there is lag and no progress.", labels=place
        )
        gauges = {
            "in_flight": GaugeMetricFamily("feedline_consumer_in_flight", "Messages taken, not done.", labels=["feed"]),
            "in_flight_bytes": GaugeMetricFamily("feedline_consumer_in_flight_bytes", "Their bytes.", labels=["feed"]),
            "commit_age_s": GaugeMetricFamily(
                "feedline_consumer_commit_age_seconds", "For how long something done is not committed.", labels=["feed"]
            ),
            "unplaced_s": GaugeMetricFamily(
                "feedline_consumer_unplaced_seconds",
                "For how long partitions are owned of which it is not known where they begin.",
                labels=["feed"],
            ),
            "ends_age_s": GaugeMetricFamily(
                "feedline_consumer_ends_age_seconds",
                "For how long the broker has not said where partitions end.",
                labels=["feed"],
            ),
            "workers": GaugeMetricFamily(
                "feedline_consumer_workers", "Threads that call the handler.", labels=["feed"]
            ),
        }
        counters = {
            name: CounterMetricFamily(f"feedline_consumer_{name}", text, labels=["feed"])
            for name, text in (
                ("handled", "Messages done."),
                ("failed", "Calls of the handler that failed."),
                ("rebalances", "Assignments, revocations and losses."),
            )
        }
        sink: dict[str, CounterMetricFamily] = {}
        for feed, one in self._watched.items():
            status = one.status()
            for p in status.partitions:
                labels = [feed, p.topic, str(p.partition)]
                lag.add_metric(labels, p.lag)
                stalled.add_metric(labels, float(p.stalled_s > one.stall_s))
            for family in (gauges, counters):
                for name, metric in family.items():
                    metric.add_metric([feed], getattr(status, name))
            for name, value in one.counters().items():
                metric = sink.setdefault(
                    name, CounterMetricFamily(f"feedline_load_{name}", f"Loaded: {name}.", labels=["feed"])
                )
                metric.add_metric([feed], value)
        yield from (lag, stalled, *gauges.values(), *counters.values(), *sink.values())


@contextmanager
def serve_telemetry(watched: Mapping[str, Watched], host: str, port: int) -> Iterator[int]:
    """Serves running consumers in a thread of its own until the end of the block; yields the port, a free one for 0."""
    registry = CollectorRegistry()
    registry.register(_Collector(watched))
    with serve_probes(lambda: problems(watched), registry, host, port) as bound:
        yield bound


@contextmanager
def serve_probes(wrong: Callable[[], list[str]], registry: CollectorRegistry, host: str, port: int) -> Iterator[int]:
    """`/health`, by what is wrong now, and `/metrics` of any service, until the end of the block; yields the port."""

    def answer(method: str, path: str, _body: bytes) -> tuple[int, str, bytes]:
        if method == "GET" and path in HEALTH_PATHS:
            found = wrong() if path != "/health/live" else []
            body = json.dumps({"status": "failing" if found else "ok", "reasons": found})
            return 503 if found else 200, JSON, body.encode()
        if method == "GET" and path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest(registry)
        return 404, "text/plain", b"/health or /metrics\n"

    with small_server(answer, host, port, name="feedline-telemetry") as bound:
        yield bound
