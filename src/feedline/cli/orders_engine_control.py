"""`feedline orders engine-control`: telling the simulated FIX engine what to do."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import click

from feedline.cli.engine_address import CONTROL_PORT, WHERE, control_url
from feedline.cli.output import Command, format_option, print_json, print_table, say
from feedline.errors import ConfigurationError, RetriableError
from feedline.orders.engine.behaviour import Answer

REQUEST_S = 30


def url_option(command: Command) -> Command:
    """Adds `--url` of the control port."""
    shown = f"{WHERE}http://127.0.0.1:{CONTROL_PORT}"
    return click.option("--url", default=control_url, show_default=shown, help="The engine's control port.")(command)


@click.group("engine-control")
def engine_control() -> None:
    """Tell the simulated FIX engine what to do, and look into its book."""


@engine_control.command("status", epilog="\b\nExamples:\n  feedline orders engine-control status")
@url_option
@format_option
def status_command(*, url: str, output_format: str) -> None:
    """Show whether it is there, who is logged on, what it has booked and how it behaves."""
    status = call(url, "/status")
    if output_format == "json":
        print_json(status)
        return
    rows = [["away", status["away"]], ["sessions", ", ".join(status["sessions"]) or "-"], ["orders", status["orders"]]]
    rows += [[f"messages {verdict}", count] for verdict, count in status["messages"].items()]
    rows += [["held", status["held"]], *([name, str(value)] for name, value in status["behaviour"].items())]
    print_table(["what", "now"], rows)


@engine_control.command(
    "set",
    epilog="""\b
Examples:
  feedline orders engine-control set --answer partial
  feedline orders engine-control set --reject-next 3
  feedline orders engine-control set --drop-after 1
  feedline orders engine-control set --slow 0.2""",
)
@click.option(
    "--answer",
    type=click.Choice([one.value for one in Answer]),
    help="How orders are answered; hold: booked, not answered.",
)
@click.option("--slow", "slow_s", type=float, help="Seconds that each message takes; 0: none.")
@click.option("--reject-next", type=int, help="Reject so many messages first.")
@click.option("--drop-after", type=int, help="Cut the line once, after so many more and before the last is answered.")
@url_option
def set_command(*, url: str, **changes: Any) -> None:
    """Change how it behaves; what is not named stays."""
    behaviour = call(url, "/behaviour", {name: value for name, value in changes.items() if value is not None})
    say(", ".join(f"{name} {value}" for name, value in behaviour.items()))


@engine_control.command("away", epilog="\b\nExamples:\n  feedline orders engine-control away --seconds 30")
@click.option("--seconds", type=float, help="Come back after so long; else `back` brings it back.")
@url_option
def away_command(*, url: str, seconds: float | None) -> None:
    """Close all sessions and the FIX port."""
    call(url, "/away", {"seconds": seconds})
    say("away" if seconds is None else f"away for {seconds:g} s")


@engine_control.command("back", epilog="\b\nExamples:\n  feedline orders engine-control back")
@url_option
def back_command(*, url: str) -> None:
    """Listen again."""
    call(url, "/back", {})
    say("back")


@engine_control.command(
    "fill", epilog="\b\nExamples:\n  feedline orders engine-control fill --order 7f0c... --quantity 50"
)
@click.option("--order", required=True, help="The order's id.")
@click.option("--quantity", help="How much of it; else all that is open.")
@url_option
def fill_command(*, url: str, order: str, quantity: str | None) -> None:
    """Fill an order that is open."""
    reports = call(url, "/fill", {"order": order, "quantity": quantity})["reports"]
    say(f"reported {', '.join(reports)}" if reports else "nothing of it is open")


@engine_control.command(
    "forget", epilog="\b\nExamples:\n  feedline orders engine-control forget --since 2026-11-20T14:05:00-05:00"
)
@click.option("--since", required=True, help="ISO 8601 with a time zone.")
@url_option
def forget_command(*, url: str, since: str) -> None:
    """Lose what was booked since then, as an engine has that was restored from a backup."""
    say(f"{call(url, '/forget', {'since': since})['forgotten']:,} messages forgotten")


@engine_control.command("book", epilog="\b\nExamples:\n  feedline orders engine-control book --order 7f0c...")
@click.option("--order", help="Only this order's messages.")
@url_option
@format_option
def book_command(*, url: str, order: str | None, output_format: str) -> None:
    """List the messages that came, in order, with their flags and what became of them."""
    arrivals = call(url, f"/book?order={order}" if order else "/book")
    if output_format == "json":
        print_json(arrivals)
        return
    columns = ["at", "session", "seq_num", "msg_type", "cl_ord_id", "poss_dup", "poss_resend", "verdict"]
    print_table(columns, [[str(one[name]) for name in columns] for one in arrivals])


def call(url: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Asks the control port; raises RetriableError when nobody is there, ConfigurationError when it refuses."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url.rstrip("/") + path, data=data)  # noqa: S310  the operator's own address
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_S) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        raise ConfigurationError(f"the engine refuses: {_reason(text)}") from error
    except OSError as error:
        raise RetriableError(f"no engine answers at {url}: start it with `feedline orders engine` ({error})") from error


def _reason(text: str) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text[:200]
