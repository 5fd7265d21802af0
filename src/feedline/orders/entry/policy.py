"""What order entry promises, waits for and bears."""

from __future__ import annotations

from dataclasses import dataclass

from feedline.errors import ConfigurationError
from feedline.orders.topics import GATEWAY_GROUP


@dataclass(frozen=True, slots=True)
class EntryPolicy:
    """linger_ms: how long events wait to go to the broker together. delivery_s: without acknowledgement for so long,
    the outcome is told to be unknown. away_s: with acknowledgements due and none coming for so long, the broker is held
    to be away and further requests are turned down at once. settle_s: how long an acknowledged event may take to come
    back. max_in_flight: requests at work at once. remembered: orders that are known by their ids and keys; at the start
    those of the last `remember_hours` are read back, no more than are remembered. gateways: the consumer group of the
    gateways, whose offsets tell what they have done with."""

    linger_ms: float = 5.0
    delivery_s: float = 8.0
    away_s: float = 3.0
    settle_s: float = 5.0
    max_in_flight: int = 2_000
    remembered: int = 500_000
    remember_hours: float = 24.0
    gateways: str = GATEWAY_GROUP

    def __post_init__(self) -> None:
        if min(self.delivery_s, self.away_s, self.settle_s, self.remember_hours) <= 0 or self.linger_ms < 0:
            raise ConfigurationError("the times of order entry must be more than 0")
        if self.max_in_flight < 1 or self.remembered < 2:
            raise ConfigurationError("order entry needs max_in_flight of 1 and remembered of 2 at least")
