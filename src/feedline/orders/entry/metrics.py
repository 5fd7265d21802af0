"""What order entry counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class EntryMetrics(Collector):
    """figures: gauges by name, asked for when they are read."""

    def __init__(self, figures: Callable[[], Mapping[str, float]]) -> None:
        self._figures = figures
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "feedline_orders_answers", "Requests by kind of event and status.", ["kind", "status"],
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "feedline_orders_answer_seconds", "From the request to its answer.", buckets=BUCKETS,
            registry=self._registry,
        )  # fmt: skip
        self._registry.register(self)
        self._counters: dict[tuple[str, int], Counter] = {}

    def answered(self, kind: str, status: int, seconds: float) -> None:
        counter = self._counters.get((kind, status))
        if counter is None:
            counter = self._counters[kind, status] = self._answers.labels(kind, str(status))
        counter.inc()
        self._seconds.observe(seconds)

    def collect(self) -> Iterator[Metric]:
        for name, value in self._figures().items():
            yield GaugeMetricFamily(f"feedline_orders_entry_{name}", name.replace("_", " "), value)

    def text(self) -> bytes:
        return generate_latest(self._registry)
