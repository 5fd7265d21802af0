"""The topics of orders by name, and the groups and transactions of those who work with them."""

from __future__ import annotations

from dataclasses import dataclass

# Groups of the consumers; not among those of feeds, which the loader may move. Order entry, the readers of states and
# recovery assign their partitions and commit nothing.
GROUPS = "feedline-orders."
BULK_GROUP, ENTRY_GROUP, GATEWAY_GROUP = f"{GROUPS}bulk", f"{GROUPS}entry", f"{GROUPS}gateway"
STATES_GROUP, MISSED_GROUP, RECOVERY_GROUP = f"{GROUPS}states", f"{GROUPS}missed", f"{GROUPS}recovery"
# Transactional ids of bulk entry begin with this.
BULK_TRANSACTIONS = f"{GROUPS}bulk"


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
        """How orders stand as the gateways know it: compacted, and written by them alone."""
        return f"{self.prefix}orders.states"

    @property
    def error(self) -> str:
        return f"{self.prefix}orders.ERROR"

    @property
    def names(self) -> tuple[str, ...]:
        """Every topic's name; how each should be says `feedline.provisioning.orders`."""
        return (self.bulk, self.out, self.executions, self.states, self.error)
