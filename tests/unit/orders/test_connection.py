"""From where the engine is asked again after a kill: never above a report that was received and is not durable."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from feedline.orders.fix.connection import Connection
from feedline.orders.fix.dictionary import parse
from feedline.orders.fix.session_policy import SessionPolicy
from feedline.orders.fix.store import StoreFiles


class Session:
    """Counts as QuickFIX does, in a thread of its own: a message is handed over first. arrives: what comes just when
    it is asked for its number."""

    def __init__(self):
        self.expected, self.arrives = 7, []

    def getExpectedTargetNum(self):  # noqa: N802
        now, arrives, self.arrives = self.expected, self.arrives, []
        for arrive in arrives:
            arrive()
        return now


@pytest.fixture
def connection(tmp_path):
    made = Connection(SessionPolicy(sender="GATEWAY-1", targets=("ENGINE",), folder=tmp_path, port=9_900))
    made._session = Session()
    return made


def receive(connection, number=None, body="35=8\x0137=x\x0117=e\x01150=0\x0139=0\x0111=o-1\x0154=1\x0155=A\x01"):
    session = connection._session
    message = parse(body + "151=0\x0114=0\x016=0\x01" * body.startswith("35=8"), "ENGINE", "GATEWAY-1")
    message.getHeader().setField(34, str(number or session.expected))
    if body.startswith("35=8"):
        connection.fromApp(message, None)
    else:
        connection.fromAdmin(message, None)
    if number is None:
        session.expected += 1


def asked_from(connection, pending=None):
    connection.durable(pending)
    return connection._watermark.read(connection.store_now)


def test_a_report_that_waits_to_be_taken_is_asked_for_again(connection):
    receive(connection)
    receive(connection)
    assert asked_from(connection) == 7
    connection.reports.get()
    assert asked_from(connection) == 8
    assert asked_from(connection, pending=7) == 7
    connection.reports.get()
    assert asked_from(connection) == 9


def test_a_report_that_comes_just_when_that_is_noted_is_asked_for_again(connection):
    connection._session.arrives = [lambda: receive(connection)]
    assert asked_from(connection) == 7


@pytest.mark.parametrize("kind", ["35=A\x0198=0\x01108=30\x01", "35=5\x01", "35=2\x017=1\x0116=0\x01"])
def test_a_message_with_a_number_too_high_hides_nothing_of_what_is_missing_before_it(connection, kind):
    receive(connection, number=400, body=kind)
    assert asked_from(connection) == 7


def test_what_is_received_while_it_stops_is_asked_for_again(connection):
    """The group's last callbacks still note what is durable then."""
    receive(connection)
    connection.reports.get()
    connection.stop()
    receive(connection)
    receive(connection)
    assert connection.reports.empty()
    assert asked_from(connection) == 8


def test_a_message_that_the_session_refuses_is_asked_for_until_it_is_kept(connection):
    """Its number counts before anybody is told of it."""
    receive(connection)
    connection.reports.get()
    assert asked_from(connection) == 8
    connection._session.expected += 1
    assert asked_from(connection) == 8
    log = connection._policy.folder / "FIX.4.4-GATEWAY-1-ENGINE.messages.current.log"
    body = "35=8\x0134=8\x0149=ENGINE\x0156=GATEWAY-1\x0111=o-1\x015001=a\x015001=b\x01"
    log.write_text(f"20261120-19:05:00.123456789 : 8=FIX.4.4\x019={len(body)}\x01{body}10=000\x01\n")
    connection.toAdmin(parse("35=3\x0145=8\x01372=8\x01373=13\x01", "GATEWAY-1", "ENGINE"), None)
    assert asked_from(connection) == 8
    assert connection.reports.get()["11"] == "o-1"
    assert asked_from(connection) == 9
    assert connection.session_rejects == 1


def test_a_message_that_the_session_refuses_and_nothing_has_logged_is_asked_for_again(connection):
    receive(connection)
    connection.reports.get()
    assert asked_from(connection) == 8
    connection._session.expected += 1
    connection.toAdmin(parse("35=3\x0145=8\x01372=8\x01373=13\x01", "GATEWAY-1", "ENGINE"), None)
    receive(connection)
    connection.reports.get()
    assert asked_from(connection) == 8


RESET = "35=A\x0198=0\x01108=30\x01141=Y\x01"


def begin_store(connection, text):
    """As QuickFIX does with a reset, before it tells anybody."""
    connection.store.part("session").write_text(text)
    connection._session.expected = 1


@pytest.mark.parametrize("killed_before_it_is_told", [True, False])
def test_after_a_reset_of_the_numbers_everything_is_asked_for(connection, killed_before_it_is_told):
    """Killed before its own thread has seen the reset, the gateway would take the number from before for a new one."""
    assert asked_from(connection) == 7
    begin_store(connection, "another")
    if not killed_before_it_is_told:
        receive(connection, body=RESET)
        receive(connection)
        receive(connection)
    assert connection._watermark.read(connection.store.identity()) == 1


def test_a_number_that_was_read_before_a_reset_is_none_of_the_new_store(connection):
    def reset():
        begin_store(connection, "another")
        receive(connection, body=RESET)

    connection._session.arrives = [reset]
    connection.durable(None)
    assert connection._watermark.read(connection.store_now) == 1


def test_behind_a_report_of_an_older_store_everything_of_the_new_one_is_asked_for(connection):
    receive(connection)
    begin_store(connection, "another")
    receive(connection, body=RESET)
    receive(connection)
    assert asked_from(connection) == 1
    assert connection.reports.get().store != connection.store_now
    assert asked_from(connection) == 2
    assert connection.reports.get().store == connection.store_now
    assert asked_from(connection) == 3


# QuickFIX bears one session of a name a process.
START = """
import sys
from pathlib import Path
from feedline.orders.fix.connection import Connection
from feedline.orders.fix.session_policy import SessionPolicy
made = Connection(SessionPolicy(sender="GATEWAY-1", targets=("ENGINE",), folder=Path(sys.argv[1]), port=1))
made.start()
print(made._session.getExpectedTargetNum(), made._session.getExpectedSenderNum())
made.stop()
"""


@pytest.mark.parametrize(("noted", "first"), [("3 {}", 3), ("8 a store before it", 1), ("", 1)])
def test_a_start_asks_from_the_number_noted_for_this_very_store(tmp_path, noted, first):
    """The engine may have reset the numbers with its own logon, and the gateway may have been killed before it knew. A
    store of last week goes on as well: QuickFIX would begin it anew, and the engine refuse its numbers."""
    store = StoreFiles.of(tmp_path, "GATEWAY-1", "ENGINE")
    week_ago = f"{datetime.now(UTC) - timedelta(days=7):%Y%m%d-%H:%M:%S}"
    parts = {"session": week_ago, "seqnums": "0000000002 : 0000000004", "header": "", "body": ""}
    for part, text in parts.items():
        store.part(part).write_text(text)
    store.part("durable").write_text(noted.format(store.identity()))
    started = subprocess.run([sys.executable, "-c", START, tmp_path], capture_output=True, text=True, check=True)
    assert started.stdout.split() == [str(first), "2"]
