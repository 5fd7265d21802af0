"""`feedline orders gateway`: order events to a FIX engine, and its answers back."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path

import click
from prometheus_client import CollectorRegistry

from feedline.cli.engine_address import FIX_PORT
from feedline.cli.output import OK, say
from feedline.consumer.telemetry import serve_probes
from feedline.orders.fix.connection import Connection
from feedline.orders.fix.gateway import Gateway
from feedline.orders.fix.gateway_policy import GatewayPolicy
from feedline.orders.fix.session_policy import SessionPolicy
from feedline.orders.fix.telemetry import Telemetry
from feedline.orders.topics import GATEWAY_GROUP, OrderTopics
from feedline.settings import load_settings

logger = logging.getLogger(__name__)

LOOK_S = 0.5
DEFAULTS = GatewayPolicy()


@click.command(
    "gateway",
    epilog="""\b
Examples:
  feedline orders gateway
  feedline orders gateway --name GATEWAY-2 --port 9112
  feedline orders gateway --engine fix.example.com:9878 --target BROKER --reset-session""",
)
@click.option("--name", default="GATEWAY-1", show_default=True, help="Its CompID: another for each instance.")
@click.option("--target", default="ENGINE", show_default=True, help="The engine's CompID.")
@click.option("--engine", default=f"127.0.0.1:{FIX_PORT}", show_default=True, help="Where it listens, host:port.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".local/orders/gateway"),
    show_default=True,
    help="FIX message stores and logs; must outlive the process.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of /health and /metrics.")
@click.option("--port", type=click.IntRange(0, 65535), default=9111, show_default=True, help="Their port; 0: any.")
@click.option("--group", default=GATEWAY_GROUP, show_default=True, help="Consumer group: gateways share partitions.")
@click.option("--prefix", default="", help="Before the names of all topics.")
@click.option("--max-in-flight", default=DEFAULTS.max_in_flight, show_default=True, help="Events sent, not answered.")
@click.option("--park", default=DEFAULTS.park_s, show_default=True, help="Seconds that an event waits for an earlier.")
@click.option("--drain", default=DEFAULTS.drain_s, show_default=True, help="Seconds to wait for answers at the end.")
@click.option("--heartbeat", default=10, show_default=True, help="Seconds between heartbeats of the session.")
@click.option("--stall-after", default=60.0, show_default=True, help="Not well after so long without progress.")
@click.option("--reset-session", is_flag=True, help="Both sides begin with number 1; what is unanswered is sent again.")
@click.option("--settings", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another settings file.")
@click.pass_context
def gateway_command(  # noqa: PLR0917 - click passes them by name
    context: click.Context,
    name: str,
    target: str,
    engine: str,
    folder: Path,
    host: str,
    port: int,
    group: str,
    prefix: str,
    max_in_flight: int,
    park: float,
    drain: float,
    heartbeat: int,
    stall_after: float,
    reset_session: bool,
    settings: Path | None,
) -> None:
    """Send order events of the topic as FIX, and publish the engine's execution reports, as a service.

    Any number may run and share the partitions, each under its own name and with its own folder. Ends with 0 on
    SIGTERM or SIGINT after waiting for answers, with 3 when it may go on after a restart, with 1 when something must
    be changed first. While the engine is away nothing is read and nothing is lost.
    """
    logging.getLogger("feedline").setLevel(logging.WARNING)
    address, _, fix_port = engine.rpartition(":")
    if not address or not fix_port.isdecimal():
        raise click.BadParameter("give host:port", param_hint="--engine")
    policy = GatewayPolicy(group=group, max_in_flight=max_in_flight, park_s=park, drain_s=drain)
    session = SessionPolicy(
        sender=name,
        targets=(target,),
        folder=folder.absolute(),
        host=address,
        port=int(fix_port),
        heartbeat_s=heartbeat,
    )
    connection = Connection(session, reset=reset_session)
    gateway = Gateway(load_settings(settings), OrderTopics(prefix), policy, connection)
    ending = threading.Event()
    # After QuickFIX is loaded, which takes the handler of SIGINT away.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    telemetry = Telemetry(gateway.status, stall_after, park)
    registry = CollectorRegistry()
    registry.register(telemetry)
    with serve_probes(telemetry.problems, registry, host, port) as bound:
        say(f"{name} sends {OrderTopics(prefix).out} to {target} at {engine}; http://{host}:{bound}/health")
        failure = _run_until(ending, gateway, telemetry)
    counts = gateway.counts
    say(f"{name}: {counts['sent']:,} sent, {counts['reports']:,} reports, {counts['refused']:,} refused")
    if failure is not None:
        raise failure
    context.exit(OK)


def _run_until(ending: threading.Event, gateway: Gateway, telemetry: Telemetry) -> BaseException | None:
    """What stopped the gateway before it was told to end; None when it was told."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            gateway.run()
        except BaseException as error:  # noqa: BLE001 - raised by the main thread
            failures.append(error)

    thread = threading.Thread(target=run, name="feedline-gateway")
    thread.start()
    told: list[str] = []
    while not ending.wait(LOOK_S) and thread.is_alive():
        wrong = telemetry.problems()
        if bool(wrong) != bool(told):
            say(f"not well: {wrong[0]}" if wrong else "well again")
        told = wrong
    gateway.stop()
    thread.join()
    return failures[0] if failures else None
