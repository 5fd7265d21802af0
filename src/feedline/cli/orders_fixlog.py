"""`feedline orders fixlog`: the FIX log, with the names of tags."""

from __future__ import annotations

import json
from pathlib import Path

import click

from feedline.cli.output import format_option
from feedline.orders.fix.log_view import LoggedMessage, read_log

SESSION = frozenset({"0", "1", "2", "4", "A", "5"})


@click.command(
    "fixlog",
    epilog="""\b
Examples:
  feedline orders fixlog
  feedline orders fixlog --order 7f0c...
  feedline orders fixlog --grep Price=12.5 --follow
  feedline orders fixlog --folder .local/orders/engine --session --format json""",
)
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(".local/orders/gateway"),
    show_default=True,
    help="Of a gateway, of the engine, or of a recovery.",
)
@click.option("--order", metavar="ID", help="Only messages of this order.")
@click.option("--type", "kind", metavar="NAME", help="Only this type, by its name or MsgType: ExecutionReport, 8.")
@click.option("--grep", metavar="TEXT", help="Only lines with this text, in the form in which they are shown.")
@click.option("--session", is_flag=True, help="Session messages too: logon, heartbeat, resend requests.")
@click.option("--follow", is_flag=True, help="Go on with what is added.")
@format_option
def fixlog_command(
    *,
    folder: Path,
    order: str | None,
    kind: str | None,
    grep: str | None,
    session: bool,
    follow: bool,
    output_format: str,
) -> None:
    """Show FIX messages with the names of their tags and values, oldest first."""

    def keep(message: LoggedMessage) -> bool:
        if message.value("35") in SESSION and not session and kind is None:
            return False
        if kind is not None and kind not in (message.kind, message.value("35")):
            return False
        return (order is None or message.of_order(order)) and (grep is None or grep in str(message))

    for message in read_log(folder, keep=keep, follow=follow):
        if output_format == "json":
            click.echo(_json(message))
        else:
            click.echo(str(message))


def _json(message: LoggedMessage) -> str:
    head = {
        "at": message.at,
        "from": message.value("49"),
        "to": message.value("56"),
        "number": int(message.value("34") or 0),
        "type": message.kind,
        "flags": message.flags,
        "whole": message.whole,
    }
    return json.dumps({**head, "fields": dict(message.named())})
