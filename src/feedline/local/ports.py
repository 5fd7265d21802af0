"""Free ports on this machine."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from feedline.errors import ConfigurationError

HOST = "127.0.0.1"

# Below what systems give to outgoing connections (Linux from 32768, macOS from 49152): a service is started some time
# after its port was chosen, and a client's connection would take the port meanwhile.
RANGE = range(20_000, 32_000)

# A service listens on its port only some time after it was chosen, for a JVM on a busy machine many seconds; until then
# it looks free to everybody else.
GIVEN_FOR_S = 120.0


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # As servers do, so that connections of a stopped service which the system still remembers do not count as use.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise
    return listener


def choose_ports(wanted: dict[str, int], preferred: dict[str, int]) -> dict[str, int]:
    """A port for each service: the one wanted, or for 0 the preferred one if it is free, else any free one.

    Raises ConfigurationError naming the first wanted port that is in use.
    """
    chosen: dict[str, int] = {}
    # All stay bound until all are chosen, so that no port is given out twice.
    with ExitStack() as held:
        for service, port in sorted(wanted.items(), key=lambda item: item[1] == 0):
            listener = _wanted(service, port) if port else _preferred(preferred.get(service, 0))
            held.enter_context(listener)
            chosen[service] = listener.getsockname()[1]
    return {service: chosen[service] for service in wanted}


def _wanted(service: str, port: int) -> socket.socket:
    try:
        return _bind(port)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"port {port} for {service} is in use or not allowed: give another one, or 0 for any free port ({error})"
        ) from error


def _preferred(port: int) -> socket.socket:
    if port:
        with suppress(OSError):
            return _bind(port)
    start = secrets.randbelow(len(RANGE))
    for candidate in (*RANGE[start:], *RANGE[:start]):
        with suppress(OSError):
            listener = _bind(candidate)
            if not _was_given(candidate):
                return listener
            listener.close()
    raise ConfigurationError(f"no port from {RANGE.start} to {RANGE.stop - 1} is free")


def _was_given(port: int) -> bool:
    """Whether this user's processes were given that port a moment ago; if not, it is given now."""
    file = Path(tempfile.gettempdir()) / f"feedline-ports-{os.getuid()}.json"
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        # Where nothing can be written, a port may be given twice, and its second service says that it is taken.
        return False
    with os.fdopen(descriptor, "r+") as ledger:
        fcntl.flock(ledger, fcntl.LOCK_EX)
        now = time.time()
        given = {number: at for number, at in _read(ledger.read()).items() if 0 <= now - at < GIVEN_FOR_S}
        if str(port) in given:
            return True
        ledger.seek(0)
        ledger.truncate()
        json.dump({**given, str(port): now}, ledger)
    return False


def _read(text: str) -> dict[str, float]:
    # A process that was killed while it wrote leaves half of it.
    with suppress(ValueError):
        found = json.loads(text)
        if isinstance(found, dict):
            return {number: at for number, at in found.items() if isinstance(at, float)}
    return {}


def answers(port: int) -> bool:
    """Whether something listens on that port."""
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False
