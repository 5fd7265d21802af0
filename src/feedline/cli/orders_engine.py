"""`feedline orders engine`: the simulated FIX engine."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path

import click

from feedline.cli.engine_address import CONTROL_PORT, FIX_PORT
from feedline.cli.output import say
from feedline.orders.engine.behaviour import Answer, Behaviour
from feedline.orders.engine.control import serve_control
from feedline.orders.engine.engine import Engine
from feedline.orders.fix.session_policy import SessionPolicy

GATEWAYS = ",".join([*(f"GATEWAY-{number}" for number in range(1, 9)), "RECOVERY"])


@click.command(
    "engine",
    epilog="""\b
Examples:
  feedline orders engine
  feedline orders engine --answer ack --slow 0.01
  feedline orders engine --fix-port 9900 --port 0 --folder /tmp/engine""",
)
@click.option("--fix-port", type=click.IntRange(1, 65535), default=FIX_PORT, show_default=True, help="FIX sessions.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the control port.")
@click.option("--port", type=click.IntRange(0, 65535), default=CONTROL_PORT, show_default=True, help="Control port.")
@click.option("--name", default="ENGINE", show_default=True, help="Its CompID.")
@click.option("--gateways", default=GATEWAYS, show_default=True, help="CompIDs that may log on, with commas.")
@click.option(
    "--answer",
    type=click.Choice([one.value for one in Answer]),
    default="fill",
    show_default=True,
    help="What it does first.",
)
@click.option("--slow", default=0.0, show_default=True, help="Seconds that each message takes.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".local/orders/engine"),
    show_default=True,
    help="Its book, message stores and logs.",
)
def engine_command(
    *, fix_port: int, host: str, port: int, name: str, gateways: str, answer: str, slow: float, folder: Path
) -> None:
    """Run a simulated FIX 4.4 engine: a conformant acceptor with a book on disk. It trades with nobody.

    What it answers is set by `feedline orders engine-control`. Ends with 0 on SIGTERM or SIGINT.
    """
    logging.getLogger("feedline").setLevel(logging.WARNING)
    ending = threading.Event()
    # After QuickFIX is loaded, which takes the handler of SIGINT away.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    targets = tuple(one.strip() for one in gateways.split(",") if one.strip())
    policy = SessionPolicy(sender=name, targets=targets, folder=folder.absolute(), port=fix_port)
    engine = Engine(policy, Behaviour(answer=Answer(answer), slow_s=slow))
    engine.start()
    with serve_control(engine, host, port) as bound:
        say(f"simulated FIX engine {name} on port {fix_port}; control http://{host}:{bound}/status")
        ending.wait()
    engine.stop()
    say(f"{engine.status().orders:,} orders in the book {folder / 'book.jsonl'}")
