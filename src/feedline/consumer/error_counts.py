"""How many records lie on an error topic, by delivery: each counted once, however often it was sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from feedline.batch.headers import header
from feedline.consumer.error_topic import error_id, error_messages
from feedline.consumer.messages import headers_of
from feedline.consumer.spans import TIMEOUT_SECONDS


def errors_by_delivery(
    kafka: Mapping[str, Any], error_topic: str, *, timeout_s: float = TIMEOUT_SECONDS
) -> dict[str, dict[str, int]]:
    """The errors that lie on the topic now: by delivery id, and in it by error id, the records of each.

    A refused micro-batch counts as many records as its header says, a refused line one; what names no delivery is left
    out. A topic that is not there has none. Raises BrokerUnavailableError when nothing comes for `timeout_s`.
    """
    records: dict[str, dict[str, int]] = defaultdict(dict)
    for message in error_messages(kafka, error_topic, timeout_s=timeout_s):
        headers = list(headers_of(message) or ())
        delivery, error = header(headers, "deliveryId"), error_id(headers)
        if delivery and error:
            records[delivery][error] = record_count(header(headers, "recordCount"))
    return dict(records)


def error_counts(kafka: Mapping[str, Any], error_topic: str, *, timeout_s: float = TIMEOUT_SECONDS) -> dict[str, int]:
    """Records by delivery id over distinct errors, those that were redriven since among them."""
    found = errors_by_delivery(kafka, error_topic, timeout_s=timeout_s)
    return {delivery: sum(by_id.values()) for delivery, by_id in found.items()}


def record_count(text: str | None) -> int:
    """What a `recordCount` header says; 1 without one that can be read."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else 1
