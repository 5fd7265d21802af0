"""`feedline orders recover`: sending again what the engine has lost."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import click

from feedline.cli.engine_address import FIX_PORT, WHERE, fix_address
from feedline.cli.output import INCOMPLETE, OK, format_option, print_json, print_table, say
from feedline.orders.fix.connection import Connection
from feedline.orders.fix.session_policy import SessionPolicy
from feedline.orders.recovery.run import NOT_DONE, Outcome, Recovered, recover
from feedline.orders.recovery.window import Window
from feedline.orders.topics import GATEWAY_GROUP, OrderTopics
from feedline.settings import load_settings


@click.command(
    "recover",
    epilog="""\b
Examples:
  feedline orders recover --from 2026-11-20T14:05:00-05:00 --dry-run
  feedline orders recover --from 2026-11-20T14:05:00-05:00 --to 2026-11-20T14:20:00-05:00
  feedline orders recover --from 2026-11-20T14:05:00-05:00 --order 7f0c... --format json
  feedline orders recover --from 2026-11-20T14:05:00-05:00 --reports --stay 3600""",
)
@click.option(
    "--from",
    "start",
    required=True,
    metavar="ISO",
    help="Entered or answered at or after, or unanswered; ISO 8601 with a zone.",
)
@click.option("--to", "end", metavar="ISO", help="Entered before; else up to now.")
@click.option("--order", metavar="ID", help="Only this order.")
@click.option("--dry-run", is_flag=True, help="Ask the engine what it has, send nothing.")
@click.option(
    "--reports",
    is_flag=True,
    help="Also ask again for reports that are missing of orders entered in the window; not with --to.",
)
@click.option(
    "--stay",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Seconds to take reports of the window's orders afterwards, until all are over.",
)
@click.option(
    "--engine",
    default=fix_address,
    show_default=f"{WHERE}127.0.0.1:{FIX_PORT}",
    help="Where it listens, host:port.",
)
@click.option("--name", default="RECOVERY", show_default=True, help="CompID of the recovery's own session.")
@click.option("--target", default="ENGINE", show_default=True, help="The engine's CompID.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".local/orders/recovery"),
    show_default=True,
    help="Its FIX message store and log.",
)
@click.option("--group", default=GATEWAY_GROUP, show_default=True, help="The gateways' consumer group.")
@click.option("--prefix", default="", help="Before the names of all topics.")
@click.option("--settings", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another settings file.")
@format_option
@click.pass_context
def recover_command(  # noqa: PLR0917 - click passes them by name
    context: click.Context,
    start: str,
    end: str | None,
    order: str | None,
    dry_run: bool,
    reports: bool,
    stay: float,
    engine: str,
    name: str,
    target: str,
    folder: Path,
    group: str,
    prefix: str,
    settings: Path | None,
    output_format: str,
) -> None:
    """Send again what was entered in a span of time and the engine does not have, in sequence, marked, once.

    Asks the engine for every order message of the window whether it has it, over a session of its own: live flow goes
    on. What the gateways have not sent yet is left to them. Running it again sends nothing twice, and takes what was
    reported meanwhile of orders that it had brought back; --stay waits for that. Ends with 4 when something was refused
    or not answered, or when the engine gives no reports again.
    """
    address, _, port = engine.rpartition(":")
    if not address or not port.isdecimal():
        raise click.BadParameter("give host:port", param_hint="--engine")
    if reports and end is not None:
        raise click.BadParameter("an order's later events have to be looked at: leave --to out", param_hint="--reports")
    window = Window(start=_moment(start, "--from"), end=None if end is None else _moment(end, "--to"), order_id=order)
    session = SessionPolicy(
        sender=name, targets=(target,), folder=folder.absolute(), host=address, port=int(port), heartbeat_s=10
    )
    found = recover(
        load_settings(settings),
        OrderTopics(prefix),
        window,
        Connection(session),
        dry_run=dry_run,
        stay_s=stay,
        lost_reports=reports,
        gateways=group,
    )
    ours = (Outcome.TAKEN, Outcome.REPORTED)
    still_open = {one.sent.taken.event.order_id for one in found if one.outcome in ours and one.is_open}
    counts = Counter(one.outcome for one in found)
    if output_format == "json":
        counted = {outcome.name: counts[outcome] for outcome in Outcome}
        print_json({"counts": counted, "sent_again_and_open": len(still_open), "events": [*map(_line, found)]})
    else:
        shown = [one for one in found if one.outcome is not Outcome.KNOWN]
        if shown:
            columns = ["order", "sequence", "kind", "entered", "what", "text"]
            print_table(columns, [[_line(one)[column] for column in columns] for one in shown])
        say("; ".join(f"{count:,} {outcome}" for outcome, count in counts.items()) or "nothing was entered then")
        if still_open:
            say(
                f"{len(still_open):,} orders that were sent again are open: until live flow sends their next event, "
                f"their reports wait for the session {name}; the same command takes them, with --stay as they come"
            )
    context.exit(INCOMPLETE if any(counts[outcome] for outcome in NOT_DONE) else OK)


def _moment(text: str, option: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error


def _line(one: Recovered) -> dict[str, str]:
    event = one.sent.taken.event
    return {
        "order": event.order_id,
        "sequence": str(event.sequence),
        "kind": event.kind,
        "entered": datetime.fromtimestamp(one.sent.entered_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "what": one.outcome,
        "text": one.text,
    }
