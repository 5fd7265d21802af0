"""From a block of lines to encoded micro-batches: what the bulk path's threads do, without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from feedline.batch.codec import RecordCodec, codec_for
from feedline.batch.control_totals import BatchTotals, column_at, totals_of
from feedline.batch.json_batch import encode_json_batch
from feedline.batch.json_lines import BadRecord, sift_block
from feedline.catalog import Feed
from feedline.errors import RecordTooLargeError
from feedline.producer.line_blocks import LineBlock


@dataclass(frozen=True, slots=True)
class Rows:
    """The records of one micro-batch before encoding; `lines` are their JSON, for a feed that is sent as JSON."""

    index: int
    rows: pa.RecordBatch
    lines: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class ParsedBlock:
    """A block's good records in order, where each micro-batch of it lies in them, and its bad records."""

    rows: pa.RecordBatch
    batches: tuple[Rows, ...]
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

    prefix: the wire prefix that each message begins with; max_message_bytes: more than that is split.
    """

    def __init__(self, feed: Feed, prefix: bytes, max_message_bytes: int) -> None:
        self._feed = feed
        self._codec: RecordCodec = codec_for(feed.schema)
        self._prefix = prefix
        self._max = max_message_bytes
        self._as_json = feed.serialization == "json"

    def parse(self, block: LineBlock) -> ParsedBlock:
        rows, bad = sift_block(
            block.data, self._codec, first_line=block.first_line, max_record_bytes=self._feed.max_record_bytes
        )
        if not bad and rows.num_rows == block.lines and not self._as_json:
            return ParsedBlock(rows, tuple(_even(block, rows)), bad)
        return ParsedBlock(rows, tuple(_sifted(block, rows, bad)), bad)

    def encode(self, parsed: ParsedBlock) -> EncodedBlock:
        batches = [encoded for rows in parsed.batches for encoded in self.encode_rows(rows)]
        return EncodedBlock(batches, totals_of(self._feed, parsed.rows), parsed.bad)

    def parse_and_encode(self, block: LineBlock) -> EncodedBlock:
        return self.encode(self.parse(block))

    def encode_rows(self, rows: Rows) -> Iterator[EncodedBatch]:
        """The messages of one micro-batch: one, or several when it is too large; none when it is empty."""
        yield from self._parts(rows, 0, rows.rows.num_rows, part=0)

    def _parts(self, rows: Rows, start: int, stop: int, part: int) -> Iterator[EncodedBatch]:
        if start == stop:
            return
        value = self._value(rows, start, stop)
        if len(value) <= self._max:
            yield EncodedBatch(rows.index, part, stop - start, value)
            return
        if stop - start == 1:
            raise RecordTooLargeError(
                f"a record of {len(value)} bytes does not fit a message of {self._max} on topic "
                f"{self._feed.topic.name}: lower the feed's max_record_bytes or raise the topic's max_message_bytes",
                feed=self._feed.name,
            )
        middle = (start + stop) // 2
        for half in ((start, middle), (middle, stop)):
            for encoded in self._parts(rows, *half, part):
                part = encoded.part + 1
                yield encoded

    def _value(self, rows: Rows, start: int, stop: int) -> bytes:
        if self._as_json:
            return encode_json_batch(rows.lines[start:stop], self._prefix)
        return self._codec.encode(rows.rows, start, stop, prefix=self._prefix)


class WholeGroups:
    """Moves the end of each micro-batch to where the grouping field changes, so that no group is split.

    Takes a file's micro-batches in order; keeps the last, since the next may begin with more of its last group.
    """

    def __init__(self, group_by: str) -> None:
        self._group_by = group_by
        self._open: Rows | None = None

    def add(self, batches: Sequence[Rows]) -> list[Rows]:
        """The micro-batches that are known to be whole now."""
        whole: list[Rows] = []
        for batch in batches:
            if batch.rows.num_rows == 0:
                continue
            if self._open is None:
                self._open = batch
                continue
            keys = column_at(batch.rows, self._group_by).to_pylist()
            last = column_at(self._open.rows.slice(self._open.rows.num_rows - 1), self._group_by)[0].as_py()
            same = next((i for i, key in enumerate(keys) if key != last), len(keys))
            if same:
                self._open = _joined(self._open, batch, same)
            if same < len(keys):
                whole.append(self._open)
                self._open = Rows(batch.index, batch.rows.slice(same), batch.lines[same:])
        return whole

    def end(self) -> list[Rows]:
        last, self._open = self._open, None
        return [] if last is None else [last]


def _joined(left: Rows, right: Rows, count: int) -> Rows:
    rows: pa.RecordBatch = pa.concat_batches([left.rows, right.rows.slice(0, count)])  # type: ignore[attr-defined]
    return Rows(left.index, rows, [*left.lines, *right.lines[:count]])


def _even(block: LineBlock, rows: pa.RecordBatch) -> Iterator[Rows]:
    """Every line is a record."""
    start = 0
    for number, lines in enumerate(block.batches):
        yield Rows(block.first_batch + number, rows.slice(start, lines))
        start += lines


def _sifted(block: LineBlock, rows: pa.RecordBatch, bad: Sequence[BadRecord]) -> Iterator[Rows]:
    """Lines that are bad or blank are no records: a micro-batch has what is left of its lines."""
    refused = {record.line for record in bad}
    good = [
        (number, text)
        for number, text in enumerate(block.data.split(b"\n"), block.first_line)
        if number not in refused and text.strip()
    ]
    assert len(good) == rows.num_rows, "the parser and the line count disagree"
    start, end_line = 0, block.first_line
    for number, lines in enumerate(block.batches):
        end_line += lines
        stop = start
        while stop < len(good) and good[stop][0] < end_line:
            stop += 1
        texts = [text for _, text in good[start:stop]]
        yield Rows(block.first_batch + number, rows.slice(start, stop - start), texts)
        start = stop
