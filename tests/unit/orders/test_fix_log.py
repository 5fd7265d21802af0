"""The FIX log is read by people: names instead of tags, one order's messages together."""

from __future__ import annotations

import pytest

from feedline.errors import ConfigurationError
from feedline.orders.fix.log_view import read_log

LINES = [
    "20261120-19:05:00.123456000 : 8=FIX.4.4|9=1|35=D|34=2|49=G|56=E|52=x|11=7f0c-1|54=1|40=2|44=12.5|10=000|",
    "20261120-19:05:00.200000000 : Created session",
    "20261120-19:05:01.000000000 : 8=FIX.4.4|9=1|35=8|34=2|43=Y|49=E|56=G|52=x|11=7f0c-1|17=7f0c-1/1|39=8|10=000|",
    "20261120-19:05:02.000000000 : 8=FIX.4.4|9=1|35=D|34=3|49=G|56=E|52=x|11=7f0c7-1|54=1|10=000|",
    "20261120-19:05:03.000000000 : 8=FIX.4.4|9=1|35=A|34=1|49=G|56=E|52=x|553=desk|554=secret|10=000|",
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "FIX.4.4-G-E.messages.current.log").write_text(
        "".join(f"{line}\n".replace("|", "\x01") for line in LINES) + "20261120-19:05:04.000 : 8=FIX.4.4\x0135=D"
    )
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


def test_what_a_counterparty_writes_neither_moves_the_terminal_nor_makes_a_line(tmp_path):
    """Text of a report is the other side's: it could clear the screen, or show a fill that never was."""
    forged = "20261120-19:05:09.000000000 : 8=FIX.4.4\x0135=8\x0139=2\x01"
    line = f"20261120-19:05:00.100000000 : 8=FIX.4.4\x0135=8\x0134=2\x0158=no\x1b[2J\u202eok\r{forged}\x0110=000\x01\n"
    (tmp_path / "FIX.4.4-G-E.messages.current.log").write_text(line, newline="")
    (shown,) = map(str, read_log(tmp_path))
    assert shown.isprintable()
    assert r"Text=no\x1b[2J\u202eok\r20261120" in shown
