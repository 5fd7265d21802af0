"""Records with ids of their own in two deliveries: a program died after the first, and its next session sent some of
them again in the second. Each is in the tables once, and both deliveries count it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from feedline.batch.error_record import REDRIVEN_INDEX
from feedline.kafka.registry import registry_client, writer_schema
from feedline.replay.compare import State, compare, seen_of
from feedline.warehouse.connection import Session
from feedline.warehouse.load import Step
from feedline.warehouse.names import current_view
from feedline.warehouse.reload import drop_delivery, rebuild_delivery, replace_batches
from feedline.warehouse.stages import last_load
from feedline.warehouse.status import delivery_status
from feedline.warehouse.validate import check_delivery

CORRECTED = 100
EVERY = [*range(15), CORRECTED]


class Program:
    """Two sessions' deliveries of one feed: holdings 0 to 9, then 5 to 14 and one that was refused and is corrected."""

    def __init__(self, bench, make_holding) -> None:
        self.bench, self.session, self.make_holding = bench, Session(bench.connection), make_holding
        self.first = self.send(range(10))
        bench.load()
        second = self.send(range(5, 15))
        self.second = replace(second, source_records=11, error_records=1)
        self.send([CORRECTED], second.delivery_id, batch_index=REDRIVEN_INDEX)
        assert bench.load().duplicate_batches == 5

    def send(self, numbers, delivery_id=None, **headers):
        def own(index, made, value):
            return replace(made, correlation_id=self.own_id(numbers[index]), **headers), value

        records = [self.make_holding(number) for number in numbers]
        return self.bench.publish(records, delivery_id=delivery_id, per_batch=1, change=own)

    def own_id(self, number):
        return f"{self.bench.feed.name[-6:]}-{number}"

    def batches(self, manifest):
        return [b for b in self.bench.read() if b.headers.delivery_id == manifest.delivery_id]

    def _reload(self, how, *arguments, **options):
        registry = registry_client(self.bench.settings.registry)
        options |= {"writer_schema": lambda number: writer_schema(registry, number), "on_bad_batch": pytest.fail}
        return how(self.bench.connection, self.bench.feed, *arguments, **options)

    def rebuild(self, manifest, **options):
        return self._reload(rebuild_delivery, manifest, self.batches(manifest), **options)

    def repair(self, manifest):
        states = self.states(manifest)
        wrong = [b for b in self.batches(manifest) if states[b.headers.correlation_id] is not State.WHOLE]
        return self._reload(replace_batches, wrong)

    def states(self, manifest):
        return compare(self.session, self.bench.feed, seen_of(self.batches(manifest))).states

    def passed(self, *manifests):
        return [self.bench.validate(manifest).passed for manifest in manifests]

    def shown(self):
        view = f"FEEDLINE.IHUB.{current_view(self.bench.feed.table)}"
        return [row[0] for row in self.bench.query(f'SELECT "ORDER" FROM {view} ORDER BY 1')]


@pytest.fixture
def program(holdings, make_holding) -> Program:
    program = Program(holdings, make_holding)
    assert holdings.orders() == EVERY
    return program


def test_both_deliveries_are_whole_however_often_either_is_rebuilt(program):
    first, second, bench = program.first, program.second, program.bench
    assert last_load(program.session, second) is not None
    assert program.passed(first, second, first) == [True, True, True]
    assert program.shown() == EVERY
    [status] = delivery_status(bench.connection, [bench.feed], second.business_date)
    assert (status.delivery_id, status.loaded, status.complete) == (second.delivery_id, 11, True)

    def die(step):
        if step is Step.COMMITTING:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        program.rebuild(second, on_step=die)
    assert bench.orders() == EVERY
    rebuilt = program.rebuild(second)
    assert (rebuilt.deleted_rows, rebuilt.records, rebuilt.elsewhere) == (6, 6, 5)
    for one in (first, second):
        program.rebuild(one)
        assert bench.orders() == EVERY
        assert set(program.states(one).values()) == {State.WHOLE}
    assert program.passed(first, second) == [True, True]
    assert program.shown() == EVERY

    for one in (first, second):
        program.rebuild(one, schema="IHUB_BESIDE")
    beside = bench.query(f'SELECT "ORDER" FROM FEEDLINE.IHUB_BESIDE.{bench.feed.table} ORDER BY 1')
    assert [row[0] for row in beside] == EVERY

    # Loaded twice, as it was before.
    bench.query('INSERT INTO {table} SELECT * FROM {table} WHERE "ORDER" = 7')
    bench.query(f"UPDATE {{control}}.LOAD_LEDGER SET STATUS = 'LOADED' WHERE CORRELATION_ID = '{program.own_id(7)}'")
    assert program.passed(first, second) == [False, False]
    assert program.states(second)[program.own_id(7)] is State.DOUBLED
    program.repair(second)
    assert bench.orders() == EVERY
    assert program.passed(first, second) == [True, True]

    # A record of which the second delivery's books have lost that it is there.
    gone = program.own_id(6)
    bench.query(f"DELETE FROM {{control}}.LOAD_LEDGER WHERE CORRELATION_ID = '{gone}' AND STATUS = 'DUPLICATE'")
    assert program.states(second)[gone] is State.MISSING
    program.repair(second)
    assert bench.orders() == EVERY
    assert program.passed(first, second) == [True, True]

    # What the first delivery has lost, the second one has not either, until one of them is loaded anew.
    bench.query('DELETE FROM {table} WHERE "ORDER" IN (2, 7)')
    assert not check_delivery(bench.connection, bench.feed, second).passed
    assert program.rebuild(second).elsewhere == 3
    assert program.passed(first, second) == [False, True]
    bench.query(f"DELETE FROM {{control}}.LOAD_LEDGER WHERE FEED = '{bench.feed.name}' AND STATUS = 'LOADED'")
    assert program.passed(first, second) == [False, False]
    bench.query("DELETE FROM {table} WHERE _DELIVERY_ID = " + f"'{first.delivery_id}'")
    program.repair(second)
    program.repair(first)
    assert bench.orders() == EVERY
    assert program.passed(second, first) == [True, True]


def test_rows_of_a_delivery_that_was_never_finished_become_those_of_the_one_that_was(program):
    first, second, bench = program.first, program.second, program.bench
    assert program.passed(second) == [True]
    assert program.shown() == EVERY[5:]
    drop_delivery(bench.connection, bench.feed, first.delivery_id)
    assert bench.orders() == EVERY[5:]
    assert set(program.states(second).values()) == {State.WHOLE}
    assert program.passed(second) == [True]


def test_rows_that_are_taken_out_before_the_other_delivery_is_looked_at_stay_its_own(program):
    first, second, bench = program.first, program.second, program.bench
    assert drop_delivery(bench.connection, bench.feed, first.delivery_id).deleted_rows == 5
    assert bench.orders() == EVERY[5:]
    assert bench.query("SELECT DISTINCT _DELIVERY_ID FROM {table}") == [(second.delivery_id,)]
    assert program.passed(second) == [True]
