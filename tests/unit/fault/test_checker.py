"""The checker finds each kind of wrong by its name, and nothing in a run that went well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fault.checker import LedgerRow, Observation, TableRow, TopicBatch, check

GOOD = Observation(
    source=["a", "b", "c", "d"],
    acknowledged=["a", "b", "c", "d"],
    topic=[TopicBatch(0, 0, "x", ("a", "b")), TopicBatch(0, 2, "y", ("c",)), TopicBatch(1, 0, "z", ("d",))],
    table=[TableRow("a", "x"), TableRow("b", "x"), TableRow("c", "y"), TableRow("d", "z")],
    ledger=[LedgerRow("x", 0, 0, 2), LedgerRow("y", 0, 2, 1), LedgerRow("z", 1, 0, 1)],
    polls={"witness": [(0, 0, "x"), (1, 0, "z"), (0, 2, "y")]},
    moves={0: [1, 3], 1: [1]},
    ends={0: 3, 1: 1},
)


def test_a_run_that_went_well_has_no_finding():
    verdict = check(GOOD)
    assert verdict.clean, str(verdict)
    assert verdict.counts["gaps"] == 1
    assert verdict.counts["lag"] == 0
    assert verdict.in_order


def test_a_batch_that_was_sent_twice_and_loaded_once_is_no_finding():
    twice = [*GOOD.topic, TopicBatch(1, 1, "x", ("a", "b"))]
    ledger = [*GOOD.ledger, LedgerRow("x", 1, 1, 2, "DUPLICATE")]
    assert check(replace(GOOD, topic=twice, ledger=ledger, moves={0: [3], 1: [2]}, ends={0: 3, 1: 2})).clean


def test_a_record_on_the_error_topic_balances_the_books():
    table = [row for row in GOOD.table if row.id != "d"]
    ledger = [GOOD.ledger[0], GOOD.ledger[1], replace(GOOD.ledger[2], status="ERROR")]
    assert check(replace(GOOD, table=table, ledger=ledger, errors=["d"])).clean


def _without(rows, record):
    return [row for row in rows if row.id != record]


WRONG = {
    "lost write": replace(GOOD, topic=GOOD.topic[:2], table=GOOD.table[:3], ledger=GOOD.ledger[:2], moves={0: [3]}),
    "unseen": replace(GOOD, table=_without(GOOD.table, "c")),
    "duplicate": replace(GOOD, table=[*GOOD.table, GOOD.table[0]]),
    "poll skip": replace(GOOD, polls={"witness": [(0, 2, "y"), (1, 0, "z")]}),
    "nonmonotonic poll": replace(GOOD, polls={"witness": [(0, 0, "x"), (0, 2, "y"), (0, 0, "x"), (1, 0, "z")]}),
    "inconsistent offsets": replace(GOOD, polls={"witness": [(0, 0, "other"), (0, 2, "y")]}),
    "aborted read": replace(GOOD, table=[*GOOD.table, TableRow("nobody's", "z")]),
    "changed": replace(GOOD, changed=["c"]),
    "books": replace(GOOD, table=_without(GOOD.table, "a"), moves={}),
    "ledger": replace(GOOD, ledger=[replace(GOOD.ledger[0], records=3), *GOOD.ledger[1:]]),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_each_kind_of_wrong_is_found_by_its_name(name):
    assert name in check(WRONG[name]).names


def test_what_is_not_loaded_yet_is_lag_and_not_unseen():
    verdict = check(replace(GOOD, table=GOOD.table[:2], ledger=GOOD.ledger[:1], moves={0: [1]}))
    assert verdict.names == {"books"}
    assert verdict.counts["lag"] == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"ledger": [*GOOD.ledger[:2], LedgerRow("z", 1, 7, 1)]},
        {"moves": {0: [3, 1], 1: [1]}},
        {"moves": {0: [9], 1: [1]}},
    ],
    ids=["the ledger names another offset", "a checkpoint went back", "a checkpoint beyond the end"],
)
def test_offsets_that_cannot_be_are_found(wrong):
    assert "inconsistent offsets" in check(replace(GOOD, **wrong)).names


def test_a_record_of_an_aborted_transaction_in_the_table_is_an_aborted_read():
    assert "aborted read" in check(replace(GOOD, aborted=frozenset({"d"}))).names


def test_a_batch_that_is_loaded_twice_in_the_ledger_is_a_duplicate():
    assert "duplicate" in check(replace(GOOD, ledger=[*GOOD.ledger, GOOD.ledger[2]])).names


def test_the_order_of_the_loads_is_told():
    assert not check(replace(GOOD, ledger=[GOOD.ledger[1], GOOD.ledger[0], GOOD.ledger[2]])).in_order
