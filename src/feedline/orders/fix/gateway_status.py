"""How a gateway is doing, as its thread said last."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """committed, intended: offsets as the group has them; lag: events not done yet."""

    partition: int
    committed: int
    intended: int
    lag: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayStatus:
    """waiting: events held back until the engine answers the one before; taken_at: monotonic; said: the engine's last
    reason to refuse or end the session; counts: since the start."""

    name: str = ""
    logged_on: bool = False
    said: str = ""
    in_flight: int = 0
    ready: int = 0
    parked: int = 0
    waiting: int = 0
    paused: bool = False
    partitions: tuple[PartitionStatus, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    taken_at: float = field(default_factory=time.monotonic)

    @property
    def lag(self) -> int:
        return sum(one.lag for one in self.partitions)
