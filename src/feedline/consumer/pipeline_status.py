"""What a pipelined consumer says of itself: taken by its polling thread, read by whoever asks."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionStatus:
    """next_offset: everything below is dealt with. end: the topic's readable end, None when not known yet.
    stalled_s: seconds since the last progress while there is lag, that of the work it waits for included; 0 without
    lag."""

    topic: str
    partition: int
    next_offset: int
    committed: int
    end: int | None
    in_flight: int
    backing_off: bool
    stalled_s: float

    @property
    def lag(self) -> int:
        return max((self.end or 0) - self.next_offset, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStatus:
    """in_flight: messages taken and not done, and their bytes. handled: messages done since the start; failed: calls
    of the handler that raised; poisoned: messages sent to the error topic. commit_age_s: for how long something done
    has not been committed. unplaced_s: for how long partitions have been owned of which it is not known where they
    begin. ends_age_s: for how long the broker has not said where partitions end, so that no lag could show.
    taken_at: of `time.monotonic`."""

    partitions: tuple[PartitionStatus, ...] = ()
    workers: int = 0
    in_flight: int = 0
    in_flight_bytes: int = 0
    handled: int = 0
    failed: int = 0
    poisoned: int = 0
    rebalances: int = 0
    commit_age_s: float = 0.0
    unplaced_s: float = 0.0
    ends_age_s: float = 0.0
    taken_at: float = field(default_factory=time.monotonic)

    @property
    def lag(self) -> int:
        return sum(one.lag for one in self.partitions)

    def stalled(self, limit_s: float) -> list[PartitionStatus]:
        """Partitions with lag and no progress for longer than that."""
        return [one for one in self.partitions if one.stalled_s > limit_s]
