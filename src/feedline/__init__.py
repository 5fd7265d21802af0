"""Feedline: custodian data feeds and trade orders through Apache Kafka into Snowflake.

`from feedline import FeedProducer` is all that a publishing client needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feedline.producer.feed_producer import FeedProducer

__all__ = ["FeedProducer"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Imported on first use: `feedline --help` and the catalogue need neither librdkafka nor the compiled codec.
    if name == "FeedProducer":
        from feedline.producer.feed_producer import FeedProducer  # noqa: PLC0415

        return FeedProducer
    raise AttributeError(f"module 'feedline' has no attribute {name!r}")
