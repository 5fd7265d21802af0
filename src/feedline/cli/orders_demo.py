"""`feedline orders demo`: a minute of orders over HTTP and in bulk, through FIX, into tables, and the books of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from pathlib import Path

import click

from feedline.cli.orders_reconcile import print_books
from feedline.cli.output import INCOMPLETE, OK, format_option, print_json, print_table, say, tell_activation
from feedline.cli.stack import home_option
from feedline.local.order_services import BULK, ENGINE, ENTRY, GATEWAY, OrderServices, start_order_services
from feedline.local.stack import StackConfig, status, up
from feedline.orders.demo.flow import Pace, Tally, enter_in_bulk, enter_over_http
from feedline.orders.demo.stages import Stages, await_drained, look, tell
from feedline.orders.model import EntrySource
from feedline.orders.provision import provision_orders
from feedline.orders.reconcile.books import reconcile
from feedline.orders.testdata.lives import Lives, LivesPolicy
from feedline.orders.topics import OrderTopics
from feedline.orders.warehouse.rows import EXCHANGE_ZONE
from feedline.orders.warehouse.run import load_all
from feedline.orders.warehouse.tables import provision_order_tables
from feedline.services.api_keys import add_key
from feedline.services.roles import Role
from feedline.settings import Settings
from feedline.warehouse.connection import open_warehouse

# The engine is away from here on, for so long; parts of the whole.
AWAY_FROM, AWAY_FOR = 0.4, 0.2
# What the engine answers, one after the other, so that orders end in different states.
MOODS = ("fill", "partial", "ack")
# New orders, amendments and cancellations that it rejects each time, as they come.
REJECTED = 10
TELL_S = 5.0
DRAINED_WITHIN_S = 600.0


@dataclass
class _Run:
    """One run: what is running, and what was counted."""

    services: OrderServices
    settings: Settings
    seconds: float
    http: Tally = field(default_factory=Tally)
    bulk: Tally = field(default_factory=Tally)

    def look(self) -> Stages:
        url = self.services.url
        return look(url(BULK), url(GATEWAY), url(ENGINE))


@click.command(
    "demo",
    epilog="""\b
Examples:
  feedline orders demo
  feedline orders demo --seconds 20 --rate 100
  feedline orders demo --seed 2 --format json""",
)
@click.option("--seconds", type=click.FloatRange(1, 3600), default=60, show_default=True, help="How long orders flow.")
@click.option("--rate", type=click.FloatRange(2, 5000), default=250, show_default=True, help="Events a second.")
@click.option("--seed", type=int, help="Another seed makes other orders.  [default: another one each time]")
@home_option
@format_option
@click.pass_context
def demo_command(
    context: click.Context, *, seconds: float, rate: float, seed: int | None, home: Path, output_format: str
) -> None:
    """Run a minute of orders on the local stack, with the FIX engine going away and coming back.

    Starts what does not run yet, sends half of the events over HTTP and half in bulk, loads the tables and ends with
    the books of the day. What runs stays up. The same command again adds another minute and changes nothing that was.
    Exits with 4 when a book does not balance.
    """
    with _interruptible(home):
        settings = up(StackConfig(home=home, airflow=False), say)
        provision_orders(settings)
        services = start_order_services(home, say)
        run = _Run(services, settings, seconds)
        # A run that was killed may have left it away.
        tell(services.url(ENGINE), "/back", {})
        before = run.look()
        _flow(run, rate, seed if seed is not None else time.time_ns())
        entered = run.http.entered + run.bulk.entered
        say(f"{entered:,} events entered; waiting until the last is answered")
        after = await_drained(lambda: run.look().since(before), run.http.entered, within_s=DRAINED_WITHIN_S)
        with open_warehouse(settings.warehouse) as connection:
            provision_order_tables(connection)
            say("loading the tables")
            loaded = load_all(settings, connection)
            books = reconcile(
                settings, connection, datetime.now(EXCHANGE_ZONE).date(), engine_folder=services.engine_folder
            )
    summary = [
        ("entered over HTTP", run.http.entered),
        ("entered in bulk", run.bulk.entered),
        ("published by bulk entry", after.bulk),
        ("sent as FIX", after.sent),
        ("refused by the gateway", after.refused),
        ("booked by the engine", after.booked),
        ("execution reports", after.reports),
        *((f"loaded into {one.table}", one.loaded) for one in loaded),
    ]
    if output_format == "json":
        print_json({"seconds": seconds, "counts": dict(summary), "stages": asdict(after), "books": books.to_dict()})
    else:
        click.echo()
        print_table(("this run", "events"), summary, title=f"{run.http.orders + run.bulk.orders:,} orders")
        click.echo()
        print_books(books)
        _print_services(home, services)
    context.exit(OK if books.balances else INCOMPLETE)


def _flow(run: _Run, rate: float, seed: int) -> None:
    _, key = add_key(run.services.keys, "demo", Role.OPERATOR, expires=datetime.now(UTC) + timedelta(hours=1))
    # The service notices a new key within a second.
    time.sleep(1.5)
    pace = partial(Pace, rate / 2, run.seconds)
    failures: list[BaseException] = []
    over_http = Lives(LivesPolicy(source=EntrySource.HTTP), seed).whole()
    http = partial(enter_over_http, run.services.url(ENTRY), key, over_http, pace(), run.http)
    in_bulk = Lives(LivesPolicy(errors=0.01, client="demo"), seed).whole()
    bulk = partial(enter_in_bulk, run.settings, OrderTopics(), in_bulk, pace(), run.bulk)
    threads = [threading.Thread(target=_catch, args=(one, failures), daemon=True) for one in (http, bulk)]
    say(f"sending {rate:g} events a second for {run.seconds:g} s, half over HTTP and half in bulk")
    for thread in threads:
        thread.start()
    _watch(run, threads)
    if failures:
        raise failures[0]


def _catch(work: Callable[[], None], failures: list[BaseException]) -> None:
    try:
        work()
    except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
        failures.append(error)


def _watch(run: _Run, threads: list[threading.Thread]) -> None:
    """Tells how it goes, and sends the engine away and back, until the flow ends."""
    began = told = time.monotonic()
    away = back = False
    moods = cycle(MOODS)
    mood_s, next_mood = run.seconds / (2 * len(MOODS)), 0.0
    last, counted = run.look(), (0, 0)
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.1)
        at = time.monotonic() - began
        if at >= next_mood:
            next_mood = at + mood_s
            tell(run.services.url(ENGINE), "/behaviour", {"answer": next(moods), "reject_next": REJECTED})
        if not away and at >= AWAY_FROM * run.seconds:
            away = True
            tell(run.services.url(ENGINE), "/away", {"seconds": AWAY_FOR * run.seconds})
            say(f"{at:5.0f} s  the engine goes away for {AWAY_FOR * run.seconds:.0f} s: orders are taken and wait")
        if away and not back and at >= (AWAY_FROM + AWAY_FOR) * run.seconds:
            back = True
            say(f"{at:5.0f} s  the engine is back: what waited is sent, in sequence")
        if time.monotonic() - told >= TELL_S:
            now, passed = run.look(), time.monotonic() - told
            entered = (run.http.entered, run.bulk.entered)
            say(_line(at, passed, now.since(last), entered[0] - counted[0], entered[1] - counted[1]))
            told, last, counted = time.monotonic(), now, entered


def _line(at: float, passed: float, added: Stages, http: int, bulk: int) -> str:
    def rate(count: int | None) -> str:
        return "   -" if count is None else f"{count / passed:4.0f}"

    return (
        f"{at:5.0f} s  a second: HTTP {rate(http)}, bulk {rate(bulk)}, sent {rate(added.sent)}, "
        f"booked {rate(added.booked)}, reports {rate(added.reports)}; offsets to go {added.open}"
    )


@contextmanager
def _interruptible(home: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        running = [service.title for service in status(home) if service.running]
        say(f"\ninterrupted; still running: {', '.join(running)}. `make stop` ends it." if running else "\ninterrupted")
        raise SystemExit(130) from None


def _print_services(home: Path, services: OrderServices) -> None:
    click.echo()
    print_table(("still running", "address"), [(one.title, one.address) for one in status(home) if one.running])
    click.echo(
        f"\nFIX log: {services.folder / 'gateway'}; the engine's book: {services.engine_folder / 'book.jsonl'}. "
        "`make stop` ends it all; the data stay."
    )
    tell_activation()
