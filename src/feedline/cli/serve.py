"""`feedline serve`: the services over HTTP."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from feedline.cli.keys import FILE
from feedline.cli.output import say
from feedline.services.auth import Authenticator, read_access
from feedline.settings import load_settings

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
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="0: any free port.")
@click.option("--settings", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Another settings file.")
@click.option(
    "--keys",
    type=click.Path(dir_okay=False, path_type=Path),
    default=FILE,
    show_default=True,
    envvar="FEEDLINE_API_KEYS",
    help="The file of API keys; $FEEDLINE_API_KEYS. The settings' `access` goes before it.",
)
@click.option("--cert", type=click.Path(exists=True, dir_okay=False), help="Certificate (PEM), to serve HTTPS.")
@click.option("--cert-key", type=click.Path(exists=True, dir_okay=False), help="Its key (PEM).")
def serve(
    *,
    service: str,
    host: str,
    port: int,
    settings: Path | None,
    keys: Path,
    cert: str | None,
    cert_key: str | None,
) -> None:
    """Serve SERVICE until it is told to stop. Callers need an API key: `feedline keys add`."""
    import uvicorn  # noqa: PLC0415  only this command needs it

    module = importlib.import_module(SERVICES[service])
    chosen = load_settings(settings)
    access = read_access({"keys": str(keys), **chosen.access})
    app = module.create_app(chosen, Authenticator(access))
    if host not in ("127.0.0.1", "localhost", "::1") and not cert:
        say("feedline: API keys travel in the clear without --cert: put a TLS proxy in front, or name a certificate")
    config = uvicorn.Config(
        app, host=host, port=port, ssl_certfile=cert, ssl_keyfile=cert_key, log_level="warning", server_header=False
    )
    with config.bind_socket() as listening:
        # Whoever reads the address may come at once, and waits until the server has started.
        listening.listen(config.backlog)
        scheme = "https" if cert else "http"
        pages = "/ui/" if service == "metadata" else "/"
        say(f"{service}: {scheme}://{host}:{listening.getsockname()[1]}{pages}")
        uvicorn.Server(config).run(sockets=[listening])
