"""The schema registry's connection of the Dags."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import BaseHook, Connection

REGISTRY_CONNECTION = "feedline_registry"


def registry_config(connection_id: str = REGISTRY_CONNECTION) -> dict[str, Any]:
    """`SchemaRegistryClient` properties of an http connection.

    The address is the host (whole, or with schema, port and the extra `path`); login and password become basic
    authentication; extras that are client properties, which have a dot in their name, are passed on.
    """
    # The client's HTTP library would tell the task's log of every request.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    connection = BaseHook.get_connection(connection_id)
    extra = connection.extra_dejson
    config = {name: value for name, value in extra.items() if "." in name}
    config["url"] = _address(connection, extra.get("path", ""))
    if connection.login:
        config["basic.auth.user.info"] = f"{connection.login}:{connection.password or ''}"
    return config


def _address(connection: Connection, path: str) -> str:
    host = connection.host or ""
    base = host if "://" in host else f"{connection.schema or 'http'}://{host}"
    if connection.port:
        base = f"{base}:{connection.port}"
    return f"{base.rstrip('/')}/{path.strip('/')}".rstrip("/")
