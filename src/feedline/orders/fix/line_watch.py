"""A line that takes nothing any more is broken off, so that the session begins on a new one.

Each end of a session reads and answers in one thread, and QuickFIX waits in a write with the session's lock held: when
the buffers are full both ways, neither end reads, and no heartbeat of QuickFIX finds that out, since it needs the lock
too. What such a line has not delivered stays in the stores, and is asked for on the next.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import stat
import struct
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)


def watch_lines(host: str, port: int, within_s: float, ended: threading.Event) -> None:
    """Breaks lines to that address that hold bytes and have not passed on one of them for so long, until it has ended.

    For a thread of its own. Where the system does not show its sockets (no `/proc`), nothing is watched.
    """
    # By our end of a line: the bytes that wait in it, and since when it has been as many.
    seen: dict[object, tuple[int, float]] = {}
    while not ended.wait(within_s / 4):
        now, found = time.monotonic(), {}
        for line in _lines_to(host, port):
            with line:
                waiting, name = _unsent(line), line.getsockname()
                count, since = seen.get(name, (0, now))
                found[name] = waiting, since if waiting and waiting == count else now
                if now - found[name][1] > within_s:
                    logger.warning(
                        "%s:%d has taken nothing for %.0f s while %d bytes wait: the line is broken off and made anew",
                        host, port, within_s, waiting,
                    )  # fmt: skip
                    with suppress(OSError):
                        line.shutdown(socket.SHUT_RDWR)
        seen = found


def _lines_to(host: str, port: int) -> Iterator[socket.socket]:
    """This process's sockets that are connected there, each as a copy to be closed."""
    try:
        numbers = [int(link.name) for link in Path("/proc/self/fd").iterdir()]
        there = {address[4][0] for address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        return
    for number in numbers:
        line = _copy_of(number)
        if line is not None:
            if _peer(line) in {(one, port) for one in there}:
                yield line
            else:
                line.close()


def _copy_of(number: int) -> socket.socket | None:
    """The socket of that file descriptor, under another one; None when it is none."""
    try:
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            return None
        copy = os.dup(number)
    except OSError:
        # Closed meanwhile.
        return None
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None


def _peer(line: socket.socket) -> object:
    try:
        return line.getpeername()[:2]
    except OSError:
        return None


def _unsent(line: socket.socket) -> int:
    """Bytes that were given to the line and are not acknowledged by the other end."""
    return int(struct.unpack("i", fcntl.ioctl(line.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
