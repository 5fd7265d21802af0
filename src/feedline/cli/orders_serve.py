"""`feedline orders serve`: order entry over HTTP."""

from __future__ import annotations

import math
from typing import Any

import click

from feedline.cli.listening import Listening, listening_options, serve_application
from feedline.orders.entry.app import create_app
from feedline.orders.entry.policy import EntryPolicy
from feedline.orders.topics import GATEWAY_GROUP, OrderTopics


@click.command(
    "serve",
    epilog="""\b
Examples:
  feedline keys add desk --role operator
  feedline orders serve
  feedline orders serve --port 8091 --host 0.0.0.0 --cert server.pem --cert-key server.key""",
)
@click.option("--prefix", default="", help="Before the names of all topics.")
@click.option("--gateways", default=GATEWAY_GROUP, show_default=True, help="The gateways' consumer group.")
@listening_options(8091)
def serve_command(*, prefix: str, gateways: str, **options: Any) -> None:
    """Serve order entry until told to stop. Callers need an API key or token of the role operator.

    Ends with 0 on SIGTERM or SIGINT after answering the requests at work; with 3 when the broker is away at the start.
    """
    listening, policy = Listening(**options), EntryPolicy(gateways=gateways)
    app = create_app(*listening.access(), policy=policy, topics=OrderTopics(prefix))
    # The longest that a request at work can take.
    drain_s = math.ceil(policy.delivery_s + 2 * policy.settle_s) + 1
    serve_application(app, listening, "orders", "/orders", drain_s=drain_s)
