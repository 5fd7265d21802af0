"""A FIX client that speaks bytes, right ones and wrong ones: what the engine is held to cannot be QuickFIX itself."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Self

SOH = b"\x01"
WITHIN_S = 20.0

Fields = list[tuple[int, str]]


def frame(fields: Fields, *, body_length: int | None = None, checksum: int | None = None) -> bytes:
    body = b"".join(b"%d=%s" % (tag, value.encode()) + SOH for tag, value in fields)
    head = b"8=FIX.4.4" + SOH + b"9=%d" % (len(body) if body_length is None else body_length) + SOH
    total = sum(head + body) % 256
    return head + body + b"10=%03d" % (total if checksum is None else checksum) + SOH


def stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S.%f")[:21]


class FixClient:
    """One connection, to that port or as it was accepted. `seq`: the number of the next message."""

    def __init__(
        self, port: int, sender: str = "GATEWAY-1", target: str = "ENGINE", *, line: socket.socket | None = None
    ) -> None:
        self.sender, self.target, self.seq = sender, target, 1
        self._socket = line or socket.create_connection(("127.0.0.1", port))
        self._socket.settimeout(WITHIN_S)
        self._pending = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, kind: str, fields: Fields = (), *, seq: int | None = None, head: Fields = (), **wrong: int) -> int:  # type: ignore[assignment]
        """Sends one message; a given number is not counted."""
        number = self.seq if seq is None else seq
        self.seq += seq is None
        header = [(35, kind), (49, self.sender), (56, self.target), (34, str(number)), (52, stamp()), *head]
        self._socket.sendall(frame([*header, *fields], **wrong))
        return number

    def send_bytes(self, data: bytes) -> None:
        self._socket.sendall(data)

    def logon(self, *fields: tuple[int, str], seq: int | None = None) -> Mapping[int, str]:
        self.send("A", [(98, "0"), (108, "30"), *fields], seq=seq)
        return self.expect("A")

    def read(self) -> dict[int, str] | None:
        """The next message, None when the line was closed; AssertionError when nothing comes."""
        while True:
            end = self._pending.find(SOH + b"10=")
            if end >= 0 and len(self._pending) >= end + 8:
                message, self._pending = self._pending[: end + 8], self._pending[end + 8 :]
                pairs = (part.split(b"=", 1) for part in message.split(SOH) if part)
                return {int(tag): value.decode() for tag, value in pairs}
            try:
                more = self._socket.recv(65_536)
            except TimeoutError:
                raise AssertionError("the engine said nothing") from None
            except ConnectionError:
                return None
            if not more:
                return None
            self._pending += more

    def expect(self, kind: str) -> dict[int, str]:
        """The next message of that kind, passing over others."""
        deadline = time.monotonic() + WITHIN_S
        seen = []
        while time.monotonic() < deadline:
            message = self.read()
            if message is None:
                raise AssertionError(f"the line was closed, with no {kind} after {seen}")
            if message[35] == kind:
                return message
            seen.append(message)
        raise AssertionError(f"no {kind}, but {seen}")

    def expect_end(self) -> list[dict[int, str]]:
        """What comes before the engine closes the line."""
        seen = []
        while (message := self.read()) is not None:
            seen.append(message)
        return seen

    def settle(self) -> None:
        """Waits until the engine has dealt with all that was sent: it answers a test request in its turn."""
        self.send("1", [(112, f"settled-{self.seq}")])
        while self.expect("0").get(112) != f"settled-{self.seq - 1}":
            pass


def log_on_again(port: int, seq: int) -> tuple[FixClient, Mapping[int, str]]:
    """A client that goes on with its number, and the engine's logon. A session whose line was just cut is still taken
    for a moment and closes the next line too: as every client does, it tries until it is let in."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        client = FixClient(port)
        client.seq = seq
        try:
            return client, client.logon()
        except (AssertionError, OSError):
            client.__exit__(None)
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def new_order(cl_ord_id: str, **changed: str) -> Fields:
    fields = {
        11: cl_ord_id, 1: "ACC1", 55: "AAPL", 167: "CS", 54: "1", 60: stamp(),
        38: "100", 40: "2", 44: "12.50", 15: "USD",
    }  # fmt: skip
    fields.update({int(tag[1:]): value for tag, value in changed.items()})
    return list(fields.items())


def cancel(order: str, sequence: int) -> Fields:
    return [
        (41, f"{order}-{sequence - 1}"), (11, f"{order}-{sequence}"), (55, "AAPL"), (54, "1"), (60, stamp()),
        (38, "100"),
    ]  # fmt: skip
