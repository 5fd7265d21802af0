"""`feedline orders serve`: order entry over HTTP."""

from __future__ import annotations

from typing import Any

import click

from feedline.cli.listening import Listening, listening_options, serve_application
from feedline.orders.entry.app import create_app


@click.command(
    "serve",
    epilog="""\b
Examples:
  feedline keys add desk --role operator
  feedline orders serve
  feedline orders serve --port 8091 --host 0.0.0.0 --cert server.pem --cert-key server.key""",
)
@listening_options(8091)
def serve_command(**options: Any) -> None:
    """Serve order entry until told to stop. Callers need an API key or token of the role operator."""
    listening = Listening(**options)
    serve_application(create_app(*listening.access()), listening, "orders", "/orders")
