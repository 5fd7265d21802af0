"""How many micro-batches a delivery becomes, decided before it is read from what is in its files.

A message aims at the feed's `target_bytes` when compressed. How well the feed compresses is measured on the first
records of one file. Then the number of messages is rounded up to a multiple of the topic's partitions, so that each
gets the same number of messages of the same size: 91 messages would load 11 of 80 partitions twice, 160 do not. A
delivery too small for that has smaller messages, so that what it puts on some partitions only is little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from feedline.catalog import Feed
from feedline.kafka.config import COMPRESSION
from feedline.producer.delivery_blocks import BlockEncoder
from feedline.producer.line_blocks import Cutting, LineBlock
from feedline.producer.source_files import SourceFile

SAMPLE_BYTES = 1 << 20
# Compressed bytes below which a message is not made smaller only to reach more partitions.
LEAST_BYTES = 3 << 10
# Each partition gets so many messages of a large delivery, while they are not below so many compressed bytes: what
# other deliveries have put on one partition more than on another can be made up for in steps of one message.
FINE_MESSAGES = 5
FINE_BYTES = 12 << 10
# Custody records as JSON shrink to about an eighth; what a file without a good record in its sample is taken for.
_USUAL_RATIO = 1 / 8
# As producers compress, unless they are told otherwise; the ratio need not be exact.
_ZSTD = pa.Codec("zstd", compression_level=COMPRESSION["compression.level"])


@dataclass(frozen=True, slots=True)
class Sample:
    """What the first lines of a file are like.

    ratio: compressed bytes of message a byte of text; line_bytes: bytes of a line; message_ratio: bytes of message a
    byte of text before compression.
    """

    ratio: float
    line_bytes: float
    message_ratio: float = 1.0


def sample_of(source: SourceFile, encoder: BlockEncoder, max_line_bytes: int) -> Sample:
    """Measures the whole lines in a file's first mebibyte."""
    head = next(source.text(SAMPLE_BYTES), b"")
    head = head[: head.rfind(b"\n") + 1]
    lines = head.count(b"\n")
    if not lines or len(head) > lines * max_line_bytes:
        return Sample(_USUAL_RATIO, max_line_bytes)
    sized = len(head) / lines
    block = LineBlock(first_line=1, first_batch=0, batches=(lines,), data=head)
    batches = encoder.encode(block).batches
    records = sum(batch.records for batch in batches)
    if records == 0:
        return Sample(_USUAL_RATIO, sized)
    good_bytes = len(head) * records / lines
    packed = sum(len(_ZSTD.compress(batch.value)) for batch in batches)
    plain = sum(len(batch.value) for batch in batches)
    return Sample(packed / good_bytes, sized, plain / good_bytes)


def plan_cuttings(feed: Feed, text_bytes: Mapping[str, int], sample: Sample) -> dict[str, Cutting]:
    """How each file, named by its SHA-256, is cut; `text_bytes` are their uncompressed bytes.

    Of the catalogue this uses the batch rule and the topic's partitions and message limit.
    """
    total = sum(text_bytes.values())
    stretch = min(
        feed.batch.target_bytes / max(sample.ratio, 1e-3),
        feed.batch.max_records * sample.line_bytes,
        # Half of what a message may have: an Avro body can be larger than its text when fields are left out of that.
        feed.topic.max_message_bytes / 2,
    )
    batches = max(-(-total // max(int(stretch), 1)), 1)
    batches = _even(batches, int(total * sample.ratio), feed.topic.partitions)
    shares = _share(batches, text_bytes)
    return {sha256: Cutting(size, shares[sha256], feed.batch.max_records) for sha256, size in text_bytes.items()}


def _even(batches: int, packed: int, partitions: int) -> int:
    """At least `batches` messages of a delivery of `packed` compressed bytes, for partitions of even bytes."""
    if packed < partitions * LEAST_BYTES:
        return max(batches, packed // LEAST_BYTES)
    for_each = min(packed // (partitions * FINE_BYTES), FINE_MESSAGES)
    return partitions * max(-(-batches // partitions), for_each)


def _share(batches: int, text_bytes: Mapping[str, int]) -> dict[str, int]:
    """Batches dealt to the files by their bytes, with no remainder lost: the largest fractions get one more."""
    total = max(sum(text_bytes.values()), 1)
    shares = {sha256: batches * size // total for sha256, size in text_bytes.items()}
    by_fraction = sorted(text_bytes, key=lambda sha256: (-(batches * text_bytes[sha256] % total), sha256))
    for sha256 in by_fraction[: batches - sum(shares.values())]:
        shares[sha256] += 1
    return {sha256: max(share, 1) for sha256, share in shares.items()}
