"""Read by every Airflow process when it starts: one that forks task processes loads the clients first.

A task's process is a fork of the worker's. What the worker has imported costs the task nothing; otherwise each of the
seventy tasks of a day begins with about two seconds of imports.
"""

from __future__ import annotations

import sys

# Nothing here replaces a setting of Airflow.
__all__: list[str] = []

# `airflow scheduler` forks the workers of the LocalExecutor, `airflow celery worker` those of the CeleryExecutor.
if sys.argv[1:2] in (["scheduler"], ["celery"]):
    import feedline.cycle
    import feedline.warehouse.validate
    from airflow.providers.apache.kafka.hooks import base as _kafka_hook
    from airflow.providers.snowflake.hooks import snowflake as _snowflake_hook
