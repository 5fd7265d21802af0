"""The stand-in for Snowflake: fakesnow's server, which the real connector talks to."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feedline.local.ports import HOST
from feedline.local.process import Process, await_healthy, start_process

STAND_IN = "fakesnow, a stand-in for Snowflake"


@dataclass(frozen=True, slots=True)
class WarehouseConfig:
    """folder: where the databases' files lie."""

    folder: Path
    log: Path
    port: int
    database: str = "FEEDLINE"
    network_timeout_s: int = 60


def connection_arguments(config: WarehouseConfig) -> dict[str, Any]:
    """Keyword arguments of `snowflake.connector.connect` that reach the stand-in."""
    return {
        "account": "fakesnow",
        "user": "feedline",
        "password": "stand-in",
        "host": HOST,
        "port": config.port,
        "protocol": "http",
        "database": config.database,
        # The connector repeats a request that was not answered for minutes unless told otherwise.
        "login_timeout": 20,
        "network_timeout": config.network_timeout_s,
        "session_parameters": {
            "FAKESNOW_DB_PATH": str(config.folder),
            "CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False,
        },
    }


def start_warehouse(config: WarehouseConfig, home: Path) -> Process:
    """Starts the stand-in; does not wait for its health."""
    config.folder.mkdir(parents=True, exist_ok=True)
    return start_process(
        "warehouse",
        [sys.executable, "-m", "feedline.local.warehouse_server", str(config.port), config.folder],
        home=home,
        port=config.port,
        log=config.log,
    )


def await_warehouse(process: Process, config: WarehouseConfig, *, within_s: float = 120) -> None:
    """Returns when the stand-in answers; raises ServiceNotReadyError."""
    await_healthy(process, lambda: warehouse_healthy(config.port), within_s=within_s)


def warehouse_healthy(port: int) -> bool:
    """Whether the server answers at all: it has no page for health."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/", timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, urllib.error.URLError):
        return False
