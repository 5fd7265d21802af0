"""`/health` and `/metrics` of a gateway."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feedline.orders.fix.gateway_status import GatewayStatus

# A status older than this says that the gateway's thread hangs.
STATUS_TOO_OLD_S = 30.0


class Telemetry(Collector):
    """A collector for Prometheus, and what is wrong. stall_s: lag without progress for so long is a stall; park_s: of
    one partition among others only after so much longer, as an event may wait there for an earlier one."""

    def __init__(self, status: Callable[[], GatewayStatus], stall_s: float, park_s: float = 0.0) -> None:
        self._status, self._stall_s, self._park_s = status, stall_s, park_s
        self._off_since: float | None = None
        self._moved: tuple[tuple[int, ...], float] = ((), time.monotonic())
        # By partition, how far it is and since when.
        self._stood: dict[int, tuple[int, float]] = {}

    def problems(self) -> list[str]:
        """A sentence each; nothing when all is well."""
        status, now, found = self._status(), time.monotonic(), []
        if now - status.taken_at > STATUS_TOO_OLD_S:
            found.append(f"the gateway's thread has said nothing for {now - status.taken_at:.0f} s")
        self._off_since = None if status.logged_on else self._off_since or now
        if self._off_since is not None and now - self._off_since > self._stall_s:
            said = f"; the engine said: {status.said}" if status.said else ""
            found.append(f"the FIX session has been off for {now - self._off_since:.0f} s{said}{_advice(status.said)}")
        places = tuple(one.committed for one in status.partitions)
        if places != self._moved[0] or not status.lag:
            self._moved = (places, now)
        if now - self._moved[1] > self._stall_s:
            found.append(
                f"{status.lag:,} events lie on the topic and none was answered for {now - self._moved[1]:.0f} s"
            )
        stalls = [*self._stalls(status, now)]
        return found or stalls

    def _stalls(self, status: GatewayStatus, now: float) -> Iterator[str]:
        """Partitions that stand still while others go on."""
        before, self._stood = self._stood, {}
        for one in status.partitions:
            place, since = before.get(one.partition, (-1, now))
            since = since if one.lag and one.committed == place else now
            self._stood[one.partition] = one.committed, since
            if now - since > self._stall_s + self._park_s:
                yield (
                    f"partition {one.partition} stands at offset {one.committed:,} for {now - since:.0f} s, "
                    f"with {one.lag:,} events: the engine has not answered that one"
                )

    def collect(self) -> Iterator[Metric]:
        status, session = self._status(), self._status().name
        lag = GaugeMetricFamily("feedline_gateway_lag", "Events not done yet.", labels=["session", "partition"])
        for one in status.partitions:
            lag.add_metric([session, str(one.partition)], one.lag)
        yield lag
        for name, text, value in (
            ("session_up", "1 when the FIX session is on.", float(status.logged_on)),
            ("in_flight", "Events sent, whose answer is not durable yet.", status.in_flight),
            ("ready", "Events that wait to be sent.", status.ready),
            ("parked", "Events that wait for an earlier one of their order.", status.parked),
            ("waiting", "Events held back until the engine answers the one before.", status.waiting),
            ("paused", "1 while nothing is read.", float(status.paused)),
        ):
            gauge = GaugeMetricFamily(f"feedline_gateway_{name}", text, labels=["session"])
            gauge.add_metric([session], value)
            yield gauge
        for name, count in sorted(status.counts.items()):
            counter = CounterMetricFamily(f"feedline_gateway_{name}", f"Since the start: {name}.", labels=["session"])
            counter.add_metric([session], count)
            yield counter


def _advice(said: str) -> str:
    if "too low" in said:
        return " (the engine counts further than our store: start the gateway with --reset-session)"
    return ""
