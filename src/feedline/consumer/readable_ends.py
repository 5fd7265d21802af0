"""Where partitions end, asked of the broker beside the consumer: so that one which no longer fetches shows as lag."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from feedline.errors import FeedlineError
from feedline.kafka.admin import watermarks

logger = logging.getLogger(__name__)

Place = tuple[str, int]


class ReadableEnds:
    """Keeps the readable end of the partitions that `places` names, in a thread of its own.

    An end that cannot be had stays as it was last.
    """

    def __init__(self, kafka: Mapping[str, Any], places: Callable[[], Collection[Place]], every_s: float) -> None:
        self._kafka = kafka
        self._places = places
        self._every_s = every_s
        self._stop = threading.Event()
        self.ends: Mapping[Place, int] = {}
        # Since when an answer is missing; None while there is none to wait for.
        self._missing_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="feedline-ends", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    @property
    def age_s(self) -> float:
        """For how long the broker has not answered; 0 when it did last time."""
        since = self._missing_since
        return 0.0 if since is None else time.monotonic() - since

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            asked = list(self._places())
            found: dict[Place, int] = {}
            missing = False
            asked_at = time.monotonic()
            for topic in {topic for topic, _ in asked}:
                try:
                    marks = watermarks(self._kafka, topic, [p for t, p in asked if t == topic])
                except FeedlineError as error:
                    logger.warning("the ends of %s are not known: %s", topic, error)
                    missing = True
                    found |= {place: end for place, end in self.ends.items() if place[0] == topic}
                else:
                    found |= {(topic, partition): high for partition, (_, high) in marks.items()}
            self.ends = found
            self._missing_since = (self._missing_since or asked_at) if missing else None
