"""Options of commands that serve an application over HTTP, and the serving."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from fastapi import FastAPI

from feedline.cli.keys import FILE
from feedline.cli.output import say
from feedline.services.auth import Authenticator, read_access
from feedline.settings import Settings, load_settings

# Of this machine only: keys may travel in the clear.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
LOCAL_PROXIES = ("127.0.0.1", "::1")
# Seconds for requests at work when a service is told to end.
DRAIN_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """What the options say. keys: the file of API keys; cert, cert_key: PEM files, to serve HTTPS;
    proxies: addresses and networks of proxies that say in `X-Forwarded-For` whom they speak for."""

    host: str
    port: int
    settings: Path | None
    keys: Path
    cert: str | None
    cert_key: str | None
    proxies: tuple[str, ...]

    def access(self) -> tuple[Settings, Authenticator]:
        """The settings, and who may call; raises ConfigurationError."""
        chosen = load_settings(self.settings)
        return chosen, Authenticator(read_access({"keys": str(self.keys), **chosen.access}))


def listening_options(port: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command `--host`, `--port` (this one unless told), `--settings`, `--keys`, `--cert`, `--cert-key` and
    `--proxy`, to be taken as `Listening`."""
    settings_file = click.Path(exists=True, dir_okay=False, path_type=Path)
    options = (
        click.option("--host", default=LOOPBACK[0], show_default=True, help="Address to listen on."),
        click.option(
            "--port", type=click.IntRange(0, 65535), default=port, show_default=True, help="0: any free port."
        ),
        click.option("--settings", type=settings_file, help="Another settings file."),
        click.option(
            "--keys",
            type=click.Path(dir_okay=False, path_type=Path),
            default=FILE,
            show_default=True,
            envvar="FEEDLINE_API_KEYS",
            help="The file of API keys; $FEEDLINE_API_KEYS. The settings' `access` goes before it.",
        ),
        click.option("--cert", type=click.Path(exists=True, dir_okay=False), help="Certificate (PEM), to serve HTTPS."),
        click.option("--cert-key", type=click.Path(exists=True, dir_okay=False), help="Its key (PEM)."),
        click.option(
            "--proxy",
            "proxies",
            multiple=True,
            default=LOCAL_PROXIES,
            show_default=True,
            help="Address or network (10.0.0.0/8) of a proxy whose X-Forwarded-For is believed, so that each caller is "
            "counted by its own address; repeatable.",
        ),
    )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def serve_application(app: FastAPI, listening: Listening, name: str, path: str, *, drain_s: int = DRAIN_S) -> None:
    """Serves until SIGTERM or SIGINT, then until the requests at work are answered, `drain_s` at most; name, path: what
    stands at the address that is said. Ends the process with 3 when the application cannot start."""
    import uvicorn  # noqa: PLC0415  only these commands need it

    if listening.host not in LOOPBACK and not listening.cert:
        say("feedline: API keys travel in the clear without --cert: put a TLS proxy in front, or name a certificate")
    config = uvicorn.Config(
        app,
        host=listening.host,
        port=listening.port,
        ssl_certfile=listening.cert,
        ssl_keyfile=listening.cert_key,
        log_level="warning",
        server_header=False,
        forwarded_allow_ips=list(listening.proxies),
        timeout_graceful_shutdown=drain_s,
    )
    server = uvicorn.Server(config)

    def end(*_: object) -> None:
        server.should_exit = True

    # Ours count until uvicorn has set its own; and uvicorn raises the signal again when it has ended, which would end
    # the process as one that was killed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with config.bind_socket() as bound:
        # Whoever reads the address may come at once, and waits until the server has started.
        bound.listen(config.backlog)
        scheme = "https" if listening.cert else "http"
        say(f"{name}: {scheme}://{listening.host}:{bound.getsockname()[1]}{path}")
        server.run(sockets=[bound])
