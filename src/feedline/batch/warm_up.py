"""Compiling the kernels ahead: an image or an installation that has done it starts every later process at once."""

from __future__ import annotations

from feedline.batch.codec import codec_for
from feedline.batch.json_batch import decode_json_batch, encode_json_batch
from feedline.batch.json_lines import sift_block

_SCHEMA = {"type": "record", "name": "WarmUp", "fields": [{"name": "a", "type": "int"}]}
_RECORD = b'{"a":1}'


def compile_kernels() -> None:
    """Run every kernel once; numba keeps the machine code beside the package, or in the user's cache folder when the
    package may not be written. Takes seconds the first time and a fraction of one after that."""
    codec = codec_for(_SCHEMA)
    rows, _ = sift_block(_RECORD, codec)
    codec.decode([codec.encode(rows)], [1])
    decode_json_batch([encode_json_batch([_RECORD])], [1], codec)
