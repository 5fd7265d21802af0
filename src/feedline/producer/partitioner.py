"""Spreading bytes, not messages, evenly over partitions.

Micro-batches differ in size (the last of a file, a feed of small records), so taking turns would leave partitions
uneven. Giving each message to the partition with the fewest bytes so far keeps any two partitions within the size of
the largest message, whatever the sizes and their order: the one chosen had the least before, so it exceeds no other by
more than what it was given (the list-scheduling argument of Graham, 1966).
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappush, heapreplace

from feedline.errors import ConfigurationError


class BytesPartitioner:
    """Chooses the partition with the fewest bytes; of equal ones the next in turn, beginning with `first`.

    loads: bytes that count as sent before, by partition. Not safe for use by several threads at once.
    """

    def __init__(self, partitions: int, first: int = 0, loads: Mapping[int, int] | None = None) -> None:
        if partitions < 1:
            raise ConfigurationError(f"a topic has at least 1 partition, not {partitions}")
        # Bytes so far, the turn among equals, the partition.
        in_turn = [(first + turn) % partitions for turn in range(partitions)]
        self._heap = [((loads or {}).get(partition, 0), turn, partition) for turn, partition in enumerate(in_turn)]
        heapify(self._heap)

    @property
    def partitions(self) -> int:
        return len(self._heap)

    def choose(self, size: int) -> int:
        """The partition for a message of this many bytes, which are counted as sent to it."""
        before, turn, partition = self._heap[0]
        heapreplace(self._heap, (before + size, turn, partition))
        return partition

    def grow(self, partitions: int) -> None:
        """Takes up partitions that were added to the topic; they begin level with the emptiest, not with nothing."""
        level = self._heap[0][0]
        for partition in range(self.partitions, partitions):
            heappush(self._heap, (level, partition, partition))
