"""The gateway as the command that it is, in a process that dies at a named step, or has a bug.

`python gateway_process.py JSON`: `arguments` of the command, `die_at`, `die_after`, `bug`, and `marker`, a file that is
made on dying.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from confluent_kafka import TopicPartition

from feedline.cli import main
from feedline.orders.fix.connection import Connection
from feedline.orders.fix.intent import Intent
from feedline.orders.fix.missed import Missed
from feedline.orders.fix.outbox import Outbox
from feedline.orders.fix.ownership import Ownership


class Step(StrEnum):
    INTENDED = "intent written, nothing of the batch sent"
    SENDING = "given to the session, not sent yet"
    SENT = "sent, not noted"
    REPORTED = "report taken, not published"
    DURABLE = "report durable, state not written"
    SETTLED = "all durable, offset not committed"
    ASKED = "after a reset: answered how the order stands, its reports not asked for"


class Bug(StrEnum):
    NO_INTENT = "nothing is written down before sending"
    NO_MARK = "what may have been sent before is not marked"
    COMMIT_FIRST = "the offset is committed before the events are sent"


def die_here(options: dict[str, Any]) -> None:
    left = options.get("die_after", 1)

    def die(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0 and not Path(options["marker"]).exists():
            Path(options["marker"]).touch()
            os.kill(os.getpid(), signal.SIGKILL)

    match Step(options["die_at"]):
        case Step.INTENDED:
            _after(Ownership, "intend", lambda result: die() if result else None)
        case Step.SENDING:
            _before(Connection, "toApp", die)
        case Step.SENT:
            _after(Connection, "send", die)
        case Step.REPORTED:
            _before(Outbox, "report", die)
        case Step.DURABLE:
            _before(Outbox, "state", die)
        case Step.SETTLED:
            _before(Ownership, "done", die)
        case Step.ASKED:
            _before(Missed, "told", die)


def _before(owner: Any, name: str, step: Callable[..., None]) -> None:
    real = getattr(owner, name)

    def stepped(*arguments: Any, **more: Any) -> Any:
        step()
        return real(*arguments, **more)

    setattr(owner, name, stepped)


def _after(owner: Any, name: str, step: Callable[..., None]) -> None:
    real = getattr(owner, name)

    def stepped(*arguments: Any, **more: Any) -> Any:
        result = real(*arguments, **more)
        step(result)
        return result

    setattr(owner, name, stepped)


def seed(bug: Bug) -> None:
    match bug:
        case Bug.NO_INTENT:
            Ownership.intend = lambda *_: True  # type: ignore[method-assign]
        case Bug.NO_MARK:
            Intent.perhaps_sent = lambda *_, **__: False  # type: ignore[method-assign]
        case Bug.COMMIT_FIRST:
            Ownership.intend = _commit_instead  # type: ignore[method-assign]


def _commit_instead(ownership: Ownership, spans: Mapping[int, tuple[int, int]], *_: str) -> bool:
    offsets = [TopicPartition(ownership._topics.out, number, end) for number, (_, end) in spans.items()]
    ownership._consumer.commit(offsets=offsets, asynchronous=False)
    return True


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)
    chosen = json.loads(sys.argv[1])
    if chosen.get("bug"):
        seed(Bug(chosen["bug"]))
    if chosen.get("die_at"):
        die_here(chosen)
    main(["orders", "gateway", *chosen["arguments"]])
