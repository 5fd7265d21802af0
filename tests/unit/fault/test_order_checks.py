"""The checks of orders find each kind of wrong, and nothing in what is right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from feedline.orders.engine.book import Arrival, Verdict
from order_flow.books import check_book
from order_flow.topic_check import Found, Given, check_topic

GIVEN = [Given(("a", 1), "x", ((0, 0),)), Given(("a", 2), "y", ((0, 1),)), Given(("b", 1), "x", ((1, 0),))]
ONCE = [replace(one, once=True) for one in GIVEN]
FOUND = [
    Found(("a", 1), "x", (0, 0), "id-a"),
    Found(("a", 2), "y", (0, 1), "id-a"),
    Found(("b", 1), "x", (1, 0), "id-b"),
]


def test_what_is_right_is_clean():
    assert check_topic(ONCE, FOUND).clean
    again = [*FOUND, replace(FOUND[2], place=(1, 1))]
    check = check_topic(GIVEN, again)
    assert check.clean
    assert check.counts["repeats"] == 1
    unanswered = [*GIVEN, Given(("c", 1), "x", (), acknowledged=False)]
    assert check_topic(unanswered, FOUND).clean


@pytest.mark.parametrize(
    ("finding", "given", "found"),
    [
        ("lost write", GIVEN, FOUND[:2]),
        ("duplicate", ONCE, [*FOUND, replace(FOUND[2], place=(1, 1))]),
        ("duplicate", GIVEN, [*FOUND, replace(FOUND[2], place=(1, 1), content="z")]),
        ("duplicate", GIVEN, [*FOUND, replace(FOUND[2], place=(1, 1), order_id="id-c")]),
        ("out of sequence", GIVEN, [FOUND[1], FOUND[0], FOUND[2]]),
        ("out of sequence", GIVEN, [FOUND[0], replace(FOUND[1], place=(1, 1)), FOUND[2]]),
        ("changed", GIVEN, [*FOUND[:2], replace(FOUND[2], content="z")]),
        ("aborted read", GIVEN[:2], FOUND),
        ("inconsistent offsets", [*GIVEN[:2], replace(GIVEN[2], places=((1, 0), (1, 1)))], FOUND),
    ],
)
def test_what_is_wrong_with_a_topic_is_named(finding, given, found):
    assert finding in check_topic(given, found).findings


def arrival(order: str, sequence: int, **changed) -> Arrival:
    made = Arrival(
        at="", session="G", seq_num=1, msg_type="D", cl_ord_id=f"{order}-{sequence}", orig_cl_ord_id=None,
        order_id=order, sequence=sequence, poss_dup=False, poss_resend=False, partition=0, offset=0,
        verdict=Verdict.BOOKED, fields={},
    )  # fmt: skip
    return replace(made, **changed)


EVENTS = [("a", 1), ("a", 2)]
BOOK = [arrival("a", 1), arrival("a", 2)]
REPORTED = {"a-1", "a-2"}


def test_a_book_that_is_right_is_clean():
    copy = arrival("a", 2, verdict=Verdict.COPY, poss_dup=True)
    assert check_book(EVENTS, [*BOOK, copy], REPORTED).clean


@pytest.mark.parametrize(
    ("finding", "book", "reported"),
    [
        ("lost write", BOOK[:1], REPORTED),
        ("duplicate", [*BOOK, BOOK[1]], REPORTED),
        ("out of sequence", [BOOK[1], BOOK[0]], REPORTED),
        ("out of sequence", [*BOOK, arrival("a", 3, verdict=Verdict.OUT_OF_SEQUENCE)], REPORTED),
        ("unmarked copy", [*BOOK, arrival("a", 2, verdict=Verdict.UNMARKED_COPY)], REPORTED),
        ("aborted read", [*BOOK, arrival("b", 1)], REPORTED),
        ("unreported", BOOK, {"a-1"}),
    ],
)
def test_what_is_wrong_with_a_book_is_named(finding, book, reported):
    assert finding in check_book(EVENTS, book, reported).findings
