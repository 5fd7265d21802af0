"""Progress of producing, in the task's log."""

from __future__ import annotations

import logging
import time

INTERVAL_S = 10.0


class ProduceProgress:
    """Called with the records and the bytes dealt with so far; logs a line now and then, not for every block."""

    def __init__(self, expected: int, logger: logging.Logger) -> None:
        self._expected = expected
        self._logger = logger
        self._said_at = time.monotonic()

    def __call__(self, records: int, size: int) -> None:
        now = time.monotonic()
        if now - self._said_at >= INTERVAL_S:
            self._said_at = now
            self._logger.info("%d of %d records, %.1f MB", records, self._expected, size / 1e6)
