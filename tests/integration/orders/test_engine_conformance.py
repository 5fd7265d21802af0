"""The simulated engine is a conformant FIX 4.4 acceptor: held to it byte by byte, by a client that is not QuickFIX."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from feedline.local.ports import choose_ports
from feedline.orders.engine.behaviour import Answer, Behaviour
from feedline.orders.engine.book import Verdict, read_book
from feedline.orders.engine.engine import Engine
from feedline.orders.fix.session_policy import SessionPolicy
from feedline.orders.fix.store import StoreFiles
from order_flow.fix_client import FixClient, cancel, frame, log_on_again, new_order, stamp

CLIENT, OTHER = "GATEWAY-1", "GATEWAY-2"


@pytest.fixture
def policy(tmp_path: Path) -> SessionPolicy:
    port = choose_ports({"engine": 0}, {})["engine"]
    return SessionPolicy(sender="ENGINE", targets=(CLIENT, OTHER), folder=tmp_path, port=port)


@pytest.fixture
def engine(policy: SessionPolicy) -> Iterator[Engine]:
    engine = Engine(policy, Behaviour(answer=Answer.ACK))
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


@pytest.fixture
def client(engine: Engine, policy: SessionPolicy) -> Iterator[FixClient]:
    with FixClient(policy.port) as client:
        client.logon()
        yield client


def booked(engine: Engine) -> list[str]:
    return [one.cl_ord_id for one in engine.arrivals() if one.verdict == Verdict.BOOKED]


def test_an_order_is_booked_and_acknowledged(client, engine):
    client.send("D", new_order("a-1"))
    report = client.expect("8")
    assert (report[11], report[150], report[39], report[151]) == ("a-1", "0", "0", "100")
    assert booked(engine) == ["a-1"]


def test_a_test_request_is_answered_with_its_id(client):
    client.send("1", [(112, "are you there")])
    assert client.expect("0")[112] == "are you there"


@pytest.mark.parametrize("wrong", [{"checksum": 7}, {"body_length": 5}])
def test_a_garbled_message_is_not_there_and_its_number_is_asked_for(client, engine, wrong):
    client.send("D", new_order("a-1"), **wrong)
    client.send("D", new_order("b-1"))
    request = client.expect("2")
    assert request[7] == "2"
    assert booked(engine) == []
    client.send("D", new_order("a-1"), seq=2, head=[(43, "Y"), (122, stamp())])
    client.send("D", new_order("b-1"), seq=3, head=[(43, "Y"), (122, stamp())])
    client.settle()
    assert booked(engine) == ["a-1", "b-1"]


def test_a_gap_is_asked_for_and_booked_in_order(client, engine):
    client.seq += 2
    client.send("D", new_order("c-1"))
    request = client.expect("2")
    assert (request[7], request[16]) in {("2", "0"), ("2", "3")}
    for number, name in enumerate(("a-1", "b-1"), start=2):
        client.send("D", new_order(name), seq=number, head=[(43, "Y"), (122, stamp())])
    client.settle()
    assert booked(engine) == ["a-1", "b-1", "c-1"]


def test_a_gap_may_be_filled_without_messages(client, engine):
    client.seq += 2
    client.send("D", new_order("c-1"))
    client.expect("2")
    client.send("4", [(123, "Y"), (36, "4")], seq=2, head=[(43, "Y"), (122, stamp())])
    client.settle()
    assert booked(engine) == ["c-1"]


def test_a_sequence_reset_sets_the_next_number(client, engine):
    client.send("4", [(123, "N"), (36, "50")])
    client.seq = 50
    client.send("D", new_order("a-1"))
    assert client.expect("8")[11] == "a-1"


def test_a_sequence_reset_backwards_is_rejected(client):
    client.send("4", [(36, "1")], seq=9)
    assert client.expect("3")[373] == "5"


def test_a_number_that_was_used_ends_the_session(client, engine):
    client.send("D", new_order("a-1"))
    client.expect("8")
    client.send("D", new_order("b-1"), seq=2)
    last = client.expect_end()[-1]
    assert last[35] == "5"
    assert "too low" in last[58]
    assert booked(engine) == ["a-1"]


def test_a_number_that_was_used_and_is_marked_is_passed_over(client, engine):
    client.send("D", new_order("a-1"))
    client.expect("8")
    client.send("D", new_order("a-1"), seq=2, head=[(43, "Y"), (122, stamp())])
    client.settle()
    assert len(engine.arrivals()) == 1


def test_reports_are_sent_again_marked_and_session_messages_are_not(client):
    client.send("D", new_order("a-1"))
    first = client.expect("8")
    client.settle()
    client.send("2", [(7, "1"), (16, "0")])
    fill = client.expect("4")
    assert (fill[123], fill[34], fill[36]) == ("Y", "1", first[34])
    again = client.expect("8")
    assert (again[34], again[43], again[17]) == (first[34], "Y", first[17])
    assert 122 in again


def test_a_second_logon_of_the_same_session_changes_nothing(client, engine, policy):
    with FixClient(policy.port) as second:
        second.send("A", [(98, "0"), (108, "30")])
        assert second.expect_end() == []
    client.send("D", new_order("a-1"))
    assert client.expect("8")[11] == "a-1"


def test_two_gateways_have_a_session_each(client, engine, policy):
    with FixClient(policy.port, sender=OTHER) as second:
        second.logon()
        second.send("D", new_order("b-1"))
        assert second.expect("8")[56] == OTHER
    client.send("D", new_order("a-1"))
    assert client.expect("8")[56] == CLIENT


@pytest.mark.parametrize("first", ["unknown sender", "no logon"])
def test_who_is_not_known_or_does_not_log_on_is_shown_out(engine, policy, first):
    with FixClient(policy.port, sender="NOBODY" if first == "unknown sender" else CLIENT) as client:
        if first == "unknown sender":
            client.send("A", [(98, "0"), (108, "30")])
        else:
            client.send("D", new_order("a-1"))
        assert all(message[35] == "5" for message in client.expect_end())
    assert engine.arrivals() == []


@pytest.mark.parametrize(
    ("changed", "reason", "tag"),
    [
        ({"_54": "Q"}, "5", "54"),
        ({"_9999": "1"}, "0", "9999"),
        ({"_150": "0"}, "2", "150"),
        ({"_38": "many"}, "6", "38"),
        ({"_44": ""}, "4", "44"),
    ],
    ids=["unknown value", "unknown tag", "tag of another message", "no number", "empty"],
)
def test_what_the_dictionary_does_not_allow_is_rejected_and_the_session_goes_on(client, engine, changed, reason, tag):
    number = client.send("D", new_order("a-1", **changed))
    reject = client.expect("3")
    assert (reject[45], reject[373], reject[371]) == (str(number), reason, tag)
    client.send("D", new_order("b-1"))
    assert client.expect("8")[11] == "b-1"
    assert booked(engine) == ["b-1"]


def test_a_missing_tag_and_an_unknown_message_are_rejected(client, engine):
    client.send("D", [pair for pair in new_order("a-1") if pair[0] != 54])
    assert client.expect("3")[371] == "54"
    client.send("ZZ", [(58, "?")])
    assert client.expect("3")[373] == "11"


def test_bytes_that_are_no_fix_are_passed_over(client, engine):
    client.send_bytes(b"GET / HTTP/1.1\r\n\r\n" + frame([(35, "0")], body_length=3))
    client.send("D", new_order("a-1"))
    assert client.expect("8")[11] == "a-1"


def test_a_copy_is_booked_once_and_answered_with_the_same_report(client, engine):
    client.send("D", new_order("a-1"))
    first = client.expect("8")
    client.send("D", new_order("a-1"), head=[(97, "Y")])
    again = client.expect("8")
    assert (again[17], again[97], again[150]) == (first[17], "Y", "0")
    assert [one.verdict for one in engine.arrivals()] == [Verdict.BOOKED, Verdict.COPY]


def test_a_copy_without_a_mark_is_refused_as_a_duplicate(client, engine):
    client.send("D", new_order("a-1"))
    client.expect("8")
    client.send("D", new_order("a-1"))
    assert client.expect("8")[103] == "6"
    assert [one.verdict for one in engine.arrivals()] == [Verdict.BOOKED, Verdict.UNMARKED_COPY]


def test_an_event_out_of_its_orders_sequence_is_not_booked(client, engine):
    client.send("F", cancel("a", 2))
    assert client.expect("9")[102] == "1"
    client.send("D", new_order("a-1"))
    client.expect("8")
    client.send("F", cancel("a", 3))
    client.expect("9")
    client.send("F", cancel("a", 2))
    assert client.expect("8")[150] == "4"
    assert booked(engine) == ["a-1", "a-2"]


def test_the_engine_says_which_orders_it_knows(client, engine):
    client.send("D", new_order("a-1"))
    client.expect("8")
    for name, status in (("a-1", "0"), ("b-1", "8")):
        client.send("H", [(11, name), (790, f"q-{name}"), (55, "AAPL"), (54, "1")])
        answer = client.expect("8")
        assert (answer[150], answer[39], answer[790]) == ("I", status, f"q-{name}")


def test_it_does_what_it_is_told(client, engine):
    engine.behave(answer=Answer.PARTIAL)
    client.send("D", new_order("a-1"))
    assert [client.expect("8")[150] for _ in range(2)] == ["0", "F"]
    engine.fill("a", None)
    filled = client.expect("8")
    assert (filled[39], filled[32], filled[14], filled[151], filled[6]) == (
        "2",
        "50.0000",
        "100.0000",
        "0",
        "12.500000",
    )
    client.send("F", cancel("a", 2))
    assert client.expect("9")[102] == "0"
    engine.behave(reject_next=1)
    client.send("D", new_order("b-1"))
    assert client.expect("8")[150] == "8"


def test_held_orders_are_answered_when_it_is_told_so(client, engine):
    engine.behave(answer=Answer.HOLD)
    client.send("D", new_order("a-1"))
    client.settle()
    assert booked(engine) == ["a-1"]
    assert engine.status().held == 1
    engine.behave(answer=Answer.ACK)
    assert client.expect("8")[11] == "a-1"


def test_a_line_that_is_dropped_before_the_answer_gives_it_after_the_next_logon(client, engine, policy):
    engine.behave(drop_after=1)
    client.send("D", new_order("a-1"))
    assert client.expect_end() == []
    assert booked(engine) == ["a-1"]
    again, logon = log_on_again(policy.port, client.seq)
    with again:
        assert logon[34] == "3"
        again.send("2", [(7, "2"), (16, "0")])
        report = again.expect("8")
        assert (report[11], report[34], report[43]) == ("a-1", "2", "Y")


def test_an_engine_that_comes_back_on_another_day_knows_its_book_and_its_numbers(client, engine, policy):
    client.send("D", new_order("a-1"))
    client.expect("8")
    engine.away()
    with pytest.raises(OSError, match="refused"):
        FixClient(policy.port)
    StoreFiles.of(policy.folder, "ENGINE", CLIENT).part("session").write_text("20261101-08:00:00")
    engine.back()
    again, _ = log_on_again(policy.port, client.seq)
    with again:
        again.send("F", cancel("a", 2))
        assert again.expect("8")[150] == "4"
    assert [one.cl_ord_id for one in read_book(policy.folder)] == ["a-1", "a-2"]
