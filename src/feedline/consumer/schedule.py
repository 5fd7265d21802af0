"""Which worker gets which messages next: lanes keep the order that was asked for, and nothing else waits."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable

from feedline.consumer.claim import Claim, Entry
from feedline.consumer.lanes import Hold, Lane
from feedline.consumer.pipeline_policy import Batching, Ordering

_UNLIMITED = 1 << 30
# Of a lane that is shared, at least so much of a batch is begun at once when there is more than a batch to do.
_LEAST_SHARE = 4


class Schedule:
    """Thread-safe: the polling thread puts and discards, workers take, release and delay."""

    def __init__(self, ordering: Ordering, batching: Batching) -> None:
        self._ordering = ordering
        self._batching = batching
        self._one_by_one = batching.max_messages == 1
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._ready: deque[Lane] = deque()
        # Lanes whose batch closes by age, and holds that wait for another attempt, by time.
        self._due: list[tuple[float, int, Lane | Hold]] = []
        self._numbers = itertools.count()
        self._topic_lane = Lane(1)
        self._queued = 0
        self._idle = 0
        self._retiring = 0
        self._workers = 1
        self._flushing = False
        self._closed = False

    def put(self, entries: Iterable[Entry]) -> None:
        """Adds messages, each partition's in offset order."""
        now = time.monotonic()
        with self._lock:
            added = 0
            for entry in entries:
                lane = self._lane(entry)
                lane.add(entry, now)
                added += 1
                if lane.may_begin:
                    self._offer(lane, now)
            self._queued += added
            if self._idle and (self._ready or self._due):
                self._work.notify(min(added, self._idle))

    def take(self, want: int) -> Hold | None:
        """Waits for messages of one lane: one batch, or up to `want` messages that are handled one by one.

        None tells the worker to end. A lane that others may take from too is shared out evenly.
        """
        with self._lock:
            while True:
                if self._closed or self._retiring:
                    self._retiring = max(self._retiring - 1, 0)
                    return None
                now = time.monotonic()
                retry = self._ripen(now)
                if retry is not None:
                    self._in_hand(retry.entries, 1)
                    return retry
                while self._ready:
                    lane = self._ready.popleft()
                    lane.ready = False
                    if lane.free and lane.holders < lane.limit:
                        return self._cut(lane, want, now)
                self._idle += 1
                self._work.wait(self._due[0][0] - now if self._due else None)
                self._idle -= 1

    def release(self, hold: Hold, rest: list[Entry]) -> list[Entry]:
        """The worker is done with it; `rest`, not begun, goes back to where it was.

        Returns what is given up instead, since its partition is being taken away.
        """
        now = time.monotonic()
        with self._lock:
            self._in_hand(hold.entries, -1)
            if hold.attempt:
                _count_failing(hold.entries, -1)
            gone = self._give_back(hold.lane, rest)
            self._unhold(hold, now)
            return gone

    def delay(self, hold: Hold, failed: list[Entry], rest: list[Entry], seconds: float) -> list[Entry]:
        """Keeps `failed` for another attempt after so many seconds, in its place in the order, and gives `rest` back.

        Returns what is given up of both.
        """
        now = time.monotonic()
        with self._lock:
            self._in_hand(hold.entries, -1)
            gone = self._give_back(hold.lane, rest)
            kept = [entry for entry in failed if not entry[1].closing]
            gone += [entry for entry in failed if entry[1].closing]
            if hold.attempt:
                _count_failing(hold.entries, -1)
            if not kept:
                self._unhold(hold, now)
                return gone
            _count_failing(kept, 1)
            again = Hold(hold.lane, kept, hold.partitions, hold.attempt + 1)
            heapq.heappush(self._due, (now + seconds, next(self._numbers), again))
            if self._idle:
                self._work.notify()
            return gone

    def discard(self, claims: Collection[Claim], *, closing: bool) -> list[Entry]:
        """Gives up what is not begun of these partitions, and returns it in no order.

        closing: begin nothing of them any more, and give up what waits for another attempt too.
        """
        chosen = set(claims)
        now = time.monotonic()
        with self._lock:
            gone: list[Entry] = []
            for claim in chosen:
                claim.closing = claim.closing or closing
                for lane in claim.lanes.values():
                    assert isinstance(lane, Lane)
                    gone += lane.remove((claim,))
                claim.lanes = {key: lane for key, lane in claim.lanes.items() if lane.holders}  # type: ignore[attr-defined]
            gone += self._topic_lane.remove(chosen)
            self._queued -= len(gone)
            if closing:
                gone += self._drop_delayed(chosen, now)
            return gone

    def flush(self) -> None:
        """No batch waits for its age any more."""
        with self._lock:
            self._flushing = True
            self._work.notify_all()

    def set_workers(self, count: int) -> None:
        """How many share the work; when fewer than before, as many are told to end."""
        with self._lock:
            self._retiring = max(self._retiring + self._workers - count, 0)
            self._workers = count
            self._share_topic_lane()
            if self._topic_lane.may_begin:
                self._offer(self._topic_lane, time.monotonic())
            self._work.notify_all()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._work.notify_all()

    def _lane(self, entry: Entry) -> Lane:
        if self._ordering is Ordering.TOPIC:
            return self._topic_lane
        claim = entry[1]
        key = entry[0].key() if self._ordering is Ordering.KEY else None
        lane = claim.lanes.get(key)
        if lane is None:
            in_turn = self._ordering is Ordering.PARTITION or key is not None
            lane = claim.lanes[key] = Lane(1 if in_turn else _UNLIMITED, (claim, key))
        assert isinstance(lane, Lane)
        return lane

    def _offer(self, lane: Lane, now: float) -> None:
        """Makes a lane ready, or ready when its batch is old enough."""
        bounds = self._batching
        if (
            not bounds.max_age_s
            or self._flushing
            or lane.free >= bounds.max_messages
            or lane.free_bytes >= bounds.max_bytes
            or now - lane.since >= bounds.max_age_s
            or self._is_behind(lane)
        ):
            lane.ready = True
            self._ready.append(lane)
        elif not lane.ripening:
            lane.ripening = True
            heapq.heappush(self._due, (lane.since + bounds.max_age_s, next(self._numbers), lane))

    def _is_behind(self, lane: Lane) -> bool:
        """Whether a shared lane has a batch to do and enough of it can be begun, so that nothing need wait for age."""
        most = self._batching.max_messages
        return bool(lane.lent) and len(lane.pending) >= most and lane.free * _LEAST_SHARE >= most

    def _ripen(self, now: float) -> Hold | None:
        """Takes what is due: lanes become ready, the first hold to attempt again is returned."""
        while self._due and (self._due[0][0] <= now or (self._flushing and isinstance(self._due[0][2], Lane))):
            _, _, what = heapq.heappop(self._due)
            if isinstance(what, Hold):
                return what
            what.ripening = False
            if what.may_begin:
                self._offer(what, now)
        return None

    def _cut(self, lane: Lane, want: int, now: float) -> Hold:
        most, most_bytes = self._batching.max_messages, self._batching.max_bytes
        if self._one_by_one:
            most, most_bytes = max(1, min(want, self._queued // self._workers)), 1 << 62
        taken = lane.cut(most, most_bytes, now)
        self._queued -= len(taken)
        if lane.may_begin:
            self._offer(lane, now)
            if self._idle and (lane.ready or lane.ripening):
                # Whoever was woken when they came may have gone to sleep again.
                self._work.notify()
        self._in_hand(taken, 1)
        return Hold(lane, taken, frozenset(entry[1] for entry in taken) if lane.shares else frozenset())

    def _in_hand(self, entries: list[Entry], sign: int) -> None:
        if not entries:
            return
        if self._ordering is not Ordering.TOPIC:
            entries[0][1].in_hand += sign * len(entries)
            return
        for entry in entries:
            entry[1].in_hand += sign

    def _give_back(self, lane: Lane, rest: list[Entry]) -> list[Entry]:
        if not rest:
            return []
        kept = [entry for entry in rest if not entry[1].closing]
        lane.give_back(kept)
        self._queued += len(kept)
        return [entry for entry in rest if entry[1].closing]

    def _unhold(self, hold: Hold, now: float) -> None:
        lane = hold.lane
        lane.take_back(hold.partitions)
        self._share_topic_lane()
        if lane.pending:
            if lane.may_begin:
                self._offer(lane, now)
                if self._idle:
                    self._work.notify()
        elif self._ordering is Ordering.KEY and not lane.holders and lane.home is not None:
            # Keys are many: a lane that is empty is forgotten.
            claim, key = lane.home
            if claim.lanes.get(key) is lane:
                del claim.lanes[key]

    def _share_topic_lane(self) -> None:
        """As many hold messages of the topic's lane as there are workers. What was cut while it was one has lent no
        partitions, so others may only begin after it."""
        lane = self._topic_lane
        if lane.limit > 1 or not lane.holders:
            lane.limit = self._workers

    def _drop_delayed(self, chosen: set[Claim], now: float) -> list[Entry]:
        gone: list[Entry] = []
        kept: list[tuple[float, int, Lane | Hold]] = []
        emptied: list[Hold] = []
        for due in self._due:
            what = due[2]
            if isinstance(what, Hold):
                dropped = [entry for entry in what.entries if entry[1] in chosen]
                gone += dropped
                what.entries = [entry for entry in what.entries if entry[1] not in chosen]
                if not what.entries:
                    emptied.append(what)
                    continue
            kept.append(due)
        self._due = kept
        heapq.heapify(self._due)
        for hold in emptied:
            self._unhold(hold, now)
        return gone


def _count_failing(entries: list[Entry], sign: int) -> None:
    for claim in {entry[1] for entry in entries}:
        claim.failing += sign
