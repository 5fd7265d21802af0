"""A delivery's files: only what the control file names is read, and only as UTF-8 text."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedline.batch.control_file import ControlledFile
from feedline.errors import ControlMismatchError, SchemaMismatchError, SourceChangedError
from feedline.producer.source_files import open_source


def _write(folder: Path, content: bytes, name: str = "positions_20261120_001.jsonl") -> tuple[Path, ControlledFile]:
    path = folder / name
    path.write_bytes(content)
    return path, ControlledFile(name, len(content), hashlib.sha256(content).hexdigest(), content.count(b"\n"))


def _text(path: Path, said: ControlledFile, piece: int = 64) -> bytes:
    with open_source(path, said, "positions") as source:
        return b"".join(source.text(piece))


def test_a_plain_file_is_read_as_it_is(tmp_path):
    content = b'{"a": 1}\n' * 1000
    assert _text(*_write(tmp_path, content)) == content


@given(content=st.binary(max_size=500), piece=st.integers(1, 600))
def test_a_gzip_file_is_read_uncompressed_whatever_the_piece(tmp_path_factory, content, piece):
    text = b'{"a": "' + content
    path, said = _write(tmp_path_factory.mktemp("gz"), gzip.compress(text), "a.jsonl.gz")
    assert _text(path, said, piece) == text


def test_gzip_members_that_follow_each_other_are_one_file(tmp_path):
    content = gzip.compress(b"first\n" * 100) + gzip.compress(b"second\n" * 100)
    assert _text(*_write(tmp_path, content, "a.jsonl.gz")) == b"first\n" * 100 + b"second\n" * 100


def test_a_gzip_file_is_known_by_its_first_bytes_too(tmp_path):
    assert _text(*_write(tmp_path, gzip.compress(b"x\n"), "a.jsonl")) == b"x\n"


def test_a_byte_order_mark_is_left_out(tmp_path):
    assert _text(*_write(tmp_path, b"\xef\xbb\xbf{}\n"), piece=2) == b"{}\n"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_wide_encodings_are_refused(tmp_path, encoding):
    path, said = _write(tmp_path, '{"a": 1}\n'.encode(encoding))
    with pytest.raises(SchemaMismatchError, match="UTF-8") as caught:
        _text(path, said)
    assert caught.value.where.file == path.name


def test_a_file_of_another_size_is_refused_before_it_is_read(tmp_path):
    path, said = _write(tmp_path, b"{}\n")
    path.write_bytes(b"{}\n{}\n")
    with pytest.raises(ControlMismatchError, match="6 bytes, and its control file says 3"):
        _text(path, said)


def test_a_file_of_another_content_is_refused_before_it_is_read(tmp_path):
    path, said = _write(tmp_path, b"{1}\n")
    path.write_bytes(b"{2}\n")
    with pytest.raises(ControlMismatchError, match="SHA-256"):
        _text(path, said)


def test_a_missing_file_is_named(tmp_path):
    path, said = _write(tmp_path, b"{}\n")
    path.unlink()
    with pytest.raises(ControlMismatchError, match="No such file") as caught:
        _text(path, said)
    assert caught.value.where.file == path.name


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path):
    path, said = _write(tmp_path, b"{}\n" * 100)
    with open_source(path, said, "positions") as source:
        pieces = source.text(10)
        next(pieces)
        with path.open("ab") as file:
            file.write(b"{}\n")
        with pytest.raises(SourceChangedError, match="changed while it was read"):
            list(pieces)


def test_a_file_that_is_rewritten_with_the_same_size_while_it_is_read_is_refused(tmp_path):
    path, said = _write(tmp_path, b"1\n" * 100)
    with open_source(path, said, "positions") as source:
        pieces = source.text(10)
        next(pieces)
        path.write_bytes(b"2\n" * 100)
        with pytest.raises(SourceChangedError):
            list(pieces)


def test_a_file_that_is_replaced_while_it_is_read_is_read_as_it_was(tmp_path):
    path, said = _write(tmp_path, b"1\n" * 100)
    with open_source(path, said, "positions") as source:
        pieces = source.text(10)
        first = next(pieces)
        other = tmp_path / "other"
        other.write_bytes(b"2\n" * 100)
        other.replace(path)
        assert first + b"".join(pieces) == b"1\n" * 100


@pytest.mark.parametrize("kept", [0, 5, 12, 40, -1])
def test_a_gzip_file_that_is_cut_short_is_refused(tmp_path, kept):
    whole = gzip.compress(b"{}\n" + bytes(range(256)) * 20)
    path, said = _write(tmp_path, whole[:kept], "a.jsonl.gz")
    with pytest.raises(ControlMismatchError, match="cut short") as caught:
        _text(path, said)
    assert caught.value.where.file == "a.jsonl.gz"


def test_a_broken_gzip_file_is_refused(tmp_path):
    whole = bytearray(gzip.compress(b"x" * 10_000 + bytes(range(256))))
    whole[20] ^= 0xFF
    path, said = _write(tmp_path, bytes(whole), "a.jsonl.gz")
    with pytest.raises(ControlMismatchError, match="gzip stream is"):
        _text(path, said)


def test_a_file_that_inflates_a_thousandfold_comes_in_small_pieces(tmp_path):
    path, said = _write(tmp_path, gzip.compress(b"\n" * 20_000_000), "a.jsonl.gz")
    with open_source(path, said, "positions") as source:
        assert max(len(piece) for piece in source.text(1 << 16)) <= 1 << 16


def test_the_uncompressed_size_is_known_before_reading(tmp_path):
    text = b"{}\n" * 5000
    for name, content in (("a.jsonl", text), ("a.jsonl.gz", gzip.compress(text))):
        path, said = _write(tmp_path, content, name)
        with open_source(path, said, "positions") as source:
            assert source.text_bytes() == len(text)
