"""How far a partition of `orders.bulk` has been dealt with, as it is committed with what was published.

Events are done in another order than they came, since each has its own delay. The committed offset is that of the first
event that is not done; which of those behind it are done already stands in the commit's metadata, so that whoever takes
the partition over publishes none of them again.
"""

from __future__ import annotations

import base64
import binascii
import zlib

from feedline.errors import CorruptBatchError

# The broker keeps 4,096 characters (`offset.metadata.max.bytes`): a mark of so many offsets fits, however they lie.
MAX_SPAN = 24_000
_MARK = "done1:"


class Progress:
    """first, metadata: what was committed last, or the partition's beginning and None."""

    def __init__(self, first: int, metadata: str | None = None) -> None:
        self._next = first
        # Taken and not done, in the order of offsets.
        self._open: dict[int, None] = {}
        self._done = _offsets(first, metadata)

    @property
    def low(self) -> int:
        """The offset to commit: everything before it is done."""
        return next(iter(self._open), self._next)

    @property
    def span(self) -> int:
        """Offsets that the mark has to cover."""
        return self._next - self.low

    @property
    def open(self) -> int:
        """Events taken and not done."""
        return len(self._open)

    def take(self, offset: int) -> bool:
        """Whether the event is to be dealt with; False when it was done before the partition came here."""
        self._next = offset + 1
        if offset in self._done:
            return False
        self._open[offset] = None
        return True

    def finish(self, offset: int) -> None:
        """The event has been published, refused or dropped."""
        del self._open[offset]
        self._done.add(offset)

    def mark(self) -> tuple[int, str]:
        """What to commit: an offset and its metadata."""
        low = self.low
        self._done = {offset for offset in self._done if offset > low}
        if not self._done:
            return low, ""
        bits = bytearray((max(self._done) - low) // 8 + 1)
        for offset in self._done:
            bits[(offset - low) // 8] |= 1 << (offset - low) % 8
        return low, _MARK + base64.b85encode(zlib.compress(bytes(bits), 1)).decode()


def _offsets(first: int, metadata: str | None) -> set[int]:
    """The offsets of a mark; raises CorruptBatchError for metadata that is none, since guessing would send twice."""
    if not metadata:
        return set()
    try:
        if not metadata.startswith(_MARK):
            raise ValueError("it begins otherwise")  # noqa: TRY301  one place says what to do
        bits = zlib.decompress(base64.b85decode(metadata[len(_MARK) :]))
    except (ValueError, zlib.error, binascii.Error) as error:
        raise CorruptBatchError(
            f"the metadata of the committed offset {first} cannot be read ({error}): another program commits for this "
            "group"
        ) from error
    return {first + 8 * place + bit for place, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1}
