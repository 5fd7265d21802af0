"""Lanes: the queues that messages wait in, and what of one a worker may take at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from feedline.consumer.claim import Claim, Entry


class Lane:
    """Messages that are begun in order; with a limit of 1 each waits for the one before.

    The lane that all partitions share (`home` None) lends out whole partitions when its limit is higher: of a partition
    that somebody holds nothing else is begun.
    """

    __slots__ = ("free", "free_bytes", "holders", "home", "lent", "limit", "pending", "ready", "ripening", "since")

    def __init__(self, limit: int, home: tuple[Claim, object] | None = None) -> None:
        self.limit = limit
        # The claim whose lane it is and its key there; None for the lane that all share.
        self.home = home
        self.pending: deque[Entry] = deque()
        # How many of the pending may be begun, and their bytes: all but those of partitions that are lent.
        self.free = 0
        self.free_bytes = 0
        self.lent: set[Claim] = set()
        self.holders = 0
        # Among the ready lanes, and among those that wait for their batch's age.
        self.ready = False
        self.ripening = False
        # When its oldest message that may be begun came.
        self.since = 0.0

    def add(self, entry: Entry, now: float) -> None:
        self.pending.append(entry)
        if entry[1] not in self.lent:
            if not self.free:
                self.since = now
            self.free += 1
            self.free_bytes += entry[3]

    def give_back(self, entries: list[Entry]) -> None:
        """What was cut and not begun, to where it was."""
        self.pending.extendleft(reversed(entries))
        if not self.lent:
            self.free += len(entries)
            self.free_bytes += sum(entry[3] for entry in entries)

    def remove(self, chosen: Collection[Claim]) -> list[Entry]:
        """Everything pending of these partitions, which is given up."""
        gone = [entry for entry in self.pending if entry[1] in chosen]
        if gone:
            self.pending = deque(entry for entry in self.pending if entry[1] not in chosen)
            self._count()
        return gone

    def cut(self, most: int, most_bytes: int, now: float) -> list[Entry]:
        """The next batch, closed by the message that reaches one of the bounds."""
        taken = self._cut_partitions(most, most_bytes) if self.shares else self._cut_first(most, most_bytes)
        self.holders += 1
        self.since = now
        return taken

    def take_back(self, partitions: Iterable[Claim]) -> None:
        """A holder is done with what it had."""
        self.holders -= 1
        if self.lent:
            self.lent.difference_update(partitions)
            self._count()

    @property
    def may_begin(self) -> bool:
        """Whether there is something to begin and it is not among the ready yet."""
        return not self.ready and self.free > 0 and self.holders < self.limit

    @property
    def shares(self) -> bool:
        """Whether several holders share it by partitions."""
        return self.home is None and self.limit > 1

    def _cut_first(self, most: int, most_bytes: int) -> list[Entry]:
        pending, size = self.pending, 0
        taken: list[Entry] = []
        while pending and len(taken) < most and size < most_bytes:
            entry = pending.popleft()
            taken.append(entry)
            size += entry[3]
        self.free -= len(taken)
        self.free_bytes -= size
        return taken

    def _cut_partitions(self, most: int, most_bytes: int) -> list[Entry]:
        """Whole partitions that nobody holds, those with the oldest messages first, so that much is left to others."""
        waiting: dict[Claim, list[Entry]] = {}
        for entry in self.pending:
            if entry[1] not in self.lent:
                waiting.setdefault(entry[1], []).append(entry)
        taken: list[Entry] = []
        cut: dict[Claim, int] = {}
        size = 0
        for claim, entries in waiting.items():
            for entry in entries:
                if len(taken) >= most or size >= most_bytes:
                    break
                taken.append(entry)
                size += entry[3]
                cut[claim] = entry[2]
        # Offsets of a partition are pending in order.
        self.pending = deque(entry for entry in self.pending if entry[2] > cut.get(entry[1], -1))
        self.lent.update(cut)
        self._count()
        return taken

    def _count(self) -> None:
        if not self.lent:
            self.free, self.free_bytes = len(self.pending), sum(entry[3] for entry in self.pending)
            return
        free = [entry[3] for entry in self.pending if entry[1] not in self.lent]
        self.free, self.free_bytes = len(free), sum(free)


class Hold:
    """Messages of one lane in one worker's hand; `attempt` counts from 0. `partitions`: what the lane has lent."""

    __slots__ = ("attempt", "entries", "lane", "partitions")

    def __init__(
        self, lane: Lane, entries: list[Entry], partitions: frozenset[Claim] = frozenset(), attempt: int = 0
    ) -> None:
        self.lane = lane
        self.entries = entries
        self.partitions = partitions
        self.attempt = attempt
