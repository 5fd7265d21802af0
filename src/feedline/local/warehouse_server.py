"""The stand-in's server process: `python -m feedline.local.warehouse_server PORT FOLDER`.

fakesnow's own server is for tests of one program. Seven things a warehouse gives are added here:

- Sessions that name one database folder (`FAKESNOW_DB_PATH`) share it; fakesnow opens the files again for each.
- Stages, file formats and text lengths outlive a restart; fakesnow keeps them in memory.
- A client that dies takes its open transaction with it. An account rolls back when the session breaks off; fakesnow
  would hold the transaction for ever, and every later update of its rows would fail.
- A failed statement is an ordinary SQL error; fakesnow answers HTTP 500, which the connector repeats until its network
  timeout. Two transactions that update one row: the second gets Snowflake's error 625 (the lock is not released).
- A statement that the connector repeats, because it got no answer, is not done again.
- COPY looks for its files in the folder that it names; fakesnow walks the whole stage, which takes longer with every
  load, and through folders that other sessions make and empty meanwhile.
- A null instant is read as null; fakesnow sends it so that the connector reads 1970.
"""

from __future__ import annotations

import asyncio
import functools
import glob
import importlib
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import fakesnow.arrow
import fakesnow.instance
import pyarrow as pa
import uvicorn
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.transforms import stage
from snowflake.connector.errors import ProgrammingError
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from feedline.local.ports import HOST
from feedline.local.repeated_requests import answered_once

# A client may close one connection and open the next; a session without any for this long is over.
GRACE_S = 2.0

# By name, because `fakesnow.server` is a function as well.
SERVER: Any = importlib.import_module("fakesnow.server")

Address = tuple[str, int]


class Sessions:
    """Which connections each session was used over, so that a session ends with the last of them."""

    def __init__(self) -> None:
        self._used: dict[str, set[Address]] = defaultdict(set)

    def used(self, token: str, address: Address) -> None:
        self._used[token].add(address)

    def closed(self, address: Address) -> None:
        """A connection is gone: sessions that it was the last of end after the grace time."""
        for token, addresses in list(self._used.items()):
            if address in addresses:
                addresses.discard(address)
                if not addresses:
                    asyncio.get_running_loop().call_later(GRACE_S, self._end, token)

    def _end(self, token: str) -> None:
        if self._used.get(token):
            return
        self._used.pop(token, None)
        session = SERVER.sessions.pop(token, None)
        if session is not None:
            # Closing the cursor waits for a statement that still runs, and must not hold up the other sessions.
            asyncio.get_running_loop().run_in_executor(None, session._duck_conn.close)


SESSIONS = Sessions()
_execute = FakeSnowflakeCursor.execute
_instants: Any = fakesnow.arrow.timestamp_to_sf_struct


class WatchedConnection(HttpToolsProtocol):
    """An HTTP connection whose end is noticed."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.client:
            SESSIONS.closed(self.client)


def watched(app: ASGIApp) -> ASGIApp:
    """The app, noting which session every request belongs to."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("client"):
            for name, value in scope["headers"]:
                if name == b"authorization" and value.startswith(b'Snowflake Token="'):
                    SESSIONS.used(value[17:-1].decode(), scope["client"])
        await app(scope, receive, send)

    return serve


def execute(cursor: FakeSnowflakeCursor, *arguments: Any, **options: Any) -> FakeSnowflakeCursor:
    """FakeSnowflakeCursor.execute whose DuckDB errors are Snowflake's."""
    try:
        return _execute(cursor, *arguments, **options)
    except duckdb.TransactionException as error:
        conflict = "onflict" in str(error)
        raise ProgrammingError(msg=str(error), errno=625 if conflict else 603, sqlstate="57014") from error
    except duckdb.Error as error:
        raise ProgrammingError(msg=str(error), errno=603, sqlstate="XX000") from error


@functools.cache
def shared_instance(db_path: str) -> fakesnow.instance.FakeSnow:
    """The one instance of a database folder."""
    Path(db_path).mkdir(parents=True, exist_ok=True)
    with _globals_in(Path(db_path) / "stand_in.db"):
        instance = fakesnow.instance.FakeSnow(db_path=db_path)
    # DuckDB's own 16 MB makes nearly every commit of a load write the database file anew; a third of its CPU time.
    instance.duck_conn.execute("SET GLOBAL checkpoint_threshold = '1GB'")
    return instance


def instants(ts: Any) -> pa.Array[Any]:
    """fakesnow's form of a timestamp column, its nulls marked as such."""
    column = ts.combine_chunks() if isinstance(ts, pa.ChunkedArray) else ts
    parts = _instants(column)
    return pa.StructArray.from_arrays(parts.flatten(), fields=list(parts.type), mask=column.is_null())


def staged_files(prefix: str) -> str:
    """The query for the staged files whose path begins so."""
    folder, _, _ = prefix.rpartition("/")
    pattern, begin = (text.replace("'", "''") for text in (f"{glob.escape(folder)}/**/*", prefix))
    return f"SELECT file FROM glob('{pattern}') WHERE starts_with(file, '{begin}')"  # noqa: S608  quoted above


@contextmanager
def _globals_in(file: Path) -> Iterator[None]:
    """New DuckDB instances keep fakesnow's global objects in a file."""
    connect = duckdb.connect

    def with_globals(*arguments: Any, **options: Any) -> duckdb.DuckDBPyConnection:
        connection = connect(*arguments, **options)
        connection.execute(f"ATTACH '{file}' AS {fakesnow.instance.GLOBAL_DATABASE_NAME}")
        return connection

    duckdb.connect = with_globals
    try:
        yield
    finally:
        duckdb.connect = connect


def main(port: int, folder: Path) -> None:
    """Serves until SIGTERM; staged files lie under the folder."""
    staged = folder / "stages"
    # No session outlives the server, so nobody will copy what was staged before.
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True, exist_ok=True)
    stage.LOCAL_BUCKET_PATH = str(staged)
    SERVER.FakeSnow = shared_instance
    stage.internal_files_sql = staged_files
    fakesnow.arrow.timestamp_to_sf_struct = instants
    FakeSnowflakeCursor.execute = execute  # type: ignore[assignment,method-assign]
    uvicorn.run(
        watched(answered_once(SERVER.app)),
        host=HOST,
        port=port,
        http=WatchedConnection,
        log_level="warning",
        # The server never closes first: a closed connection means that the client is gone.
        timeout_keep_alive=24 * 3600,
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
