"""The Kafka connection of the Dags."""

from __future__ import annotations

from typing import Any

from airflow.providers.apache.kafka.hooks.base import KafkaBaseHook

KAFKA_CONNECTION = "feedline_kafka"


class FeedlineKafkaHook(KafkaBaseHook):
    """The provider's hook, yielding the librdkafka properties of a connection instead of one kind of client.

    `get_conn` is the mapping that every client of `feedline.kafka` is configured from, with the provider's own
    treatment of callbacks and managed-cluster tokens applied. It may hold secrets: do not log it.
    """

    default_conn_name = KAFKA_CONNECTION

    def __init__(self, kafka_config_id: str = KAFKA_CONNECTION) -> None:
        super().__init__(kafka_config_id=kafka_config_id)

    def _get_client(self, config: dict[str, Any]) -> dict[str, Any]:
        return config
