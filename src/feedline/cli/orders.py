"""`feedline orders`: the services of orders."""

from __future__ import annotations

from collections.abc import Mapping

import click

from feedline.cli.main import LazyGroup

ORDER_COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("feedline.cli.orders_demo:demo_command", "Run a minute of orders on the local stack."),
    "provision": ("feedline.cli.orders_provision:provision_command", "Make the topics and schemas of orders."),
    "bulk": ("feedline.cli.orders_bulk:bulk_command", "Enter the orders of a topic, each after its delay."),
    "serve": ("feedline.cli.orders_serve:serve_command", "Serve order entry over HTTP."),
    "load": ("feedline.cli.orders_load:load_command", "Load orders into their tables."),
    "show": ("feedline.cli.orders_show:show_command", "Show one order as the tables have it."),
    "reconcile": ("feedline.cli.orders_reconcile:reconcile_command", "Hold the books of a day's orders together."),
    "gateway": ("feedline.cli.orders_gateway:gateway_command", "Send order events as FIX, take the answers back."),
    "fixlog": ("feedline.cli.orders_fixlog:fixlog_command", "Show the FIX log with the names of tags."),
    "recover": ("feedline.cli.orders_recover:recover_command", "Send again what the engine has lost."),
    "engine": ("feedline.cli.orders_engine:engine_command", "Run the simulated FIX engine."),
    "engine-control": ("feedline.cli.orders_engine_control:engine_control", "Tell the simulated engine what to do."),
}


@click.group(cls=LazyGroup, lazy=ORDER_COMMANDS, called="feedline orders")
def orders() -> None:
    """Enter orders, send them as FIX, and look at them."""
