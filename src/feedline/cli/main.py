"""The `feedline` command: finds its subcommands by name and imports the one that is asked for."""

from __future__ import annotations

import importlib
import logging
import sys
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any

try:
    import click
except ImportError:
    sys.exit("feedline: the command line needs the extra packages of `feedline[cli]`: install them")

from feedline.cli.output import report_error
from feedline.errors import FeedlineError
from feedline.security.redaction import redact, redact_logs

# Name, place, and what `feedline --help` says: written here so that help imports no command.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "stack": ("feedline.cli.stack:stack", "Start, stop and look at the local stack."),
    "feeds": ("feedline.cli.feeds:feeds", "Look at the feed catalogue, and add a feed from a sample."),
    "datagen": ("feedline.cli.datagen:datagen", "Make test data."),
    "produce": ("feedline.cli.produce:produce", "Send a business date's files of a feed to its topic."),
    "load": ("feedline.cli.load:load", "Load what a topic holds of a feed into its tables."),
    "replay": ("feedline.cli.replay:replay", "Hold topics against tables; put back what is missing."),
    "consume": ("feedline.cli.consume:consume", "Load what comes on the topics, as a service."),
    "delivery": ("feedline.cli.delivery:delivery", "Look at deliveries: what came, what was loaded, what failed."),
    "sla": ("feedline.cli.sla:sla", "Show which feeds of a business date were late."),
    "errors": ("feedline.cli.errors:errors", "Look at refused records, correct them, send them again."),
    "keys": ("feedline.cli.keys:keys", "API keys of the services: make, list, revoke."),
    "schema": ("feedline.cli.schema:schema", "Discover, change and roll back the schemas of the feeds."),
    "provision": ("feedline.cli.provision:provision", "Plan, apply and check topics, users, schemas and tables."),
    "orders": ("feedline.cli.orders:orders", "Enter orders over HTTP and in bulk, send them as FIX."),
    "serve": ("feedline.cli.serve:serve", "Serve the metadata service over HTTP."),
    "demo": ("feedline.cli.demo:demo", "Run one whole EOD day on the local stack."),
}

EPILOG = """\b
Exit codes:
  0  done
  1  failed; the message says what to change
  2  the command was called wrongly
  3  failed for now; the same command may succeed later
  4  done, but what was checked is incomplete or wrong
"""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run: help is fast, and a missing package of one command is
    not the others' trouble.

    lazy: by name, place and what help says; called: how the group is called.
    """

    def __init__(
        self, *args: Any, lazy: Mapping[str, tuple[str, str]] = COMMANDS, called: str = "feedline", **settings: Any
    ) -> None:
        super().__init__(*args, **settings)
        self._lazy, self._called = lazy, called

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self._lazy:
            return None
        module, attribute = self._lazy[cmd_name][0].split(":")
        try:
            command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"`{self._called} {cmd_name}` needs the package {error.name!r}, which is not installed: see the extras "
                "of feedline in its README"
            ) from error
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in self._lazy.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; an error of ours becomes one line and its exit code."""
        try:
            return super().invoke(ctx)
        except FeedlineError as error:
            if ctx.find_root().params.get("debug"):
                raise
            ctx.exit(report_error(error))


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="feedline")
@click.option("--debug", is_flag=True, help="Show the trace of an error, and log what the clients do.")
def main(*, debug: bool) -> None:
    """Custodian data feeds through Kafka into Snowflake."""
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.ERROR, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    redact_logs()
    sys.excepthook = _redacted_trace


def _redacted_trace(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    click.echo(redact("".join(traceback.format_exception(kind, error, trace))), err=True, nl=False)
