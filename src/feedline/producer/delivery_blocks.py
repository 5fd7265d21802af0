"""From a block of lines to the messages of its micro-batches: what the bulk path's threads do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from feedline.batch.codec import RecordCodec, codec_for
from feedline.batch.control_totals import BatchTotals, column_at, totals_of
from feedline.batch.json_batch import encode_json_batch
from feedline.batch.json_lines import BadRecord, EncodedRecords, join_encoded, sift_records
from feedline.catalog import Feed
from feedline.errors import RecordTooLargeError
from feedline.producer.line_blocks import LineBlock


@dataclass(frozen=True, slots=True)
class Draft:
    """The records of one micro-batch: `start` to `stop` of `records`; `lines` are their JSON if the feed is sent so."""

    index: int
    records: EncodedRecords
    start: int
    stop: int
    lines: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class ParsedBlock:
    """A block's good records as drafts, the columns of them that are added up or grouped by, and its bad records."""

    drafts: tuple[Draft, ...]
    columns: pa.RecordBatch | None
    totals: BatchTotals
    bad: Sequence[BadRecord]


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """A message's value. `part` is above 0 for the rest of a micro-batch that was too large for one message."""

    index: int
    part: int
    records: int
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EncodedBlock:
    """`totals` are those of the block's good records, None when it only brings batches of earlier ones."""

    batches: list[EncodedBatch]
    totals: BatchTotals | None
    bad: Sequence[BadRecord]


class BlockEncoder:
    """Parses and encodes blocks of one feed. Keeps nothing between calls, so many threads may use one.

    prefix: the wire prefix that each message begins with; max_message_bytes: a micro-batch with more is split.
    """

    def __init__(self, feed: Feed, prefix: bytes, max_message_bytes: int) -> None:
        self._feed = feed
        self._codec: RecordCodec = codec_for(feed.schema)
        self._prefix = prefix
        self._max = max_message_bytes
        self._as_json = feed.serialization == "json"
        wanted = (*feed.control_totals, *filter(None, (feed.fund_field, feed.batch.group_by)))
        self._columns = {path.split(".")[0] for path in wanted}

    def parse(self, block: LineBlock) -> ParsedBlock:
        records, bad = sift_records(
            block.data, self._codec, first_line=block.first_line, max_record_bytes=self._feed.max_record_bytes
        )
        columns = None
        totals = BatchTotals(len(records), {})
        if self._columns and len(records):
            columns = self._codec.decode([records.body()], [len(records)], columns=self._columns)
            totals = totals_of(self._feed, columns)
        return ParsedBlock(tuple(self._drafts(block, records)), columns, totals, bad)

    def encode(self, block: LineBlock) -> EncodedBlock:
        parsed = self.parse(block)
        batches = [batch for draft in parsed.drafts for batch in self.messages(draft)]
        return EncodedBlock(batches, parsed.totals, parsed.bad)

    def messages(self, draft: Draft) -> Iterator[EncodedBatch]:
        """The messages of one micro-batch: one, or several when it is too large; none when it is empty."""
        return self._parts(draft, draft.start, draft.stop, part=0)

    def _drafts(self, block: LineBlock, records: EncodedRecords) -> Iterator[Draft]:
        """The micro-batches that the cut lines make, without the lines that are bad or blank."""
        ends = block.first_line + np.cumsum(block.batches)
        stops = np.searchsorted(records.lines, ends).tolist()
        lines = block.data.split(b"\n") if self._as_json else []
        texts = [lines[number] for number in (records.lines - block.first_line).tolist()] if self._as_json else ()
        for number, (start, stop) in enumerate(zip([0, *stops[:-1]], stops, strict=True)):
            yield Draft(block.first_batch + number, records, start, stop, texts)

    def _parts(self, draft: Draft, start: int, stop: int, part: int) -> Iterator[EncodedBatch]:
        if start == stop:
            return
        value = self._value(draft, start, stop)
        if len(value) <= self._max:
            yield EncodedBatch(draft.index, part, stop - start, value)
            return
        if stop - start == 1:
            raise RecordTooLargeError(
                f"a record of {len(value)} bytes does not fit a message of {self._max} on topic "
                f"{self._feed.topic.name}: lower the feed's max_record_bytes or raise the topic's max_message_bytes",
                feed=self._feed.name,
                line=int(draft.records.lines[start]),
            )
        middle = (start + stop) // 2
        for half in ((start, middle), (middle, stop)):
            for encoded in self._parts(draft, *half, part):
                part = encoded.part + 1
                yield encoded

    def _value(self, draft: Draft, start: int, stop: int) -> bytes:
        if self._as_json:
            return encode_json_batch(draft.lines[start:stop], self._prefix)
        return draft.records.body(start, stop, prefix=self._prefix)


class WholeGroups:
    """Moves the end of each micro-batch to where the grouping field changes, so that no group is split.

    Takes a file's blocks in order; keeps the last micro-batch, since the next may begin with more of its last group.
    """

    def __init__(self, group_by: str) -> None:
        self._group_by = group_by
        self._open: Draft | None = None
        self._last: object = None

    def add(self, parsed: ParsedBlock) -> list[Draft]:
        """The micro-batches that are known to be whole now."""
        whole: list[Draft] = []
        if parsed.columns is None:
            return whole
        groups = column_at(parsed.columns, self._group_by).to_pylist()
        for draft in parsed.drafts:
            if draft.start == draft.stop:
                continue
            start = draft.start
            if self._open is not None:
                while start < draft.stop and groups[start] == self._last:
                    start += 1
                self._open = _joined(self._open, draft, start)
                if start == draft.stop:
                    continue
                whole.append(self._open)
            self._open = Draft(draft.index, draft.records, start, draft.stop, draft.lines)
            self._last = groups[draft.stop - 1]
        return whole

    def end(self) -> list[Draft]:
        last, self._open = self._open, None
        return [] if last is None else [last]


def _joined(left: Draft, right: Draft, stop: int) -> Draft:
    """The left draft and the right one's records up to `stop`."""
    if stop == right.start:
        return left
    records = join_encoded([_piece(left.records, left.start, left.stop), _piece(right.records, right.start, stop)])
    lines = [*left.lines[left.start : left.stop], *right.lines[right.start : stop]]
    return Draft(left.index, records, 0, len(records), lines)


def _piece(records: EncodedRecords, start: int, stop: int) -> EncodedRecords:
    ends = records.ends[start : stop + 1]
    return EncodedRecords(records.data[ends[0] : ends[-1]], ends - ends[0], records.lines[start:stop])
