"""Loading a range: every record once, whatever is repeated, spoiled or done by two at a time."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from feedline.batch.wire import prefix
from feedline.errors import ConfigurationError, ControlMismatchError, LostRaceError, RetriableError
from feedline.warehouse.ledger import read_checkpoints
from feedline.warehouse.load import LoadPolicy, Step
from feedline.warehouse.reload import drop_delivery

SMALL_CHUNKS = LoadPolicy(chunk_bytes=1, fence_budget_s=60)


def test_every_record_is_in_the_table_once_and_the_checkpoints_are_at_the_end(holdings, make_holding):
    holdings.publish([make_holding(n) for n in range(95)])
    result = holdings.load()
    assert holdings.orders() == list(range(95))
    assert (result.records, result.batches, result.transactions) == (95, 10, 1)
    assert read_checkpoints(holdings.connection, holdings.feed.name, holdings.feed.topic.name) == holdings.ends
    ledger = holdings.query(
        f"SELECT STATUS, COUNT(*), SUM(RECORDS::NUMBER(38,0)) FROM {{control}}.LOAD_LEDGER "
        f"WHERE FEED = '{holdings.feed.name}' GROUP BY 1"
    )
    assert ledger == [("LOADED", 10, 95)]


def test_loading_a_range_again_changes_nothing(holdings, make_holding):
    holdings.publish([make_holding(n) for n in range(40)])
    holdings.load()
    again = holdings.load()
    assert (again.records, again.transactions) == (0, 0)
    assert again.checkpoints == holdings.ends
    assert holdings.orders() == list(range(40))


def test_a_delivery_that_is_produced_again_loads_no_row_twice(holdings, make_holding):
    records = [make_holding(n) for n in range(50)]
    first = holdings.publish(records)
    holdings.load()
    holdings.publish(records, delivery_id=first.delivery_id)
    again = holdings.load()
    assert (again.records, again.duplicate_batches) == (0, 5)
    assert holdings.orders() == list(range(50))


def test_copies_within_one_range_are_loaded_once_in_one_chunk_or_many(holdings, make_holding):
    for chunking, first in ((LoadPolicy(), 0), (SMALL_CHUNKS, 100)):
        records = [make_holding(n) for n in range(first, first + 30)]
        delivery = holdings.publish(records, partitions=[0]).delivery_id
        holdings.publish(records, delivery_id=delivery, partitions=[0, 1])
        result = holdings.load(policy=chunking)
        assert (result.batches, result.duplicate_batches) == (3, 3)
    assert holdings.orders() == [*range(30), *range(100, 130)]


def test_a_record_that_keeps_an_id_of_its_own_in_another_delivery_is_loaded_once(holdings, make_holding):
    own = str(uuid.uuid4())

    def with_own(_index, headers, value):
        return replace(headers, correlation_id=own), value

    for loaded, duplicates in ((1, 0), (0, 1), (0, 1)):
        holdings.publish([make_holding(7)], change=with_own)
        result = holdings.load()
        assert (result.records, result.duplicate_batches) == (loaded, duplicates)
    assert holdings.orders() == [7]


def test_a_copy_of_what_is_taken_out_meanwhile_is_loaded(holdings, make_holding):
    records = [make_holding(n) for n in range(10)]
    first = holdings.publish(records, partitions=[0])
    holdings.load()
    holdings.publish(records, delivery_id=first.delivery_id, partitions=[0])
    taken = []

    def take_out(step):
        if step is Step.STAGED and not taken:
            taken.append(drop_delivery(holdings.connection, holdings.feed, first.delivery_id))

    result = holdings.load(on_step=take_out)
    assert (taken[0].deleted_rows, result.records, result.duplicate_batches) == (10, 10, 0)
    assert holdings.orders() == list(range(10))


def test_a_correlation_id_that_comes_back_with_another_count_is_refused(holdings, make_holding):
    first = holdings.publish([make_holding(n) for n in range(10)])
    holdings.load()
    holdings.publish([make_holding(n) for n in range(9)], delivery_id=first.delivery_id)
    with pytest.raises(ControlMismatchError, match="9 records has the correlation id of one of 10"):
        holdings.load()
    assert holdings.orders() == list(range(10))


def test_a_batch_that_cannot_be_decoded_is_reported_and_blocks_nobody(holdings, make_holding):
    def spoil(index, headers, value):
        if index == 1:
            return headers, value[:-7]
        if index == 2:
            return headers, b"plain text"
        if index == 3:
            return replace(headers, record_count=headers.record_count + 1), value
        return headers, value

    holdings.publish([make_holding(n) for n in range(60)], change=spoil)
    result = holdings.load()
    assert holdings.orders() == [*range(10), *range(40, 60)]
    assert (result.records, result.error_batches, result.error_records) == (30, 3, 31)
    assert sorted(batch.headers.batch_index for batch, _ in holdings.reported) == [1, 2, 3]
    rows = holdings.query(
        f"SELECT BATCH_INDEX, STATUS, REASON IS NOT NULL FROM {{control}}.LOAD_LEDGER "
        f"WHERE FEED = '{holdings.feed.name}' AND STATUS = 'ERROR' ORDER BY 1"
    )
    assert rows == [(1, "ERROR", True), (2, "ERROR", True), (3, "ERROR", True)]


def test_a_batch_of_an_unknown_schema_is_reported_but_a_wrong_registry_stops_the_load(holdings, make_holding):
    def unknown(_, headers, value):
        return headers, prefix(2**31 - 1) + value[5:]

    holdings.publish([make_holding(n) for n in range(20)], partitions=[0], change=unknown)
    with pytest.raises(ConfigurationError, match="is it the right registry"):
        holdings.load()
    holdings.publish([make_holding(n) for n in range(20, 30)], partitions=[0])
    result = holdings.load()
    assert (result.records, result.error_records) == (10, 20)
    assert holdings.orders() == list(range(20, 30))


def test_a_good_copy_of_a_spoiled_batch_is_loaded(holdings, make_holding):
    records = [make_holding(n) for n in range(10)]
    spoiled = holdings.publish(records, partitions=[0], change=lambda _, h, v: (h, v[:-7]))
    holdings.publish(records, partitions=[0], delivery_id=spoiled.delivery_id)
    result = holdings.load()
    assert (result.batches, result.duplicate_batches, result.error_batches) == (1, 0, 1)
    assert holdings.orders() == list(range(10))


def test_a_range_before_its_turn_is_refused_until_the_one_before_it_is_loaded(holdings, make_holding):
    holdings.publish([make_holding(n) for n in range(10)], partitions=[0])
    first = holdings.range()
    holdings.load(first)
    holdings.publish([make_holding(n) for n in range(10, 20)], partitions=[0])
    holdings.publish([make_holding(n) for n in range(20, 30)], partitions=[0])
    [span] = holdings.range().spans
    with pytest.raises(LostRaceError, match="an earlier load is still to come"):
        holdings.load(replace(first, spans=(replace(span, start=2),)))
    holdings.load(replace(first, spans=(replace(span, start=1, end=2),)))
    holdings.load(replace(first, spans=(replace(span, start=2),)))
    assert holdings.orders() == list(range(30))


def test_a_loader_whose_checkpoint_was_moved_meanwhile_changes_nothing(holdings, make_holding, another_connection):
    holdings.publish([make_holding(n) for n in range(20)])

    def overtaken(batches):
        # The first batch is taken only after another loader has loaded the range.
        holdings.load(connection=another_connection)
        yield from batches

    with pytest.raises(LostRaceError, match="moved the checkpoint"):
        holdings.load(batches=overtaken(holdings.read()))
    assert holdings.orders() == list(range(20))


def test_the_same_batch_loaded_meanwhile_from_another_partition_is_dropped(holdings, make_holding, another_connection):
    records = [make_holding(n) for n in range(20)]
    delivery = holdings.publish(records, partitions=[0]).delivery_id
    holdings.publish(records, partitions=[1], delivery_id=delivery)

    def meanwhile(step):
        if step == "before PUT" and not done:
            done.append(step)
            holdings.load(holdings.range([1]), connection=another_connection)

    done: list[str] = []
    result = holdings.load(holdings.range([0]), on_step=meanwhile)
    assert (result.batches, result.duplicate_batches) == (0, 2)
    assert holdings.orders() == list(range(20))


def test_chunks_move_the_checkpoint_one_by_one(holdings, make_holding):
    holdings.publish([make_holding(n) for n in range(40)], partitions=[0])
    seen = []

    def look(step):
        if step == "after COMMIT":
            seen.append(read_checkpoints(holdings.connection, holdings.feed.name, holdings.feed.topic.name)[0])

    result = holdings.load(policy=SMALL_CHUNKS, on_step=look)
    assert seen == [1, 2, 3, 4]
    assert result.transactions == 4
    assert holdings.orders() == list(range(40))


def test_a_column_that_the_table_lacks_stops_the_load_before_anything_is_written(holdings, make_holding):
    holdings.publish([make_holding(n) for n in range(10)])
    holdings.query("ALTER TABLE {table} DROP COLUMN NOTE")
    with pytest.raises(ConfigurationError, match=r"column NOTE .* is missing"):
        holdings.load()
    assert holdings.orders() == []


@pytest.mark.parametrize("gone", ["_LEDGER-0.parquet", ""], ids=["one of its files", "all its files"])
def test_a_load_whose_staged_files_vanish_changes_nothing_and_its_retry_loads_all(stack, holdings, make_holding, gone):
    holdings.publish([make_holding(n) for n in range(25)])

    def lose(step):
        if step is Step.STAGED:
            for file in stack.home.rglob(f"{holdings.feed.name}/*/*/{gone or '*.parquet'}"):
                file.unlink()

    with pytest.raises(
        RetriableError, match=r"did not find .*parquet below .*0 files processed.*; nothing was changed"
    ):
        holdings.load(on_step=lose)
    assert holdings.orders() == []
    assert holdings.load().records == 25
    assert holdings.orders() == list(range(25))
