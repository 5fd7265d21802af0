"""An engine of somebody else sends more than our dictionary knows: no report is lost for a tag that nobody reads."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from feedline.orders.fix.connection import Connection
from feedline.orders.fix.dictionary import fields_of
from feedline.orders.fix.session_policy import SessionPolicy
from feedline.orders.model import EventKind, ExecType
from order_flow.fix_client import Fields, FixClient, frame, stamp
from order_flow.flow import Flow, event

WITHIN_S = 60.0
# QuickFIX knows a session by its name in the whole process, also one that has ended: no other test's.
NAME = "GATEWAY-TOLD"
PARTIES = [(453, "2"), (448, "A"), (447, "D"), (452, "1"), (448, "B"), (447, "D"), (452, "2")]
OWN_GROUP = [(5001, "2"), (5002, "A"), (5002, "B")]


def fill(name: str, *more: tuple[int, str], **changed: str | None) -> Fields:
    fields: dict[int, str | None] = {
        37: "x", 11: name, 17: f"{name}/1", 150: "F", 39: "1", 55: "AAPL", 54: "1", 32: "5", 31: "12.5", 151: "95",
        14: "5", 6: "12.5", 60: stamp(),
    }  # fmt: skip
    fields.update({int(tag[1:]): value for tag, value in changed.items()})
    return [*((tag, value) for tag, value in fields.items() if value is not None), *more]


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> Iterator[tuple[Connection, FixClient]]:
    """Our end, and an engine's that speaks bytes. Its logon has tags of later versions."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(WITHIN_S)
        port = listening.getsockname()[1]
        folder = tmp_path_factory.mktemp("told")
        connection = Connection(SessionPolicy(sender=NAME, targets=("ENGINE",), folder=folder, port=port))
        connection.start()
        try:
            line, _ = listening.accept()
            with FixClient(port, "ENGINE", NAME, line=line) as engine:
                engine.expect("A")
                types = [(384, "2"), (372, "8"), (385, "S"), (372, "D"), (385, "R")]
                engine.send("A", [(98, "0"), (108, "30"), (141, "Y"), (464, "N"), (1137, "9"), *types])
                engine.settle()
                yield connection, engine
        finally:
            connection.stop()


@pytest.mark.parametrize(
    "sent",
    [
        fill("o-1", (30, "XNYS"), (75, "20261120")),
        fill("o-1", (9999, "x")),
        fill("o-1", (108, "30"), (553, "of a logon")),
        fill("o-1", _22="M", _48="x", _54="9", _59="B", _167="FUT"),
        fill("o-1", _55=None, _60=None),
        fill("o-1", _58=""),
        fill("o-1", *PARTIES),
        fill("o-1", (50, "a tag of the header")),
        fill("o-1", (354, "12"), (355, "\x0132=7\x0114=7\x01.")),
    ],
    ids=[
        "tags we do not know", "tag of the engine's own", "tags of other messages", "values we do not know",
        "not all that FIX demands", "without a value", "group of two", "header in the body", "data",
    ],
)  # fmt: skip
def test_a_fill_arrives_and_nothing_is_rejected(session, sent):
    connection, engine = session
    before = connection.session_rejects
    engine.send("8", sent)
    engine.settle()
    fields = connection.reports.get_nowait()
    assert (fields["11"], fields["32"], fields["14"]) == ("o-1", "5", "5")
    assert connection.session_rejects == before


def test_text_in_another_encoding_can_be_read(session):
    connection, engine = session
    head = [(35, "8"), (49, "ENGINE"), (56, NAME), (34, str(engine.seq)), (52, stamp())]
    whole = frame([*head, *fill("o-1", (58, "executé"))]).replace("é".encode(), b"\xe9")
    told = whole[whole.index(b"35=") : whole.rindex(b"10=")]
    begin = b"8=FIX.4.4\x019=%d\x01" % len(told) + told
    engine.send_bytes(begin + b"10=%03d\x01" % (sum(begin) % 256))
    engine.seq += 1
    engine.settle()
    assert connection.reports.get_nowait()["58"] == "executé"


def test_what_the_session_refuses_is_kept_all_the_same(session):
    connection, engine = session
    before = connection.session_rejects
    engine.send("8", fill("o-1", *OWN_GROUP))
    engine.send("8", fill("o-2", (32, "7")))
    engine.send("B", [(148, "news")])
    engine.settle()
    taken, doubtful = connection.reports.get_nowait(), connection.reports.get_nowait()
    assert (taken["11"], taken["32"], "refused" in taken) == ("o-1", "5", False)
    assert doubtful["11"] == "o-2"
    assert doubtful["refused"] == "the FIX session refuses the message: Tag appears more than once, tag 32"
    assert connection.reports.empty()
    assert connection.session_rejects == before + 3


class _Venue(threading.Thread):
    """Fills each order in a report with tags of its own: of `grouped` with a group, of `doubtful` with two amounts."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._listening = socket.create_server(("127.0.0.1", port))
        self.rejects: list[str] = []

    def run(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._listening.accept()
                line.settimeout(None)
                with FixClient(0, "ENGINE", "GATEWAY-1", line=line) as engine, suppress(OSError):
                    self._serve(engine)

    def _serve(self, engine: FixClient) -> None:
        engine._socket.settimeout(None)
        while (message := engine.read()) is not None:
            if message[35] == "A":
                engine.send("A", [(98, "0"), (108, message[108]), (141, message.get(141, "N"))])
            elif message[35] == "1":
                engine.send("0", [(112, message[112])])
            elif message[35] == "3":
                self.rejects.append(message[371])
            elif message[35] == "D":
                more = [(30, "XNYS"), (9999, "x"), *PARTIES]
                odd = {"grouped-1": OWN_GROUP, "doubtful-1": [(32, "7")]}.get(message[11], [])
                engine.send("8", fill(message[11], *more, *odd))

    def close(self) -> None:
        self._listening.close()


def test_a_fill_with_tags_that_nobody_knows_is_on_the_topic_and_what_is_refused_is_loud(the_flow: Flow):
    venue = _Venue(the_flow.ports["fix"])
    venue.start()
    try:
        the_flow.start_gateway()
        names = ["plain", "grouped", "doubtful"]
        the_flow.produce([event(name, 1, EventKind.NEW) for name in names], expected=False)
        the_flow.wait_for(lambda: len(the_flow.reports()) == 2 and the_flow.refused(), "each report is kept")
        found = {(one.cl_ord_id, one.exec_type, str(one.last_qty)) for one in the_flow.reports()}
        assert found == {(f"{name}-1", ExecType.TRADE, "5.0000") for name in ("plain", "grouped")}
        [kept] = the_flow.read(the_flow.topics.error, 1)
        assert dict(kept.headers())["errorCode"] == b"ReportRefused"
        assert fields_of(kept.value().decode())["11"] == "doubtful-1"
        assert sorted(venue.rejects) == ["32", "5002"]
        the_flow.wait_for(lambda: the_flow.metrics().get("session_rejects_total") == 2, "the rejects are counted")
    finally:
        venue.close()
