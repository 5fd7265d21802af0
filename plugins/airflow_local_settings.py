"""Read by every Airflow process when it starts: one that forks task processes loads the clients first.

A task's process is a fork of its worker's, so what the worker has imported costs the task nothing. Otherwise each of
the seventy tasks of a day begins with seconds of imports.
"""

from __future__ import annotations

import importlib
import sys

# Nothing here replaces a setting of Airflow.
__all__: list[str] = []

CLIENTS = (
    "airflow.providers.apache.kafka.hooks.base",
    "airflow.providers.snowflake.hooks.snowflake",
    "feedline.cycle",
    "feedline.warehouse.validate",
)

# `airflow scheduler` forks the workers of the LocalExecutor, `airflow celery worker` those of the CeleryExecutor.
if sys.argv[1:2] in (["scheduler"], ["celery"]):
    for client in CLIENTS:
        importlib.import_module(client)
