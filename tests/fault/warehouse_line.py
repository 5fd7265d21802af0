"""The line to the warehouse: HTTP passes through here; a chosen statement's request or answer can be lost or held up.

A client that ends closes its connection, and the server hears of it. When the line breaks the server does not: it keeps
the session and whatever its transaction was doing, until it has heard nothing for a while.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum

HOST = "127.0.0.1"
PIECE = 1 << 16
LOOK_AGAIN_S = 0.05
# An account takes minutes.
SILENT_S = 15.0


class Lose(StrEnum):
    """When the line breaks, seen from a statement."""

    BEFORE = "before the statement reaches the server"
    DURING = "while the server works on it"
    AFTER = "after the server has done it, before its answer arrives"


class WarehouseLine:
    """A thread a connection; `lost` counts what was lost, by statement and moment."""

    def __init__(self, target_port: int) -> None:
        self._target = (HOST, target_port)
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.lost: Counter[tuple[str, Lose]] = Counter()
        # Requests and answers that a line cut for all has swallowed.
        self.refused = 0
        # Statements that are or were held up, by statement and moment.
        self.held: Counter[tuple[str, Lose]] = Counter()
        self._rules: dict[str, Lose] = {}
        self._left: dict[str, int] = {}
        self._holds: dict[str, Lose] = {}
        self._down = False
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, name="warehouse-line", daemon=True).start()

    def lose(self, statement: str, when: Lose, *, times: int | None = None) -> None:
        """From now on every statement that begins so, repeated attempts included, until `heal` or for so many times."""
        self._rules[statement] = when
        if times is not None:
            self._left[statement] = times

    def hold(self, statement: str, when: Lose) -> None:
        """From now on every statement that begins so waits at that moment until `heal`, then goes on."""
        self._holds[statement] = when

    def cut(self) -> None:
        """Nothing passes any more, connections that are there included."""
        self._down = True

    def heal(self) -> None:
        self._rules.clear()
        self._left.clear()
        self._holds.clear()
        self._down = False

    def close(self) -> None:
        self._listener.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            server = socket.create_connection(self._target)
            self._open.append(server)
            broken = False
            try:
                broken = self._exchange(client, server)
            finally:
                if broken:
                    closing = threading.Timer(SILENT_S, server.close)
                    closing.daemon = True
                    closing.start()
                else:
                    server.close()

    def _exchange(self, client: socket.socket, server: socket.socket) -> bool:
        """Whether the line broke; False when the client has closed."""
        for request in _requests(client):
            if self._down:
                self.refused += 1
                return True
            statement = _statement(request)
            lost = _rule(self._rules, statement)
            if lost is not None:
                self.lost[lost] += 1
                self._used_up(lost[0])
            if lost is not None and lost[1] is Lose.BEFORE:
                return True
            self._hold_up(statement, Lose.BEFORE)
            server.sendall(request)
            if lost is not None and lost[1] is Lose.DURING:
                return True
            answer = _answer(server)
            self._hold_up(statement, Lose.AFTER)
            if self._down or (lost is not None and lost[1] is Lose.AFTER):
                self.refused += self._down
                return True
            client.sendall(answer)
        return False

    def _used_up(self, statement: str) -> None:
        if statement in self._left:
            self._left[statement] -= 1
            if not self._left[statement]:
                self._rules.pop(statement, None)
                del self._left[statement]

    def _hold_up(self, statement: str, when: Lose) -> None:
        held = _rule(self._holds, statement)
        if held is not None and held[1] is when:
            self.held[held] += 1
            while held[0] in self._holds:
                time.sleep(LOOK_AGAIN_S)


def _rule(rules: dict[str, Lose], statement: str) -> tuple[str, Lose] | None:
    return next(((said, when) for said, when in rules.items() if statement.startswith(said)), None)


def _requests(client: socket.socket) -> Iterator[bytes]:
    while True:
        message = _message(client)
        if message is None:
            return
        yield message


def _answer(server: socket.socket) -> bytes:
    message = _message(server)
    if message is None:
        raise OSError("the server closed")
    return message


def _message(peer: socket.socket) -> bytes | None:
    """One HTTP message with its body; None when the peer has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = peer.recv(PIECE)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    headers = _headers(head)
    if headers.get(b"transfer-encoding") == b"chunked":
        while not body.endswith(b"0\r\n\r\n"):
            body += _more(peer)
    else:
        size = int(headers.get(b"content-length", b"0"))
        while len(body) < size:
            body += _more(peer)
    return head + b"\r\n\r\n" + body


def _more(peer: socket.socket) -> bytes:
    piece = peer.recv(PIECE)
    if not piece:
        raise OSError("cut in mid-message")
    return piece


def _headers(head: bytes) -> dict[bytes, bytes]:
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in lines}


def _statement(request: bytes) -> str:
    head, _, body = request.partition(b"\r\n\r\n")
    if b"/queries/v1/query-request" not in head.split(b"\r\n", 1)[0]:
        return ""
    if _headers(head).get(b"content-encoding") == b"gzip":
        body = gzip.decompress(body)
    return str(json.loads(body).get("sqlText", ""))
