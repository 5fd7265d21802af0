"""The metadata service and its pages below Airflow's API server, for whoever is signed in to Airflow."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from feedline.settings import Settings

logger = logging.getLogger(__name__)

URL_PREFIX = "/feedline"
# How long a changed connection or settings file may go unnoticed.
LOOK_AT_SETTINGS_S = 15.0


@dataclass
class _Built:
    """The service as built last, and the settings it was built from."""

    app: ASGIApp | None = None
    settings: Settings | None = None
    looked_at: float = float("-inf")


_built = _Built()
_lock = threading.Lock()


async def web_app(scope: Scope, receive: Receive, send: Send) -> None:
    """The application that Airflow mounts. Nothing is imported or read before the first request."""
    from anyio import to_thread

    app = await to_thread.run_sync(_application)
    await app(scope, receive, send)


def _application() -> ASGIApp:
    """The service for the settings as they are now; when they cannot be used, for those seen before."""
    with _lock:
        if time.monotonic() - _built.looked_at > LOOK_AT_SETTINGS_S:
            try:
                _look()
            except Exception:
                logger.exception("Feedline's settings or Airflow connections cannot be used")
        return _built.app or _unavailable()


def _look() -> None:
    from feedline.services.metadata_api import create_app
    from feedline_airflow.airflow_callers import AirflowCallers
    from feedline_airflow.task_settings import task_settings

    settings = task_settings()
    if settings != _built.settings:
        _built.app, _built.settings = create_app(settings, AirflowCallers()), settings
    _built.looked_at = time.monotonic()


def _unavailable() -> ASGIApp:
    from feedline.services.problems import problem_response

    return problem_response(
        503,
        "Feedline's settings or one of the connections feedline_kafka, feedline_registry and feedline_snowflake cannot "
        "be used: the log of Airflow's API server says which",
    )
