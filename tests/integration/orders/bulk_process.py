"""Bulk entry as a process that may be killed, by SIGKILL, at a named step of its n-th transaction."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from confluent_kafka import Producer

from feedline.orders.bulk import service
from feedline.orders.bulk.delays import read_delay
from feedline.orders.bulk.lane import LanePolicy
from feedline.orders.topics import OrderTopics
from feedline.settings import load_settings

STEPS = ("begin_transaction", "produce", "send_offsets_to_transaction", "commit_transaction", "committed")


class Killed(Producer):
    """A producer that ends its process when a step has been done so many times."""

    step, left = "", 0

    def _done(self, step: str) -> None:
        if step == Killed.step:
            Killed.left -= 1
            if Killed.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def begin_transaction(self) -> None:
        super().begin_transaction()
        self._done("begin_transaction")

    def produce(self, *args, **settings) -> None:
        super().produce(*args, **settings)
        if Killed.step == "produce" and Killed.left <= 1:
            # So that the broker has what is in no committed transaction.
            self.flush(10)
        self._done("produce")

    def send_offsets_to_transaction(self, *args) -> None:
        super().send_offsets_to_transaction(*args)
        self._done("send_offsets_to_transaction")

    def commit_transaction(self, *args) -> None:
        self._done("commit_transaction")
        super().commit_transaction(*args)
        self._done("committed")


def main() -> None:
    settings, prefix, partitions, name, delay, Killed.step, left = sys.argv[1:]
    Killed.left = int(left)
    service.Producer = Killed
    policy = service.BulkPolicy(
        lane=replace(LanePolicy(read_delay(delay)), park_s=5.0), at_once=20, transaction_s=5.0, session_s=6.0
    )
    entry = service.BulkEntry(
        load_settings(Path(settings)), name, policy=policy, topics=OrderTopics(prefix, int(partitions))
    )
    signal.signal(signal.SIGTERM, lambda *_: entry.stop())
    entry.run()


if __name__ == "__main__":
    main()
