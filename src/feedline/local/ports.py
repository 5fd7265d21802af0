"""Free ports on this machine."""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack, suppress

from feedline.errors import ConfigurationError

HOST = "127.0.0.1"

# Below what systems give to outgoing connections (Linux from 32768, macOS from 49152): a service is started some time
# after its port was chosen, and a client's connection would take the port meanwhile.
RANGE = range(20_000, 32_000)


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
    start = secrets.randbelow(len(RANGE))
    for candidate in (port, *RANGE[start:], *RANGE[:start]):
        if candidate:
            with suppress(OSError):
                return _bind(candidate)
    raise ConfigurationError(f"no port from {RANGE.start} to {RANGE.stop - 1} is free")


def answers(port: int) -> bool:
    """Whether something listens on that port."""
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False
