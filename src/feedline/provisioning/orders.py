"""The topics, schemas and tables of orders as they should be: the one declaration that `feedline provision` and
`feedline orders provision` make."""

from __future__ import annotations

from dataclasses import replace

from feedline.catalog import Topic
from feedline.metadata.compatibility import DEFAULT_LEVEL
from feedline.orders.model.schemas import EXECUTION_REPORT, ORDER_EVENT, order_schema
from feedline.orders.topics import OrderTopics
from feedline.orders.warehouse.tables import ORDERS_SCHEMA, order_names, order_statements
from feedline.orders.warehouse.views import VIEWS
from feedline.provisioning.state import TableSet, TopicState, WantedSubject
from feedline.provisioning.topics import topic_states

# The newest segment of a partition is never compacted, and readers of states want the whole partition: 50,000 states.
STATES_SEGMENT_BYTES = 16 * 1024 * 1024


def order_topics(topics: OrderTopics, cap: int | None) -> tuple[TopicState, ...]:
    """cap: the most replicas that the cluster holds. The partition of an order is made of its id and their number, so
    they are keyed; refused events are few, and one partition keeps them in the order in which they were found."""

    def topic(name: str, partitions: int) -> TopicState:
        declared = Topic(
            name,
            partitions,
            replication_factor=topics.replication_factor,
            min_insync_replicas=topics.min_insync_replicas,
            retention_days=topics.retention_days,
        )
        return topic_states(declared, cap)[0]

    keyed = [
        replace(topic(name, topics.partitions), keyed=True)
        for name in (topics.bulk, topics.out, topics.executions, topics.states)
    ]
    states = keyed.pop()
    config = {key: value for key, value in states.config.items() if key != "retention.ms"}
    config |= {"cleanup.policy": "compact", "segment.bytes": str(STATES_SEGMENT_BYTES)}
    return (*keyed, replace(states, config=config), topic(topics.error, 1))


def order_subjects(topics: OrderTopics) -> tuple[WantedSubject, ...]:
    """The schema of each topic's values (TopicNameStrategy); states are no Avro."""
    named = ((topics.bulk, ORDER_EVENT), (topics.out, ORDER_EVENT), (topics.executions, EXECUTION_REPORT))
    return tuple(
        WantedSubject(f"{topic}-value", order_schema(record), "AVRO", DEFAULT_LEVEL) for topic, record in named
    )


ORDER_TABLES = TableSet("orders", ORDERS_SCHEMA, order_names(), frozenset(VIEWS), order_statements)
