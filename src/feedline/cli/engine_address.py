"""Where a command that is told nothing finds the simulated FIX engine."""

from __future__ import annotations

from feedline.local.order_services import engine_ports
from feedline.local.state import HOME

FIX_PORT, CONTROL_PORT = 9878, 9879
# Where the local stack has it, else at these ports.
WHERE = "that of the local stack, else "


def fix_address() -> str:
    """Host and port of the engine's FIX sessions."""
    ports = engine_ports(HOME)
    return f"127.0.0.1:{ports[0] if ports else FIX_PORT}"


def control_url() -> str:
    """The engine's control port."""
    ports = engine_ports(HOME)
    return f"http://127.0.0.1:{ports[1] if ports else CONTROL_PORT}"
