"""What topics that carry no feed need so that nothing differs from confluent-kafka there.

The size limit: librdkafka has one `message.max.bytes` a client, and batches of feeds need a larger one than programs
expect. What a program's own messages may have is what it set, or librdkafka's default, and is checked here with
librdkafka's formula (`rd_kafka_msg_max_wire_size`): 36 bytes of framing, key, value, and each header with its two
lengths as varints.

`delivery.report.only.error`: confluent-kafka would keep successes from us too, so it is done here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, Message

from feedline.producer.feed_record import DeliveryCallback

FRAMING_BYTES = 36


def too_large(limit: int, key: Any, value: Any, headers: Any) -> bool:
    """Whether librdkafka with this limit would refuse the message; what it would refuse as no bytes counts nothing."""
    size = FRAMING_BYTES + _size(key) + _size(value)
    pairs = headers.items() if isinstance(headers, dict) else headers if isinstance(headers, list) else ()
    for pair in pairs:
        if isinstance(pair, tuple) and len(pair) == 2:
            size += sum(_size(part) + _varint(_size(part)) for part in pair)
    return size > limit


def refusal(action: str) -> KafkaError:
    """librdkafka's error; action: `produce message` as `produce` words it."""
    return KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, f"{action}: Broker: Message size too large")


def errors_only(callback: DeliveryCallback) -> DeliveryCallback:
    """The callback, which is no longer told of successes."""

    def on_delivery(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            callback(error, message)

    return on_delivery


def fitting_only(limit: int, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages of a batch that are not too large; the others get librdkafka's error as their `_error`."""
    fitting = []
    for message in messages:
        if too_large(limit, message.get("key"), message.get("value"), None):
            message["_error"] = refusal("Message failed")
        else:
            fitting.append(message)
    return fitting


def batch_of_errors_only(produce_batch: Callable[[list[dict[str, Any]]], int], messages: list[dict[str, Any]]) -> int:
    """Produces copies of the messages whose own callbacks are told of errors only."""
    named = ("callback", "on_delivery")
    copies = [{k: errors_only(v) if k in named and v is not None else v for k, v in m.items()} for m in messages]
    accepted = produce_batch(copies)
    for message, copied in zip(messages, copies, strict=True):
        if "_error" in copied:
            message["_error"] = copied["_error"]
    return accepted


def _size(part: Any) -> int:
    if isinstance(part, str):
        return len(part) if part.isascii() else len(part.encode(errors="surrogatepass"))
    return len(part) if isinstance(part, bytes) else 0


def _varint(number: int) -> int:
    # Zigzag doubles the number; seven bits a byte.
    return max(1, -(-(number * 2).bit_length() // 7))
