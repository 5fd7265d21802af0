"""An engine that reads nothing while all buffers are full holds nobody up for ever: the line is given up, and on the
next one everything is there."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from tests.unit.orders.orders_made import event

from feedline.orders.fix.connection import Connection
from feedline.orders.fix.dictionary import parse
from feedline.orders.fix.line_watch import watch_lines
from feedline.orders.fix.messages import message_of, terms_of
from feedline.orders.fix.session_policy import SessionPolicy
from feedline.orders.model import EventKind
from order_flow.fix_client import FixClient

SMALL, COUNT, WITHIN_S = 4_096, 2_000, 60.0


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        server.settimeout(WITHIN_S)
        yield server


@pytest.fixture
def connection(listening, tmp_path):
    port = listening.getsockname()[1]
    policy = SessionPolicy(
        sender="GATEWAY-1", targets=("ENGINE",), folder=tmp_path, port=port, heartbeat_s=1, socket_bytes=SMALL
    )
    made = Connection(policy)
    made.start()
    yield made
    made.stop()


def accept(listening, seq):
    """An engine's end of the next line, logged on; it reads only when it is told to."""
    line, _ = listening.accept()
    engine = FixClient(0, "ENGINE", "GATEWAY-1", line=line)
    engine.expect("A")
    engine.send("A", [(98, "0"), (108, "1")], seq=seq)
    return engine


def order(number):
    made = event(1, EventKind.NEW, order_id=f"o{number}")
    return parse(message_of(made, terms_of(made), 0, 0, number), "GATEWAY-1", "ENGINE")


def test_an_engine_that_reads_nothing_holds_nobody_up_and_gets_all_on_the_next_line(listening, connection):
    given = []

    def give():
        given.extend(connection.send(order(number)) for number in range(COUNT))

    giving = threading.Thread(target=give, daemon=True)
    with accept(listening, 1):
        giving.start()
        giving.join(WITHIN_S)
        assert not giving.is_alive(), f"it stands, {len(given)} of {COUNT} were given"
    with accept(listening, 2) as engine:
        engine.send("2", [(7, "2"), (16, "0")], seq=3)
        got = set()
        while len(got) < COUNT:
            message = engine.expect("D")
            got.add(message[11])
    assert got == {f"o{number}-1" for number in range(COUNT)}


def test_watching_lines_leaves_no_file_open(listening):
    host, port = listening.getsockname()
    ended = threading.Event()
    with socket.create_connection((host, port)):
        before = sorted(Path("/proc/self/fd").iterdir())
        threading.Timer(0.5, ended.set).start()
        watch_lines(host, port, 0.04, ended)
        assert sorted(Path("/proc/self/fd").iterdir()) == before
