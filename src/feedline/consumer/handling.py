"""Calling the handler: what a worker thread does with the messages it holds, and what it tells the polling thread."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable

from confluent_kafka import Message

from feedline.consumer.claim import Claim, Entry, Work
from feedline.consumer.lanes import Hold
from feedline.consumer.pipeline_policy import Ordering, PipelinePolicy
from feedline.consumer.schedule import Schedule
from feedline.errors import FeedlineError, RetriableError

logger = logging.getLogger(__name__)

Handler = Callable[[Work], None]
OnPoison = Callable[[Message, FeedlineError], None]

# A worker takes about this much work at once, so that messages of microseconds do not each cost a hand-over.
WORK_AT_ONCE_S = 0.005
MOST_AT_ONCE = 256


class Handling:
    """Runs in every worker; `outcomes`, `troubled` and `failure` are for the polling thread, woken through `told`."""

    def __init__(
        self, handler: Handler, on_poison: OnPoison | None, schedule: Schedule, policy: PipelinePolicy
    ) -> None:
        self._handler = handler
        self._on_poison = on_poison
        # A reporter sends one message at a time.
        self._poison_lock = threading.Lock()
        self._schedule = schedule
        self._policy = policy
        self._step = policy.batching.max_messages
        # Entries that are dealt with (True), or given up because their partition is being taken away.
        self.outcomes: deque[tuple[list[Entry], bool]] = deque()
        # Partitions whose messages wait for another attempt.
        self.troubled: deque[Claim] = deque()
        self.told = threading.Event()
        self.failure: BaseException | None = None
        self.failed = 0
        self.poisoned = 0

    def work(self) -> None:
        """Takes and handles messages until the schedule says that this worker is one too many."""
        want = 1
        while (hold := self._schedule.take(want)) is not None:
            started = time.perf_counter()
            count = len(hold.entries)
            self._handle(hold)
            each = (time.perf_counter() - started) / count
            want = min(MOST_AT_ONCE, max(1, int(WORK_AT_ONCE_S / max(each, 1e-6))))

    def _handle(self, hold: Hold) -> None:
        entries, done = hold.entries, 0
        part: list[Entry] = []
        try:
            while done < len(entries):
                part = entries[done : done + self._step]
                if any(entry[1].closing for entry in part):
                    break
                self._call(part)
                done += len(part)
                # At once: a slow message behind it in the same hand must not keep it from being committed.
                self._say(part, [])
        except RetriableError as error:
            self._try_again(hold, done, part, error)
            return
        except BaseException as error:  # noqa: BLE001 - raised again by `PipelinedConsumer.wait`
            self.failure = self.failure or error
            self._say([], self._schedule.release(hold, []))
            return
        self._say([], self._schedule.release(hold, entries[done:]))

    def _call(self, part: list[Entry]) -> None:
        """Handles a batch; of a poisoned one everything but the culprits, which are reported."""
        work = Work(part)
        work.progressed()
        try:
            self._handler(work)
        except self._policy.poison as error:
            if len(part) > 1:
                # The handler is idempotent: halves find the culprits among many in few calls.
                middle = len(part) // 2
                self._call(part[:middle])
                self._call(part[middle:])
                return
            self._report(part[0], error)

    def _report(self, entry: Entry, error: FeedlineError) -> None:
        message, claim, offset, _ = entry
        if self._on_poison is None:
            raise error
        with self._poison_lock:
            self._on_poison(message, error)
            self.poisoned += 1
        logger.error("%s [%d] at %d was sent to the error topic: %s", *claim.where, offset, error)

    def _try_again(self, hold: Hold, done: int, part: list[Entry], error: RetriableError) -> None:
        self.failed += 1
        seconds = self._policy.backoff.wait(hold.attempt + 1, random.random())  # noqa: S311
        if hold.attempt & (hold.attempt + 1) == 0:
            # Attempts 1, 2, 4, 8 and so on: an outage must not flood the log.
            logger.warning("attempt %d failed, again in %.1f s: %s", hold.attempt + 1, seconds, error)
        given_up = self._schedule.delay(hold, part, hold.entries[done + len(part) :], seconds)
        # Of a batch of many partitions the first failure may be a race that was lost: it is over by the next attempt.
        if self._policy.ordering is not Ordering.TOPIC or hold.attempt:
            self.troubled.extend({entry[1] for entry in part})
        self._say([], given_up)

    def _say(self, done: list[Entry], given_up: list[Entry]) -> None:
        if done:
            self.outcomes.append((done, True))
        if given_up:
            self.outcomes.append((given_up, False))
        if not self.told.is_set():
            self.told.set()
