"""Calls of the Kafka client that may outlast the timeout they are given."""

from __future__ import annotations

import threading
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException


def within(seconds: float, call: Callable[[float], object], what: str) -> None:
    """Makes the call, which is given `seconds`, in a thread of its own, and gives it up after twice as long.

    For `send_offsets_to_transaction`: without its group's coordinator librdkafka never looks at the time (issues 5456
    and 5511), and while it waits no signal is heard. A producer whose call was given up is of no more use: another one
    of its transactional id ends its transaction. Raises what the call raises, and a fatal KafkaException (_TIMED_OUT)
    for one given up.
    """
    raised: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            call(seconds)
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
            raised.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="feedline-bounded-call", daemon=True).start()
    if not done.wait(2 * seconds):
        reason = f"{what} has not returned within {2 * seconds:g} s, whatever its timeout"
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, reason, fatal=True))
    if raised:
        raise raised[0]
