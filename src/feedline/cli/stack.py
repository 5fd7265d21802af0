"""`feedline stack`: the local stack."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from feedline.cli.output import INCOMPLETE, format_option, print_json, print_table, say
from feedline.local.airflow import airflow_login
from feedline.local.airflow_parts import RUNNING
from feedline.local.stack import AIRFLOW, KAFKA, REGISTRY, WAREHOUSE, ServiceStatus, StackConfig, down, status, up
from feedline.local.state import HOME

PORT = click.IntRange(0, 65535)

home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=HOME,
    show_default=True,
    help="Folder of everything local: data, logs, settings.",
)


@click.group()
def stack() -> None:
    """Start, stop and look at the local stack: a real Kafka broker, a real schema registry, a stand-in for Snowflake,
    and Airflow."""


@stack.command(
    "up",
    epilog="""\b
Examples:
  feedline stack up
  feedline stack up --no-airflow --kafka-port 9092
  feedline stack up --secure --home .local-secured
  feedline stack up --format json""",
)
@home_option
@click.option("--with-airflow/--no-airflow", "airflow", default=True, show_default=True, help="Airflow as well.")
@click.option(
    "--secure/--plain",
    "secure",
    default=False,
    show_default=True,
    help="Three brokers over SASL_SSL, the registry over HTTPS, a principal for each service.",
)
@click.option("--kafka-port", type=PORT, default=0, show_default=True, help="0: any free port.")
@click.option("--registry-port", type=PORT, default=0, show_default=True, help="0: any free port.")
@click.option("--warehouse-port", type=PORT, default=0, show_default=True, help="0: any free port.")
@click.option("--airflow-port", type=PORT, default=0, show_default=True, help="0: any free port.")
@format_option
def up_command(
    *,
    home: Path,
    airflow: bool,
    secure: bool,
    kafka_port: int,
    registry_port: int,
    warehouse_port: int,
    airflow_port: int,
    output_format: str,
) -> None:
    """Start what does not run yet and wait until all of it is healthy.

    A stack that is up is left as it is. Downloads happen on the first start only.
    """
    ports = {KAFKA: kafka_port, REGISTRY: registry_port, WAREHOUSE: warehouse_port, AIRFLOW: airflow_port}
    up(
        StackConfig(
            home=home, ports={name: port for name, port in ports.items() if port}, airflow=airflow, secure=secure
        ),
        say,
    )
    show(home, status(home), output_format)


@stack.command(
    "down",
    epilog="""\b
Example:
  feedline stack down""",
)
@home_option
def down_command(*, home: Path) -> None:
    """Stop everything; data, schemas and tables stay for the next start."""
    stopped = down(home, say)
    say("stopped" if stopped else "nothing was running")


@stack.command(
    "status",
    epilog="""\b
Examples:
  feedline stack status
  feedline stack status --format json""",
)
@home_option
@format_option
@click.pass_context
def status_command(context: click.Context, *, home: Path, output_format: str) -> None:
    """Show every service, its health, address and memory. Exit code 4 when one that was started is not healthy
    or has died; one that died is started again with `feedline stack up`, a part of Airflow by itself."""
    services = status(home)
    show(home, services, output_format)
    if not all(s.healthy for s in services if s.running or s.died or s.name != AIRFLOW):
        context.exit(INCOMPLETE)


def show(home: Path, services: list[ServiceStatus], output_format: str) -> None:
    """The services as a table, with Airflow's login, or as JSON."""
    login = airflow_login(home.resolve() / AIRFLOW) if any(s.name == AIRFLOW and s.running for s in services) else None
    if output_format == "json":
        document = {"home": home.resolve(), "services": [asdict(service) for service in services]}
        if login:
            document["airflow_login"] = {"user": login[0], "password": login[1]}
        print_json(document)
        return
    print_table(
        ("service", "state", "address", "MB", "log"),
        [(s.title, _state(s), s.address, round(s.memory_mb) if s.running else None, s.log) for s in services],
    )
    for part in (part for service in services for part in service.parts):
        if part.restarts or part.state != RUNNING:
            ended = "" if part.exit_code is None else f", last ended with {part.exit_code}"
            click.echo(f"Airflow's {part.name}: {part.state}, started again {part.restarts} times{ended}: {part.log}")
    if any(service.died for service in services):
        click.echo("Read the log of what died, then start it again: feedline stack up")
    if login:
        click.echo(f"Airflow login: user {login[0]}, password {login[1]}")


def _state(service: ServiceStatus) -> str:
    if not service.running:
        return "died" if service.died else "stopped"
    return "healthy" if service.healthy else "not healthy"
