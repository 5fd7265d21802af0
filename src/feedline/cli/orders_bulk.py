"""`feedline orders bulk`: bulk order entry as a service."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import click
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feedline.cli.output import say
from feedline.consumer.telemetry import serve_probes
from feedline.orders.bulk.delays import read_delay
from feedline.orders.bulk.lane import LanePolicy
from feedline.orders.bulk.service import BulkEntry, BulkPolicy
from feedline.orders.topics import OrderTopics
from feedline.settings import load_settings

GAUGES = ("partitions", "open", "parked")


class _Figures(Collector):
    def __init__(self, entry: BulkEntry) -> None:
        self._entry = entry

    def collect(self) -> Iterator[Metric]:
        for name, value in self._entry.figures().items():
            family = GaugeMetricFamily if name in GAUGES else CounterMetricFamily
            yield family(f"feedline_orders_bulk_{name}", f"Bulk entry: {name.replace('_', ' ')}.", value)


@click.command(
    "bulk",
    epilog="""\b
Examples:
  feedline orders bulk
  feedline orders bulk --delay 50..150
  feedline orders bulk --delay exp:80..2000 --instance two --port 9112""",
)
@click.option("--delay", default="100", show_default=True, help="Milliseconds: 100, 50..150 (evenly) or exp:80 (mean).")
@click.option(
    "--instance",
    default=socket.gethostname,
    show_default="the host's name",
    help="Name among all that run at once; the same after a restart, so that it goes on without waiting.",
)
@click.option("--park", default=30.0, show_default=True, help="Seconds an event waits for those of its order before.")
@click.option(
    "--outstanding",
    type=click.IntRange(1),
    default=BulkPolicy().outstanding,
    show_default=True,
    help="Events held at once; an instance passes at most so many in the time of a delay.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that /health and /metrics listen on.")
@click.option("--port", default=9111, show_default=True, help="Their port; 0 takes a free one.")
@click.option("--prefix", default="", help="Of the topics' names, when the cluster has several sets of them.")
@click.option("--settings", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another settings file.")
def bulk_command(
    *,
    delay: str,
    instance: str,
    park: float,
    outstanding: int,
    host: str,
    port: int,
    prefix: str,
    settings: Path | None,
) -> None:
    """Enter the orders of `orders.bulk`, each after its delay, into `orders.out`, exactly once and in sequence.

    Events that are no order, or have no place in their order's life, go to `orders.ERROR` with the reason. Ends with 0
    on SIGTERM or SIGINT, with 3 when the broker is away or another instance of the same name was started.
    """
    logging.getLogger("feedline").setLevel(logging.WARNING)
    lane = LanePolicy(read_delay(delay), park_s=park)
    policy = BulkPolicy(lane=lane, outstanding=outstanding)
    entry = BulkEntry(load_settings(settings), instance, policy=policy, topics=OrderTopics(prefix))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: entry.stop())
    registry = CollectorRegistry()
    registry.register(_Figures(entry))
    with serve_probes(entry.problems, registry, host, port) as bound:
        say(f"bulk entry {instance}; http://{host}:{bound}/health")
        entry.run()
    figures = entry.figures()
    say(f"{figures.get('publish', 0):,} events entered, {figures.get('refuse', 0):,} refused")
