"""What a gateway is allowed."""

from __future__ import annotations

from dataclasses import dataclass

from feedline.errors import ConfigurationError
from feedline.orders.topics import GATEWAY_GROUP


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPolicy:
    """max_in_flight: events sent whose answer is not durable yet; park_s, max_parked: how long and how many events wait
    for an earlier one of their order; idle_s: how long the broker is waited for when nothing comes; commit_s: between
    commits when nothing is sent; drain_s: for answers, when partitions go or the gateway ends; session_s: without a
    heartbeat for so long a gateway has lost its partitions: orders wait for so long when one was killed."""

    group: str = GATEWAY_GROUP
    max_in_flight: int = 2_000
    park_s: float = 60.0
    max_parked: int = 10_000
    idle_s: float = 0.02
    commit_s: float = 1.0
    drain_s: float = 10.0
    session_s: float = 10.0

    def __post_init__(self) -> None:
        if not 1 <= self.max_in_flight <= 10_000:
            raise ConfigurationError(f"max_in_flight is {self.max_in_flight}: use 1 to 10000")
        if self.park_s < 0 or self.max_parked < 0:
            raise ConfigurationError("park_s and max_parked are 0 or more")
        if self.session_s <= 0:
            raise ConfigurationError(f"session_s is {self.session_s}: use seconds, more than 0")
        if min(self.idle_s, self.commit_s, self.drain_s) < 0:
            raise ConfigurationError("idle_s, commit_s and drain_s are seconds, 0 or more")
