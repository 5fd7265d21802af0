"""The topics of orders, as they should be on the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feedline.catalog import Topic

# Groups of the consumers, all under the prefix that the services' rules name.
BULK_GROUP, ENTRY_GROUP = "feedline.orders.bulk", "feedline.orders.entry"
# Transactional ids of bulk entry begin with this.
BULK_TRANSACTIONS = "feedline.orders.bulk"


@dataclass(frozen=True, slots=True)
class OrderTopics:
    """Their names, and what they share. prefix: before every name, for a second set on the same cluster.

    A partition of `bulk` goes to the partition of the same number of `out`, so the two have equally many.
    """

    prefix: str = ""
    partitions: int = 24
    replication_factor: int = 3
    min_insync_replicas: int = 2
    retention_days: int = 7

    @property
    def bulk(self) -> str:
        return f"{self.prefix}orders.bulk"

    @property
    def out(self) -> str:
        return f"{self.prefix}orders.out"

    @property
    def executions(self) -> str:
        return f"{self.prefix}orders.executions"

    @property
    def states(self) -> str:
        """How orders stand as the gateways know it: compacted, written and read by them alone."""
        return f"{self.prefix}orders.states"

    @property
    def error(self) -> str:
        return f"{self.prefix}orders.ERROR"

    def all(self) -> tuple[Topic, ...]:
        """Every topic; refused events are few, and one partition keeps them in the order in which they were found."""
        settings: Mapping[str, Any] = {
            "replication_factor": self.replication_factor,
            "min_insync_replicas": self.min_insync_replicas,
            "retention_days": self.retention_days,
        }
        return (
            *(Topic(name, self.partitions, **settings) for name in (self.bulk, self.out, self.executions)),
            Topic(self.error, 1, **settings),
        )
