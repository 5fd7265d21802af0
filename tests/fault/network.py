"""The network between clients and brokers, and between brokers: every connection goes through here and can be cut.

Each broker listens on ports that nobody is told; what it advertises is a port here. Who connects is found by the
process that owns the other end, so "broker 1 cannot reach broker 2, clients reach both" can be made. A cut loses
nothing and closes nothing, as a cable that is pulled: bytes wait, and go on when it is plugged in again, unless
one side has given up meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
PIECE = 1 << 16
LOOK_AGAIN_S = 0.05
# The kernel's table of connections, read while many come and go, may leave one out: it is looked for again.
LOOKS = 50
CLIENT = "client"

Link = frozenset[str]


class Network:
    """One event loop in a thread of its own. Hosts are names: a broker's, or `client` for every other process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()
        self._looking = ThreadPoolExecutor(1, thread_name_prefix="network-who")
        self._cuts: frozenset[Link] = frozenset()
        self._hosts: Callable[[], dict[int, str]] = dict
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        # How often a cut held something up, by link: what proves that it fired.
        self.held: Counter[Link] = Counter()

    def hosts_are(self, hosts: Callable[[], dict[int, str]]) -> None:
        """Tells which process is which host now, asked at every new connection."""
        self._hosts = hosts

    def route(self, host: str, port: int, *, of_hosts: bool = False) -> int:
        """A port here that leads to a host's port; of_hosts: no client comes to it."""

        async def serve() -> int:
            server = await asyncio.start_server(lambda r, w: self._connected(r, w, host, port, of_hosts), HOST, 0)
            self._servers.append(server)
            return int(server.sockets[0].getsockname()[1])

        return self._run(serve())

    def cut(self, one: str, other: str) -> None:
        """No byte passes between the two, in either direction, whoever connected."""
        self._cuts |= {frozenset((one, other))}

    def isolate(self, host: str, others: list[str]) -> None:
        for other in others:
            self.cut(host, other)

    def heal(self) -> None:
        self._cuts = frozenset()

    def close(self) -> None:
        async def cancel() -> None:
            for server in self._servers:
                server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self._run(cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._looking.shutdown()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int, of_hosts: bool
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            theirs, ours = (int(writer.get_extra_info(end)[1]) for end in ("peername", "sockname"))
            who = await self._who(theirs, ours)
            if who is None or (of_hosts and who == CLIENT):
                # Whose it is must be known: it would pass every cut. They come again.
                return
            link = frozenset((who, host))
            await self._passable(link)
            there, back = await asyncio.open_connection(HOST, port)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pipe(reader, back, link))
                both.create_task(self._pipe(there, writer, link))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link) -> None:
        try:
            while piece := await reader.read(PIECE):
                await self._passable(link)
                writer.write(piece)
                await writer.drain()
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    async def _passable(self, link: Link) -> None:
        if link in self._cuts:
            self.held[link] += 1
        while link in self._cuts:  # noqa: ASYNC110  cut and healed by other threads
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _who(self, theirs: int, ours: int) -> str | None:
        """Looked up beside the event loop: in a storm of reconnecting clients nothing else would pass."""
        for _ in range(LOOKS):
            who = await self._loop.run_in_executor(self._looking, lambda: _owner(theirs, ours, self._hosts()))
            if who is not None:
                return who
            await asyncio.sleep(LOOK_AGAIN_S / 5)
        return None


def _owner(theirs: int, ours: int, hosts: dict[int, str]) -> str | None:
    """The host whose process has the connection from one port to another; None when it is not found."""
    socket = socket_between(theirs, ours)
    if not socket:
        return None
    for pid, name in hosts.items():
        # A host may end meanwhile, and files that were closed have no link.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if any(_link(file) == socket for file in Path(f"/proc/{pid}/fd").iterdir()):
                return name
    return CLIENT


def _link(file: Path) -> str:
    try:
        return str(file.readlink())
    except FileNotFoundError:
        return ""


def socket_between(local: int, remote: int) -> str:
    """As the end at the local port is called in a process's folder of open files (proc(5)); empty when the connection
    is gone. By both ports: a local port alone may be that of many connections, open ones and such as have ended."""
    ends = f":{local:04X}", f":{remote:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with Path(table).open(encoding="ascii") as lines:
            for line in lines:
                if ends[0] in line and ends[1] in line:
                    words = line.split()
                    if words[1].endswith(ends[0]) and words[2].endswith(ends[1]):
                        return f"socket:[{words[9]}]"
    return ""
