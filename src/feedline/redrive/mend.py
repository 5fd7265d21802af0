"""From an error and what is right instead to the micro-batch that takes its place in the delivery.

The micro-batch has the error's own id as its correlation id. However often it is sent, and by how many at once, the
ledger lets it be loaded once; that it is loaded is what makes the error redriven.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from feedline.batch.consumed import ConsumedBatch
from feedline.batch.error_record import REDRIVEN_INDEX
from feedline.batch.headers import BatchHeaders
from feedline.catalog import Feed
from feedline.errors import ConfigurationError, CorruptBatchError, RecordTooLargeError, SchemaMismatchError
from feedline.producer.delivery import MESSAGE_OVERHEAD
from feedline.producer.row_encoder import RowEncoder
from feedline.redrive.stored_error import StoredError
from feedline.warehouse.decode import Decoder

# Records as bytes of JSON or as values; None: the error's own bytes, as they are.
Content = Sequence[bytes | Mapping[str, Any]] | None


@dataclass(frozen=True, slots=True)
class Mended:
    """A micro-batch ready to be sent."""

    headers: BatchHeaders
    value: bytes = field(repr=False)


class Mender:
    """Makes and checks the micro-batches of one feed by its schema as it is now.

    encoder: with the id of the registered schema, or any when nothing is to be sent; decoder: for micro-batches that
    are sent again as they are.
    """

    def __init__(self, feed: Feed, encoder: RowEncoder, decoder: Decoder) -> None:
        self._feed = feed
        self._encoder = encoder
        self._decoder = decoder

    def mend(self, error: StoredError, content: Content) -> Mended:
        """Raises SchemaMismatchError, RecordTooLargeError or CorruptBatchError when it would be refused again."""
        if error.is_line:
            return self._line(error, [error.value] if content is None else content)
        if error.batch is None:
            raise CorruptBatchError(
                "the message does not say which micro-batch it is: have its delivery produced again, or dismiss it"
            )
        return self._as_it_is(error, error.batch) if content is None else self._batch(error.batch, content)

    def _line(self, error: StoredError, content: Sequence[bytes | Mapping[str, Any]]) -> Mended:
        if error.delivery is None or len(content) != 1:
            raise SchemaMismatchError(f"a refused line is one record of a delivery, and there are {len(content)}")
        headers = BatchHeaders(
            correlation_id=error.error_id,
            feed=error.delivery.feed,
            business_date=error.delivery.business_date,
            cycle=error.delivery.cycle,
            delivery_id=error.delivery.delivery_id,
            batch_index=REDRIVEN_INDEX,
            record_count=1,
            source_file=error.source_file or "",
            content_type=self._encoder.content_type,
        )
        return Mended(headers, self._encoded(content))

    def _batch(self, batch: BatchHeaders, content: Sequence[bytes | Mapping[str, Any]]) -> Mended:
        if len(content) != batch.record_count:
            raise SchemaMismatchError(
                f"the micro-batch had {batch.record_count} records, and there are {len(content)}: give all of them"
            )
        headers = replace(batch, content_type=self._encoder.content_type)
        return Mended(headers, self._encoded(content))

    def _encoded(self, content: Sequence[bytes | Mapping[str, Any]]) -> bytes:
        records = []
        for number, record in enumerate(content):
            try:
                records.append(self._encoder.encode(record))
            except SchemaMismatchError as error:
                path = error.where.field
                if len(content) > 1:
                    path = f"records[{number}]" + (f".{path}" if path else "")
                raise SchemaMismatchError(error.reason, field=path) from None
        value = self._encoder.join(records)
        limit = self._feed.topic.max_message_bytes - MESSAGE_OVERHEAD
        if len(value) > limit:
            raise RecordTooLargeError(f"the message would have {len(value)} bytes, and the topic allows {limit}")
        return value

    def _as_it_is(self, error: StoredError, batch: BatchHeaders) -> Mended:
        at = error.origin or error.at
        try:
            _, bad = self._decoder.decode([ConsumedBatch(at.topic, at.partition, at.offset, batch, error.value)])
        except ConfigurationError as unknown:
            raise CorruptBatchError(unknown.reason) from unknown
        if bad:
            raise CorruptBatchError(bad[0].error.reason, field=bad[0].error.where.field)
        return Mended(batch, error.value)
