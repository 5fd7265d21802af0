"""`feedline serve`: the services over HTTP."""

from __future__ import annotations

import importlib
from typing import Any

import click

from feedline.cli.listening import Listening, listening_options, serve_application

# Name to module; each has `create_app(settings, authenticator)`.
SERVICES = {"metadata": "feedline.services.metadata_api", "provisioning": "feedline.services.provisioning_api"}


@click.command(
    epilog="""\b
Examples:
  feedline keys add me --role engineer
  feedline serve metadata
  feedline serve metadata --port 8090 --host 0.0.0.0 --cert server.pem --cert-key server.key
  feedline serve provisioning --port 8091
  feedline serve metadata --settings production.json""",
)
@click.argument("service", type=click.Choice(sorted(SERVICES)))
@listening_options(8090)
def serve(*, service: str, **options: Any) -> None:
    """Serve SERVICE until it is told to stop. Callers need an API key: `feedline keys add`."""
    listening = Listening(**options)
    app = importlib.import_module(SERVICES[service]).create_app(*listening.access())
    serve_application(app, listening, service, "/ui/" if service == "metadata" else "/")
