"""The small servers of probes and control ports have no gate in front: what comes must not hold or fill them."""

from __future__ import annotations

import socket

import pytest

from feedline import small_server as module
from feedline.small_server import small_server


@pytest.fixture(scope="module")
def port():
    with small_server(lambda *asked: (200, "text/plain", asked[2]), "127.0.0.1", 0, name="test") as bound:
        yield bound


def answer_to(port, request):
    """Everything that is answered; the asker says no more, and does not go."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as asker:
        asker.sendall(request)
        parts = []
        while part := asker.recv(4096):
            parts.append(part)
        return b"".join(parts)


def test_a_body_comes_whole(port):
    assert answer_to(port, b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc").endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize("length", [b"-1", b"-99999999999", b"many", b"0x10", b"1_0", "²".encode("latin-1")])
def test_a_length_that_is_none_is_refused_and_nothing_is_read_for_it(port, length):
    assert b" 400 " in answer_to(port, b"POST / HTTP/1.0\r\nContent-Length: " + length + b"\r\n\r\nabc").splitlines()[0]


def test_a_body_too_large_is_not_read(port):
    assert b" 413 " in answer_to(port, b"POST / HTTP/1.0\r\nContent-Length: 9999999999\r\n\r\n").splitlines()[0]


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nab"])
def test_who_says_no_more_holds_no_thread(begun, monkeypatch):
    monkeypatch.setattr(module, "SILENT_S", 0.2)
    with small_server(lambda *_: (200, "text/plain", b""), "127.0.0.1", 0, name="test") as bound:
        assert answer_to(bound, begun) == b""


def test_no_version_of_what_serves_is_told(port):
    assert b"Python" not in answer_to(port, b"GET / HTTP/1.0\r\n\r\n")
