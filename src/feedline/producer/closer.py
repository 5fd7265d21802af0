"""Batches close at their age without a call of the program, as librdkafka's own linger does."""

from __future__ import annotations

import threading

from feedline.producer.record_path import RecordPath


def start_closer(path: RecordPath) -> None:
    """Starts the thread that sends the batches of this path when they are due, until the path is stopped.

    It is a daemon: as with confluent-kafka, a program that ends without `flush` leaves what is queued unsent. Like
    librdkafka's threads it does not live on in a forked child, which has to make a producer of its own.
    """
    threading.Thread(target=_close, args=(path,), name="feedline-closer", daemon=True).start()


def _close(path: RecordPath) -> None:
    wait: float | None = None
    while not path.stopped:
        path.wake.wait(wait)
        path.wake.clear()
        wait = path.send_due()
