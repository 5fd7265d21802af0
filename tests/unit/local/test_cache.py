"""Downloads of the local stack's Java programs."""

from __future__ import annotations

import hashlib

import pytest

from feedline.errors import ConfigurationError
from feedline.local import cache
from feedline.local.cache import JavaProgram, program_folder


@pytest.fixture
def jar(tmp_path, monkeypatch):
    """A program of one jar, as if it had been downloaded, in a cache of its own."""
    monkeypatch.setenv("FEEDLINE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "tool-1.jar"
    file.write_bytes(b"jar")
    monkeypatch.setattr(cache, "_download", lambda _program: [file])
    return file


def program(content):
    line = f"tool-1.jar {hashlib.sha256(content).hexdigest()}\n"
    return JavaProgram("Tool", "org.tool", "tool", "1", hashlib.sha256(line.encode()).hexdigest())


def test_a_program_is_downloaded_once(jar):
    folder = program_folder(program(b"jar"))
    assert (folder / "tool-1.jar").read_bytes() == b"jar"
    jar.unlink()
    assert program_folder(program(b"jar")) == folder


def test_a_download_that_is_not_what_it_was_is_refused_and_deleted(jar):
    with pytest.raises(ConfigurationError, match="Tool 1 is not what it was"):
        program_folder(program(b"something else"))
    assert not jar.exists()


def test_a_download_that_was_killed_starts_over(jar, tmp_path):
    partial = tmp_path / "cache" / f"{program(b'jar').folder}.partial"
    partial.mkdir(parents=True)
    (partial / "half.jar").touch()
    assert [file.name for file in program_folder(program(b"jar")).iterdir()] == ["tool-1.jar"]


def test_an_index_that_cannot_be_reached_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("FEEDLINE_CACHE", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(ConfigurationError) as caught:
        program_folder(cache.REGISTRY)
    message = str(caught.value)
    assert message.startswith("the package index cannot be reached: Apicurio Registry 3.3.3 was not downloaded")
    assert "\n" not in message
