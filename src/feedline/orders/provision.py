"""The topics and schemas of orders on a cluster and a registry, for stacks that nobody provisions otherwise."""

from __future__ import annotations

from typing import Any

from feedline.kafka.admin import admin_client, ensure_topics
from feedline.kafka.registry import ensure_level, register_schema, registry_client
from feedline.metadata.compatibility import DEFAULT_LEVEL
from feedline.orders.fix.states import ensure_states_topic
from feedline.orders.model.schemas import EXECUTION_REPORT, ORDER_EVENT, order_schema
from feedline.orders.topics import OrderTopics
from feedline.settings import Settings


def order_subjects(topics: OrderTopics) -> dict[str, dict[str, Any]]:
    """The schema of each topic's values by subject (TopicNameStrategy)."""
    return {
        f"{topics.bulk}-value": order_schema(ORDER_EVENT),
        f"{topics.out}-value": order_schema(ORDER_EVENT),
        f"{topics.executions}-value": order_schema(EXECUTION_REPORT),
    }


def provision_orders(settings: Settings, topics: OrderTopics | None = None) -> list[str]:
    """Makes what is missing of topics and schemas and tells what was done; idempotent.

    Raises BrokerUnavailableError, RegistryUnavailableError, AuthenticationError, ConfigurationError.
    """
    wanted = topics or OrderTopics()
    admin = admin_client(settings.acting_as("provisioning").kafka)
    done = ensure_topics(admin, wanted.all(), settings.replication_factor, with_errors=False)
    factor = min(wanted.replication_factor, settings.replication_factor or wanted.replication_factor)
    if ensure_states_topic(admin, wanted.states, wanted.partitions, factor, wanted.min_insync_replicas):
        done.append(f"created {wanted.states}: {wanted.partitions} partitions, compacted")
    registry = registry_client(settings.registry)
    for subject, schema in order_subjects(wanted).items():
        register_schema(registry, subject, schema)
        if ensure_level(registry, subject, DEFAULT_LEVEL):
            done.append(f"registered {subject}")
    return done
