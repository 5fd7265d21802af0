"""Delivery reports of records, kept from the acknowledgement of their batch until the program polls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, cast

from confluent_kafka import KafkaError, Message

from feedline.producer.feed_record import Report
from feedline.producer.row_encoder import json_text


class _Due(NamedTuple):
    report: Report
    topic: str
    error: KafkaError | None
    place: Mapping[str, Any]


class ReportQueue:
    """Reports that wait for `poll` or `flush`. Any thread may add and serve; no lock is held while a callback runs.

    on_served: told before each callback, so that a record counts as outstanding until then.
    """

    def __init__(self, on_served: Callable[[], None]) -> None:
        self._due: deque[_Due] = deque()
        self._on_served = on_served

    def __len__(self) -> int:
        return len(self._due)

    def add(self, reports: Iterable[Report], topic: str, error: KafkaError | None, batch: Message | None) -> None:
        """One report a record, with the place of the batch's message; without one for a batch that was never sent."""
        place: dict[str, Any] = {}
        if batch is not None:
            found = {
                "partition": batch.partition(),
                "offset": batch.offset(),
                "timestamp": batch.timestamp(),
                "latency": batch.latency(),
            }
            place = {name: value for name, value in found.items() if value is not None}
        self._due.extend(_Due(report, topic, error, place) for report in reports)

    def serve(self) -> int:
        """Calls every waiting callback and returns how many; what one raises passes through, the rest still wait."""
        served = 0
        while True:
            try:
                due = self._due.popleft()
            except IndexError:
                return served
            self._on_served()
            due.report.callback(due.error, _message(due))
            served += 1

    def serve_all(self) -> None:
        """Calls every waiting callback, then raises what the last failing one raised: as `flush` does."""
        failure: Exception | None = None
        while self._due:
            try:
                self.serve()
            except Exception as error:  # noqa: BLE001  a program's callback may raise anything
                failure = error
        if failure is not None:
            raise failure


def _message(due: _Due) -> Message:
    """What a callback of confluent-kafka is given: the caller's own key, value and headers, at the batch's place."""
    value = due.report.value
    return cast(
        "Message",
        Message(
            topic=due.topic,
            key=due.report.key,
            value=json_text(value) if isinstance(value, Mapping) else value,
            headers=due.report.headers,
            error=due.error,
            **due.place,
        ),
    )
