"""Threads that do the same work until they are told to end, as many as are wanted at the moment."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable


class WorkerPool:
    """Runs `work` in `size` threads. `work` returns when it is told to, by whoever shrinks or ends the pool.

    set_target: called with the new size before threads are added, after which so many calls of `work` may go on and
    the rest return.
    """

    def __init__(self, work: Callable[[], None], set_target: Callable[[int], None], *, name: str) -> None:
        self._work = work
        self._set_target = set_target
        self._name = name
        self._numbers = itertools.count(1)
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.size = 0

    def resize(self, size: int) -> None:
        """Threads that are too many end after what they have in hand."""
        with self._lock:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            added = [
                threading.Thread(target=self._work, name=f"{self._name}-{next(self._numbers)}", daemon=True)
                for _ in range(size - self.size)
            ]
            self._set_target(size)
            self._threads += added
            self.size = size
            for thread in added:
                thread.start()

    def join(self, seconds: float) -> bool:
        """Whether all threads have ended; each is given that long."""
        for thread in self._threads:
            thread.join(seconds)
        return not any(thread.is_alive() for thread in self._threads)
