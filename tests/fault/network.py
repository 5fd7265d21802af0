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
from typing import Any

import psutil

HOST = "127.0.0.1"
PIECE = 1 << 16
LOOK_AGAIN_S = 0.05
CLIENT = "client"

Link = frozenset[str]


class Network:
    """One event loop in a thread of its own. Hosts are names: a broker's, or `client` for every other process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()
        self._cuts: frozenset[Link] = frozenset()
        self._hosts: Callable[[], dict[int, str]] = dict
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        # How often a cut held something up, by link: what proves that it fired.
        self.held: Counter[Link] = Counter()

    def hosts_are(self, hosts: Callable[[], dict[int, str]]) -> None:
        """Tells which process is which host now, asked at every new connection."""
        self._hosts = hosts

    def route(self, host: str, port: int) -> int:
        """A port here that leads to a host's port."""

        async def serve() -> int:
            server = await asyncio.start_server(lambda r, w: self._connected(r, w, host, port), HOST, 0)
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

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            link = frozenset((self._who(writer.get_extra_info("peername")[1]), host))
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

    def _who(self, port: int) -> str:
        for pid, name in self._hosts().items():
            with contextlib.suppress(psutil.Error):
                if any(c.laddr and c.laddr.port == port for c in psutil.Process(pid).net_connections("tcp")):
                    return name
        return CLIENT
