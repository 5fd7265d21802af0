"""Batches close at their age without a call of the program, as librdkafka's own linger does."""

from __future__ import annotations

import threading
import weakref

from feedline.producer.record_path import RecordPath


def start_closer(path: RecordPath) -> None:
    """Starts the thread that sends the batches of this path when they are due.

    It holds no reference to the path between two looks, so a producer that is dropped is collected, and the thread
    ends. It is a daemon: as with confluent-kafka, a program that ends without `flush` leaves what is queued unsent.
    Like librdkafka's threads it does not live on in a forked child, which has to make a producer of its own.
    """
    wake = path.wake
    weakref.finalize(path, wake.set).atexit = False
    threading.Thread(target=_close, args=(weakref.ref(path), wake), name="feedline-closer", daemon=True).start()


def _close(reference: weakref.ref[RecordPath], wake: threading.Event) -> None:
    wait: float | None = None
    while True:
        wake.wait(wait)
        wake.clear()
        path = reference()
        if path is None:
            return
        wait = path.send_due()
        del path
