"""The settings a task works with: the installation's, with the clients taken from Airflow's connections."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feedline.settings import Settings


def task_settings() -> Settings:
    """Landing folder, catalogue and replication factor of `$FEEDLINE_SETTINGS`; cluster, registry and warehouse of the
    connections `feedline_kafka`, `feedline_registry` and `feedline_snowflake`.

    Called in a task or a trigger, never when a Dag file is read.
    """
    from feedline.settings import load_settings
    from feedline_airflow.kafka_hook import FeedlineKafkaHook
    from feedline_airflow.registry_connection import registry_config
    from feedline_airflow.warehouse_hook import WarehouseHook

    return replace(
        load_settings(),
        kafka=FeedlineKafkaHook().get_conn,
        registry=registry_config(),
        warehouse=WarehouseHook()._get_conn_params(),
    )
