"""How a FIX session is held: who talks to whom, where its books are, and how long it waits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import quickfix as fix

from feedline.errors import ConfigurationError
from feedline.orders.fix.dictionary import BEGIN_STRING, dictionary_path, received_path

# Room for all that may be unanswered in both directions, as far as the system gives it (net.core.wmem_max, rmem_max):
# with buffers full both ways each end waits for the other to read, see `line_watch`.
SOCKET_BYTES = 2 << 20
_COMP_ID = re.compile(r"[A-Za-z0-9._-]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """One end of FIX sessions. sender: our CompID; targets: theirs; folder: of message stores and logs.

    heartbeat_s: seconds between heartbeats; reconnect_s: between attempts to connect; socket_bytes: of each buffer.
    """

    sender: str
    targets: tuple[str, ...]
    folder: Path
    host: str = "127.0.0.1"
    port: int
    heartbeat_s: int = 30
    reconnect_s: int = 1
    socket_bytes: int = SOCKET_BYTES

    @property
    def stuck_s(self) -> float:
        """Seconds after which a line that takes nothing is held to be lost."""
        return 2.0 * self.heartbeat_s

    def __post_init__(self) -> None:
        for name in (self.sender, *self.targets):
            if not _COMP_ID.fullmatch(name):
                raise ConfigurationError(f"{name!r} is no CompID: use 1 to 40 letters, digits, dots and dashes")
        if not 0 < self.port < 65_536:
            raise ConfigurationError(f"port {self.port}: use 1 to 65535")
        if not 1 <= self.heartbeat_s <= 3_600:
            raise ConfigurationError(f"a heartbeat every {self.heartbeat_s} s: use 1 to 3600")


def initiator_settings(policy: SessionPolicy) -> fix.SessionSettings:
    """QuickFIX's settings of the end that connects. What it sends is held against the dictionary before; what it
    receives is not: the session would refuse a fill for a tag that nobody reads, and the engine sends it once."""
    return _settings(
        policy,
        "initiator",
        [
            f"DataDictionary={received_path()}",
            "AllowUnknownMsgFields=Y",
            "ValidateUserDefinedFields=N",
            "ValidateFieldsHaveValues=N",
            "ValidateFieldsOutOfOrder=N",
            f"ReconnectInterval={policy.reconnect_s}",
            f"SocketConnectHost={policy.host}",
            f"SocketConnectPort={policy.port}",
        ],
    )


def acceptor_settings(policy: SessionPolicy) -> fix.SessionSettings:
    """QuickFIX's settings of the end that listens: strict, since what it accepts is the proof of what is sent."""
    return _settings(
        policy,
        "acceptor",
        [
            f"SocketAcceptHost={policy.host}",
            f"SocketAcceptPort={policy.port}",
            "SocketReuseAddress=Y",
            f"DataDictionary={dictionary_path()}",
            "ValidateUserDefinedFields=Y",
        ],
    )


def _settings(policy: SessionPolicy, kind: str, own: Sequence[str]) -> fix.SessionSettings:
    # Orders of clients, and whatever a logon carries, are for nobody else on the machine.
    policy.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = [
        "[DEFAULT]",
        f"ConnectionType={kind}",
        f"BeginString={BEGIN_STRING}",
        f"SenderCompID={policy.sender}",
        # Around the clock: what ends a session's numbers is a reset that somebody asks for.
        "NonStopSession=Y",
        "StartTime=00:00:00",
        "EndTime=00:00:00",
        f"HeartBtInt={policy.heartbeat_s}",
        "SocketNodelay=Y",
        f"SocketReceiveBufferSize={policy.socket_bytes}",
        f"SocketSendBufferSize={policy.socket_bytes}",
        f"FileStorePath={policy.folder}",
        f"FileLogPath={policy.folder}",
        "UseDataDictionary=Y",
        "CheckLatency=N",
        *own,
    ]
    for target in policy.targets:
        lines += ["[SESSION]", f"TargetCompID={target}"]
    settings = fix.SessionSettings()
    try:
        settings.setFromString("\n".join(lines) + "\n")
    except fix.FIXException as error:
        raise ConfigurationError(f"QuickFIX refuses the session's settings: {error}") from error
    return settings
