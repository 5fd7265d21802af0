"""Since when a partition has not got on: what tells one that waits its turn from one that is stuck.

A partition gets on when its next offset moves, and while a handler that has its messages says so (`Work.progressed`).
One whose messages wait for a worker, or are not read since the queue is full, gets on as those do that it waits for. A
handler's word counts in its first attempt only: one that fails over and over gets nowhere, however far it came.
"""

from __future__ import annotations

from collections.abc import Iterable

from feedline.consumer.claim import Claim


class Progress:
    """Of the polling thread."""

    def __init__(self) -> None:
        # When any of the work was done, or its handler got on.
        self._turned_at = 0.0

    def done(self, claim: Claim, now: float) -> None:
        """Something of the partition is dealt with."""
        claim.moved_at = self._turned_at = now

    def look(self, claims: Iterable[Claim]) -> None:
        """Notes what handlers have said."""
        said = [claim.progressed_at for claim in claims if claim.in_hand and not claim.failing]
        self._turned_at = max([self._turned_at, *said])

    def since(self, claim: Claim, *, queue_is_full: bool) -> float:
        """When the partition got on last."""
        if claim.failing:
            return claim.moved_at
        if claim.in_hand:
            return max(claim.moved_at, claim.progressed_at)
        waits = queue_is_full or claim.tracker.in_flight > 0
        return max(claim.moved_at, self._turned_at) if waits else claim.moved_at
