"""Orders into the warehouse: every accepted event once, every execution once, everything else with its reason."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from tests.integration.orders.load_bench import BUSINESS_DATE, event, report
from tests.integration.orders.order_world import messages_of

from feedline.errors import LostRaceError
from feedline.kafka.registry import registry_client
from feedline.orders.model import EventKind, ExecType, OrdStatus
from feedline.orders.reconcile.books import reconcile
from feedline.orders.warehouse import run
from feedline.orders.warehouse.load import OrderLoadPolicy
from feedline.orders.warehouse.tables import provision_order_tables
from feedline.orders.warehouse.views import VIEWS
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.ledger import read_checkpoints

CANCEL, AMEND = EventKind.CANCEL, EventKind.AMEND


def test_events_and_executions_become_rows_once_and_the_ledger_adds_up_to_the_topic(bench):
    orders = [bench.order_id() for _ in range(20)]
    bench.publish(*(event(one) for one in orders), *(event(one, 2, AMEND, "50") for one in orders[:5]))
    bench.publish(*(report(one, 1) for one in orders))
    events, executions = bench.load()
    assert (events.loaded, events.refused, executions.loaded) == (25, 0, 20)
    assert bench.events() == sorted([(one, 1) for one in orders] + [(one, 2) for one in orders[:5]])
    [(messages, loaded, left)] = bench.query(
        f"SELECT SUM(MESSAGES), SUM(LOADED), SUM(NOT_LOADED) FROM {{orders}}.ORDER_LEDGER "
        f"WHERE TOPIC = '{bench.topics.out}'"
    )
    assert (messages, loaded, left) == (25, 25, 0)
    again = bench.load()
    assert [(one.loaded, one.transactions) for one in again] == [(0, 0), (0, 0)]
    assert provision_order_tables(bench.connection) == []


def test_a_view_of_orders_that_was_declared_otherwise_is_made_anew_once(bench):
    older = VIEWS["ORDERS"].replace("WHERE SEQUENCE = 1", "WHERE SEQUENCE = 2")
    older = re.sub(r"'[0-9a-f]{16}'", "'00112233445566ff'", older)
    with bench.connection.cursor() as cursor:
        cursor.execute(older)
    order = bench.order_id()
    bench.publish(event(order))
    bench.load()
    count = f"SELECT COUNT(*) FROM {{orders}}.ORDERS WHERE ORDER_ID = '{order}'"
    assert bench.query(count) == [(0,)]
    assert VIEWS["ORDERS"] in provision_order_tables(bench.connection)
    assert bench.query(count) == [(1,)]
    assert provision_order_tables(bench.connection) == []


def test_amounts_keep_every_digit_and_rows_say_where_they_came_from(bench):
    order = bench.order_id()
    bench.publish(event(order, quantity="99999999999999.9999"))
    bench.publish(report(order, 1, ExecType.TRADE, OrdStatus.FILLED, last="0.0001", cum="0.0001", leaves="0"))
    bench.load()
    [row] = bench.query(
        "SELECT ORDER__QUANTITY, ORDER__LIMIT_PRICE, _BUSINESS_DATE, _TOPIC, _CORRELATION_ID = EVENT_ID, _OFFSET "
        "FROM {orders}.ORDER_EVENTS WHERE {mine}"
    )
    assert row[:2] == (Decimal("99999999999999.9999"), Decimal("189.250001"))
    assert (row[2].isoformat(), row[3], row[4], row[5]) == (BUSINESS_DATE, bench.topics.out, True, 0)
    [(filled, amount)] = bench.query(
        f"SELECT FILLED_QUANTITY, FILLED_AMOUNT FROM {{orders}}.ORDERS_CURRENT WHERE ORDER_ID = '{order}'"
    )
    assert (filled, amount) == (Decimal("0.0001"), Decimal("0.0189250001"))


@pytest.mark.parametrize("chunk", [4_000, 1])
def test_what_lies_on_a_topic_twice_is_one_row(bench, chunk):
    order = bench.order_id()
    bench.publish(event(order), event(order), event(order, 2, CANCEL))
    bench.publish(report(order, 1), report(order, 1, fix_seq_num=9))
    bench.load(policy=OrderLoadPolicy(chunk_messages=chunk))
    bench.publish(event(order, 2, CANCEL), report(order, 1))
    events, executions = bench.load(policy=OrderLoadPolicy(chunk_messages=chunk))
    assert (events.repeats, executions.repeats) == (1, 1)
    assert bench.events() == [(order, 1), (order, 2)]
    assert bench.query("SELECT COUNT(*) FROM {orders}.EXECUTIONS WHERE {mine}") == [(1,)]
    verdicts = bench.query("SELECT VERDICT, COUNT(*) FROM {orders}.ORDER_NOT_LOADED WHERE {mine} GROUP BY 1")
    assert verdicts == [("REPEAT", 4)]
    assert messages_of(bench.settings.kafka, bench.topics.error) == []


def test_what_does_not_fit_goes_to_the_error_topic_with_its_reason_and_its_partition_goes_on(bench):
    order, other, alone = bench.order_id(), bench.order_id(), bench.order_id()
    bench.publish(
        event(order),
        (order.encode(), b"no order", [("source", b"HTTP")]),
        event(order, 1, quantity="7"),
        event(order, 2, CANCEL),
        event(order, 3, AMEND),
        event(alone, 2, CANCEL),
        replace(event(bench.order_id()), transact_time=datetime(1, 1, 1, tzinfo=UTC)),
        event(other),
        partition=2,
    )
    taken = report(order, 1, cum="5")
    bench.publish(report(order, 1), taken)
    events, executions = bench.load()
    assert bench.events() == sorted([(order, 1), (order, 2), (order, 3), (other, 1)])
    assert (events.refused, executions.refused) == (4, 1)
    refused = {
        (dict(m.headers())["originalTopic"].decode(), int(dict(m.headers())["originalOffset"])): dict(m.headers())
        for m in messages_of(bench.settings.kafka, bench.topics.error)
    }
    codes = {place: (h["errorCode"].decode(), h["reason"].decode()) for place, h in refused.items()}
    out = bench.topics.out
    assert codes[out, 1] == ("CORRUPT", "the message starts with byte 110, not the wire format's 0")
    assert codes[out, 2][0] == "REFUSED"
    # Not refused: it may be sent when the one before comes.
    assert (out, 5) not in codes
    assert codes[out, 6] == ("CORRUPT", "transactTime: must be a time from 2000 to 2099")
    assert codes[bench.topics.executions, 1] == ("REFUSED", "its execution id is that of another report")
    assert len(codes) == 4
    left = bench.query("SELECT VERDICT, COUNT(*) FROM {orders}.ORDER_NOT_LOADED WHERE {mine} GROUP BY 1 ORDER BY 1")
    assert left == [("CORRUPT", 2), ("PARKED", 1), ("REFUSED", 2)]


@pytest.mark.parametrize("chunk", [4_000, 1])
def test_an_event_before_the_one_it_follows_is_taken_up_when_that_one_has_come(bench, chunk):
    order, other, policy = bench.order_id(), bench.order_id(), OrderLoadPolicy(chunk_messages=chunk)
    early = [event(order, 3, CANCEL), event(order, 2, AMEND, "150"), event(order, 2, AMEND, "170")]
    bench.publish(*early, event(other, 2, AMEND), partition=1)
    assert bench.load(policy=policy)[0].loaded == 0
    bench.publish(event(order), event(order, 4, AMEND), partition=1)
    bench.publish(event(other), partition=3)
    assert bench.load(policy=policy)[0].loaded == 5
    assert bench.events() == sorted([*((order, number) for number in (1, 2, 3, 4)), (other, 1)])
    kept = bench.query("SELECT ORDER__QUANTITY FROM {orders}.ORDER_EVENTS WHERE {mine} AND SEQUENCE = 2")
    assert kept == [(Decimal(150),)]
    left = bench.query("SELECT ORDER_ID, VERDICT, _OFFSET FROM {orders}.ORDER_NOT_LOADED WHERE {mine} ORDER BY 3")
    assert left == [(order, "REFUSED", 2), (other, "PARKED", 3)]
    told = [dict(one.headers()) for one in messages_of(bench.settings.kafka, bench.topics.error)]
    assert [(one["errorCode"], one["originalOffset"]) for one in told] == [(b"REFUSED", b"2")]
    [counted] = bench.query(
        f"SELECT SUM(MESSAGES), SUM(LOADED), SUM(NOT_LOADED) FROM {{orders}}.ORDER_LEDGER "
        f"WHERE TOPIC = '{bench.topics.out}'"
    )
    assert counted == (7, 5, 2)
    day = date.fromisoformat(BUSINESS_DATE)
    lines = {one.what: one for one in reconcile(bench.settings, bench.connection, day, topics=bench.topics).lines}
    assert lines[f"messages of {bench.topics.out}"].balances
    assert lines["events that wait for one before, not refused"].orders == (other,)


def test_an_event_whose_headers_are_not_its_own_is_refused(bench):
    order, other = bench.order_id(), bench.order_id()
    bench.publish(event(order))
    _, _, value, headers = bench._message(registry_client(bench.settings.registry), event(other))
    bench.publish((order.encode(), value, headers))
    events, _ = bench.load()
    assert (bench.events(), events.refused) == ([(order, 1)], 1)


def test_the_current_state_follows_from_events_and_executions(bench):
    filled, amended, cancelled, late, silent, resting = (bench.order_id() for _ in range(6))
    bench.publish(
        *(event(one) for one in (filled, amended, cancelled, late, silent, resting)),
        event(amended, 2, AMEND, "60"),
        event(amended, 3, AMEND, "10"),
        event(cancelled, 2, CANCEL),
        event(late, 2, CANCEL),
        # The gateway refuses it: the order was filled before.
        event(filled, 2, AMEND, "300"),
    )
    trade, part, full = ExecType.TRADE, OrdStatus.PARTIALLY_FILLED, OrdStatus.FILLED
    bench.publish(
        report(filled, 1),
        report(filled, 3, trade, full, last="60", cum="100", leaves="0"),
        report(filled, 2, trade, part, last="40", cum="40", leaves="60"),
        report(amended, 1, trade, part, last="40", cum="40", leaves="60"),
        report(amended, 1, ExecType.REPLACED, part, sequence=2, cum="40", leaves="20"),
        report(amended, 1, ExecType.CANCEL_REJECTED, part, sequence=3, leaves="0"),
        report(cancelled, 1, ExecType.CANCELED, OrdStatus.CANCELED, sequence=2, leaves="0"),
        report(late, 1, trade, full, last="100", cum="100", leaves="0"),
        report(late, 1, ExecType.CANCEL_REJECTED, full, sequence=2, leaves="0"),
        # It goes on the next day.
        report(resting, 1, ExecType.DONE_FOR_DAY, OrdStatus.DONE_FOR_DAY),
        report(resting, 2, trade, part, last="40", cum="40", leaves="60"),
    )
    bench.load()
    rows = bench.query(
        "SELECT ORDER_ID, STATUS, QUANTITY, FILLED_QUANTITY, LAST_SEQUENCE, REPORTS FROM {orders}.ORDERS_CURRENT "
        "WHERE {mine}"
    )
    assert {row[0]: (row[1], int(row[2]), int(row[3]), row[4], row[5]) for row in rows} == {
        filled: ("FILLED", 100, 100, 2, 3),
        amended: ("PARTIALLY_FILLED", 60, 40, 3, 3),
        cancelled: ("CANCELED", 100, 0, 2, 1),
        late: ("FILLED", 100, 100, 2, 2),
        silent: ("ENTERED", 100, 0, 1, 0),
        resting: ("PARTIALLY_FILLED", 100, 40, 1, 2),
    }


def test_of_two_loads_at_once_every_event_is_one_row_and_both_end_well(bench):
    orders = [bench.order_id() for _ in range(300)]
    bench.publish(*(event(one) for one in orders))
    loaded: list[int] = []

    def load() -> None:
        with open_warehouse(bench.settings.warehouse) as connection:
            events, _ = bench.load(connection=connection, policy=OrderLoadPolicy(40, fence_budget_s=120))
        loaded.append(events.loaded)

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert sum(loaded) == 300
    assert len(loaded) == 2
    assert bench.events() == sorted((one, 1) for one in orders)


def test_a_load_whose_checkpoint_was_moved_meanwhile_changes_nothing(bench, monkeypatch):
    order = bench.order_id()
    bench.publish(event(order))
    monkeypatch.setattr(run, "LOST_RACE_ATTEMPTS", 1)
    reading = run.read_messages

    def overtaken(*arguments, **options):
        monkeypatch.setattr(run, "read_messages", reading)
        with open_warehouse(bench.settings.warehouse) as connection:
            bench.load(connection=connection)
        yield from reading(*arguments, **options)

    monkeypatch.setattr(run, "read_messages", overtaken)
    with pytest.raises(LostRaceError, match="moved the checkpoint"):
        bench.load()
    assert bench.events() == [(order, 1)]


def test_checkpoints_are_kept_for_each_table(bench):
    order = bench.order_id()
    bench.publish(event(order), report(order, 1), partition=3)
    bench.load()
    assert read_checkpoints(bench.connection, "orders.events", bench.topics.out)[3] == 1
    assert read_checkpoints(bench.connection, "orders.executions", bench.topics.executions)[3] == 1
