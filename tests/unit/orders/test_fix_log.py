"""The FIX log is read by people: names instead of tags, one order's messages together."""

from __future__ import annotations

import pytest

from feedline.errors import ConfigurationError
from feedline.orders.fix.log_view import read_log


def logged(at: str, *fields: str) -> str:
    """A message as QuickFIX logs it, with its true length and checksum."""
    body = "".join(f"{field}\x01" for field in fields)
    message = f"8=FIX.4.4\x019={len(body.encode())}\x01{body}"
    return f"20261120-{at}000000 : {message}10={sum(message.encode()) % 256:03}\x01\n"


LINES = [
    logged("19:05:00.123", "35=D", "34=2", "49=G", "56=E", "52=x", "11=7f0c-1", "54=1", "40=2", "44=12.5"),
    "20261120-19:05:00.200000000 : Created session\n",
    logged("19:05:01.000", "35=8", "34=2", "43=Y", "49=E", "56=G", "52=x", "11=7f0c-1", "17=7f0c-1/1", "39=8"),
    logged("19:05:02.000", "35=D", "34=3", "49=G", "56=E", "52=x", "11=7f0c7-1", "54=1"),
    logged("19:05:03.000", "35=A", "34=1", "49=G", "56=E", "52=x", "553=desk", "554=secret"),
]


def write(folder, *lines):
    (folder / "FIX.4.4-G-E.messages.current.log").write_text("".join(lines), newline="")


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, *LINES, "20261120-19:05:04.000 : 8=FIX.4.4\x0135=D")
    return tmp_path


def test_a_message_is_a_line_with_names(folder):
    first, report, *_ = map(str, read_log(folder))
    assert (
        first == "20261120-19:05:00.123 G->E #2 NewOrderSingle ClOrdID=7f0c-1 Side=1(BUY) OrdType=2(LIMIT) Price=12.5"
    )
    assert "#2 [PossDup] ExecutionReport" in report
    assert "OrdStatus=8(REJECTED)" in report


def test_an_orders_messages_are_its_own_and_no_others(folder):
    found = list(read_log(folder, keep=lambda message: message.of_order("7f0c")))
    assert [one.value("35") for one in found] == ["D", "8"]


def test_no_secret_and_no_torn_line_is_shown(folder):
    shown = "\n".join(map(str, read_log(folder)))
    assert "secret" not in shown
    assert "Password=***" in shown
    assert "19:05:04" not in shown


def test_a_folder_without_a_log_is_said_so(tmp_path):
    with pytest.raises(ConfigurationError, match="no FIX log"):
        list(read_log(tmp_path))


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_what_a_counterparty_writes_neither_moves_the_terminal_nor_makes_a_line(tmp_path, end):
    """Text of a report is the other side's: it could clear the screen, or show a fill that never was."""
    forged = logged("19:05:09.000", "35=8", "34=3", "39=2")
    # Of its fields those that follow the first belong to the message that it was sent in.
    text = f"58=no\x1b[2J\u202eok{end}{forged}\x01"
    write(tmp_path, logged("19:05:00.100", "35=8", "34=2", text), LINES[0])
    first, second = map(str, read_log(tmp_path))
    assert first.isprintable()
    assert first.startswith("20261120-19:05:00.100")
    escaped = end.encode("unicode_escape").decode()
    assert rf"Text=no\x1b[2J\u202eok{escaped}20261120-19:05:09" in first
    assert second.startswith("20261120-19:05:00.123")


def test_a_message_that_was_cut_off_is_told_and_those_after_it_are_shown(tmp_path):
    write(tmp_path, LINES[0][:60] + "\n", *LINES[2:])
    first, *others = map(str, read_log(tmp_path))
    assert first.startswith("20261120-19:05:00.123 (a line that begins like a message and is not a whole one")
    assert len(others) == 3
    assert "ExecutionReport" in others[0]


def test_a_message_that_is_still_being_written_is_waited_for(tmp_path):
    message = logged("19:05:00.100", "35=8", "34=2", "58=two\nlines")
    head, rest = message[: message.index("\n") + 1], message[message.index("\n") + 1 :]
    write(tmp_path, LINES[0], head)
    following = read_log(tmp_path, follow=True)
    next(following)
    with (tmp_path / "FIX.4.4-G-E.messages.current.log").open("a", newline="") as log:
        log.write(rest)
    assert r"Text=two\nlines" in str(next(following))
