"""How far a partition is dealt with while its messages finish in any order."""

from __future__ import annotations

import heapq
from collections.abc import Collection


class OffsetTracker:
    """One partition's offsets from `start` on: which are being worked on, and below which all are done.

    Offsets that no message has, as a transaction's markers, are passed with the next message or `reach`. Not
    thread-safe: the thread that polls is its only user.
    """

    __slots__ = ("_ahead", "_heap", "_open", "position")

    def __init__(self, start: int) -> None:
        # Where the next message is read from.
        self.position = start
        self._open: set[int] = set()
        # Those begun; what is done leaves it once everything before is done too.
        self._heap: list[int] = []
        # Tracked offsets that will be read a second time, since the reading was set back before them.
        self._ahead: set[int] = set()

    @property
    def next_offset(self) -> int:
        """Everything below it is done: the offset to commit."""
        return min(self._heap[0], self.position) if self._heap else self.position

    @property
    def in_flight(self) -> int:
        return len(self._open)

    def begin(self, offset: int) -> bool:
        """Takes the next message; False when it was set back over and is being worked on, or done, already.

        Raises ValueError for an offset before the position: messages of a partition come in order.
        """
        if offset < self.position:
            raise ValueError(f"offset {offset} came after {self.position - 1}")
        self.position = offset + 1
        if self._ahead and offset in self._ahead:
            self._ahead.discard(offset)
            self._pass_done()
            return False
        self._open.add(offset)
        heapq.heappush(self._heap, offset)
        return True

    def complete(self, offset: int) -> None:
        """Raises ValueError when this offset is not being worked on: completing one twice would hide another."""
        try:
            self._open.remove(offset)
        except KeyError:
            raise ValueError(f"offset {offset} is not in flight") from None
        self._pass_done()

    def reach(self, offset: int) -> None:
        """The reader stands at `offset` and no message lies before it: the end of the partition."""
        self.position = max(self.position, offset)

    def set_back(self, offsets: Collection[int]) -> None:
        """Forgets messages that were taken and not begun to be worked on; they will be read again.

        Reading goes on at the lowest of them, `position`. Raises ValueError when one of them is not in flight.
        """
        if not offsets:
            return
        gone = set(offsets)
        if not gone <= self._open:
            raise ValueError(f"offsets {sorted(gone - self._open)} are not in flight")
        self._open -= gone
        self.position = min(self.position, *gone)
        self._ahead |= {offset for offset in self._heap if offset > self.position and offset not in gone}
        self._ahead -= gone
        self._heap = [offset for offset in self._heap if offset not in gone]
        heapq.heapify(self._heap)

    def _pass_done(self) -> None:
        # Those at or after the position are kept: they will come a second time, and are to be known then.
        heap, still_open = self._heap, self._open
        while heap and heap[0] < self.position and heap[0] not in still_open:
            heapq.heappop(heap)
