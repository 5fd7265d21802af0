"""`feedline datagen orders`: orders made up, to a topic, a file or order entry."""

from __future__ import annotations

import time
from pathlib import Path

import click

from feedline.cli.output import format_option, print_json, print_table, progress
from feedline.errors import ConfigurationError
from feedline.orders.model import Product
from feedline.orders.testdata.lives import MIX, Lives, LivesPolicy
from feedline.orders.testdata.targets import paced, to_file, to_http, to_topic
from feedline.orders.topics import OrderTopics
from feedline.settings import load_settings

_SHARE = click.FloatRange(0, 1)


@click.command(
    "orders",
    epilog="""\b
Examples:
  feedline datagen orders --count 10000 --rate 250
  feedline datagen orders --count 5000 --mix EQUITY=7,OPTION=2,MUTUAL_FUND=1 --errors 0.02
  feedline datagen orders --count 1000 --to file --out orders.jsonl
  feedline datagen orders --count 1000 --to http --url http://127.0.0.1:8091 --key $KEY""",
)
@click.option("--count", type=click.IntRange(1), default=1_000, show_default=True, help="Events to make.")
@click.option("--rate", type=click.FloatRange(0), default=0.0, help="Events a second.  [default: as fast as it goes]")
@click.option("--seed", type=int, default=1, show_default=True, help="Equal seeds make equal orders but for times.")
@click.option("--mix", metavar="PRODUCT=WEIGHT,...", help="Weights of the products.  [default: equities most]")
@click.option("--amend", type=_SHARE, default=0.2, show_default=True, help="Share of events that amend.")
@click.option("--cancel", type=_SHARE, default=0.1, show_default=True, help="Share of events that cancel.")
@click.option("--errors", type=_SHARE, default=0.0, show_default=True, help="Share that must be refused.")
@click.option(
    "--to", "target", type=click.Choice(["topic", "file", "http"]), default="topic", show_default=True, help="Where to."
)
@click.option("--topic", default=OrderTopics().bulk, show_default=True, help="Of --to topic.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Of --to file.")
@click.option("--url", default="http://127.0.0.1:8091", show_default=True, help="Of --to http.")
@click.option("--key", envvar="FEEDLINE_API_KEY", help="API key, of --to http; $FEEDLINE_API_KEY.")
@click.option("--settings", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another settings file.")
@format_option
def orders_command(
    *,
    count: int,
    rate: float,
    seed: int,
    mix: str | None,
    amend: float,
    cancel: float,
    errors: float,
    target: str,
    topic: str,
    out: Path | None,
    url: str,
    key: str | None,
    settings: Path | None,
    output_format: str,
) -> None:
    """Make orders with whole lives: entered, amended, cancelled, and on request events that must be refused.

    Values follow the hints (`arg.properties`) in the schema of order events.
    """
    policy = LivesPolicy(read_mix(mix) if mix else MIX, amend, cancel, errors)
    began = time.monotonic()
    with progress("Orders", total=count, unit="events") as advance:
        events = paced(Lives(policy, seed).stream(count), rate)
        if target == "file":
            if out is None:
                raise click.UsageError("--to file needs --out")
            counts = to_file(events, out, advance)
        elif target == "http":
            if not key:
                raise click.UsageError("--to http needs --key or $FEEDLINE_API_KEY: `feedline keys add`")
            counts = to_http(events, url, key, advance)
        else:
            counts = to_topic(events, load_settings(settings), topic, advance)
    seconds = time.monotonic() - began
    if output_format == "json":
        print_json({"events": count, "seconds": round(seconds, 3), "counts": dict(sorted(counts.items()))})
        return
    print_table(["What", "Events"], sorted(counts.items()), title=f"{count:,} events in {seconds:.1f} s")


def read_mix(text: str) -> dict[Product, float]:
    """Weights by product, from `EQUITY=7,OPTION=2`; raises ConfigurationError."""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {Product(name.strip().upper()): float(weight) for name, weight in pairs}
    except ValueError as error:
        raise ConfigurationError(f"{text!r} is no mix of products: write EQUITY=7,OPTION=2,MUTUAL_FUND=1") from error
