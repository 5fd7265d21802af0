"""`feedline consume`: loads topics into tables as messages come, until it is told to end."""

from __future__ import annotations

import logging
import signal
import threading
import time
from contextlib import ExitStack

import click

from feedline.catalog import Catalog, load_catalog
from feedline.cli.feed_options import chosen_feeds, feeds_option
from feedline.cli.output import OK, TRY_AGAIN, say
from feedline.consumer.pipeline_policy import Rebalance
from feedline.consumer.pipelined import PipelinedConsumer
from feedline.consumer.telemetry import Watched, problems, serve_telemetry
from feedline.continuous import FeedLoader, continuous_load, loading_policy
from feedline.settings import load_settings
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.provision import provision_tables

logger = logging.getLogger(__name__)

LOOK_S = 0.5
COUNTERS = ("records", "batches", "error_batches", "duplicate_batches", "stray_messages", "transactions")


@click.command()
@feeds_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that /health and /metrics listen on.")
@click.option("--port", default=9100, show_default=True, help="Their port; 0 takes a free one.")
@click.option(
    "--loads",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Loads of one feed at once, each of other partitions: one decodes while another one's transaction is open.",
)
@click.option("--max-age", default=5.0, show_default=True, help="Load what has come after so many seconds.")
@click.option("--max-batches", default=2_000, show_default=True, help="Load at once after so many messages.")
@click.option(
    "--max-mb",
    type=click.IntRange(min=1),
    default=48,
    show_default=True,
    help="Or after so many MiB, of all loads together. With 256, catching up is as fast as a day's planned load.",
)
@click.option(
    "--rebalance",
    type=click.Choice([one.value for one in Rebalance]),
    default=Rebalance.COOPERATIVE.value,
    show_default=True,
    help="How partitions are shared out; `consumer` is the broker's own protocol (KIP-848).",
)
@click.option("--drain", default=30.0, show_default=True, help="Seconds to finish loads when told to end.")
@click.option("--stall-after", default=120.0, show_default=True, help="Lag without progress for so long is a stall.")
@click.option("--give-up-after", default=600.0, show_default=True, help="End with 3 when it was not well for so long.")
@click.pass_context
def consume(  # noqa: PLR0917 - click passes them by name
    context: click.Context,
    feeds: str | None,
    host: str,
    port: int,
    loads: int,
    max_age: float,
    max_batches: int,
    max_mb: int,
    rebalance: str,
    drain: float,
    stall_after: float,
    give_up_after: float,
) -> None:
    """Load what comes on the topics into the tables, as a service.

    Starts at the warehouse's checkpoints; any number may run for the same feeds and share their partitions. Ends with
    0 on SIGTERM or SIGINT after finishing the loads at work, with 3 when it was stalled for too long, with 1 when
    something must be changed first. /health answers 200, or 503 with the reasons; /metrics is for Prometheus.

    \b
    Examples:
      feedline consume
      feedline consume --feeds positions,navs --port 9101 --max-age 30
      feedline consume --feeds positions --loads 4 --max-mb 256
    """
    # A service is known by its log: attempts that failed, partitions lost, checkpoints set back.
    logging.getLogger("feedline").setLevel(logging.WARNING)
    settings = load_settings()
    chosen = chosen_feeds(load_catalog(settings.catalog), feeds)
    with open_warehouse(settings.warehouse) as connection:
        provision_tables(connection, Catalog({feed.name: feed for feed in chosen}))
    policy = loading_policy(
        loads=loads,
        max_messages=max_batches,
        max_bytes=max_mb * 1024 * 1024,
        max_age_s=max_age,
        rebalance=Rebalance(rebalance),
        drain_s=drain,
        stall_s=stall_after,
    )
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    code = OK
    with ExitStack() as running:
        started = {feed.name: running.enter_context(continuous_load(settings, feed, policy)) for feed in chosen}
        watched = {name: _watch(*one, stall_after) for name, one in started.items()}
        bound = running.enter_context(serve_telemetry(watched, host, port))
        say(f"loading {', '.join(started)}; http://{host}:{bound}/health")
        if not _watch_until(ending, [consumer for consumer, _ in started.values()], watched, give_up_after):
            code = TRY_AGAIN
        for consumer, _ in started.values():
            # All at once; leaving the block then waits for each.
            consumer.stop()
    for name, (_, loader) in started.items():
        say(f"{name}: {loader.records:,} records in {loader.batches:,} micro-batches loaded")
    context.exit(code)


def _watch(consumer: PipelinedConsumer, loader: FeedLoader, stall_s: float) -> Watched:
    return Watched(consumer.status, lambda: {name: getattr(loader, name) for name in COUNTERS}, stall_s)


def _watch_until(
    ending: threading.Event, consumers: list[PipelinedConsumer], watched: dict[str, Watched], give_up_after: float
) -> bool:
    """Whether it was told to end; False when it was not well for too long. Raises what stopped a consumer."""
    since: float | None = None
    while not ending.wait(LOOK_S):
        for consumer in consumers:
            consumer.wait(0)
        wrong = problems(watched)
        if not wrong:
            if since is not None:
                say(f"well again after {time.monotonic() - since:.0f} s")
            since = None
            continue
        if since is None:
            since = time.monotonic()
            for one in wrong:
                logger.error(one)
                say(f"not well: {one}")
        if time.monotonic() - since > give_up_after:
            say(f"not well for {give_up_after:.0f} s, giving up: {wrong[0]}")
            return False
    return True
