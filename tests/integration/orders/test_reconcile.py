"""The end-of-day books: they balance when nothing is wrong, and name the orders when something is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer
from tests.integration.orders.load_bench import BUSINESS_DATE, event, report

from feedline.cli.orders import orders
from feedline.errors import ValidationFailedError
from feedline.kafka.config import producer_config
from feedline.orders.model import EventKind, ExecType, OrdStatus
from feedline.orders.reconcile.books import reconcile
from feedline.orders.warehouse.rows import EXCHANGE_ZONE

DAY = date.fromisoformat(BUSINESS_DATE)
TRADE, FULL, PART = ExecType.TRADE, OrdStatus.FILLED, OrdStatus.PARTIALLY_FILLED


@pytest.fixture
def day(bench):
    """A filled, a cancelled and a partly filled order, with all their reports."""
    filled, cancelled, partly = orders = [bench.order_id() for _ in range(3)]
    bench.publish(*(event(one) for one in orders), event(cancelled, 2, EventKind.CANCEL))
    bench.publish(
        report(filled, 1),
        report(filled, 2, TRADE, PART, last="40", cum="40", leaves="60"),
        report(filled, 3, TRADE, FULL, last="60", cum="100", leaves="0"),
        report(cancelled, 1),
        report(cancelled, 1, ExecType.CANCELED, OrdStatus.CANCELED, sequence=2, leaves="0"),
        report(partly, 1, TRADE, PART, last="40", cum="40", leaves="60"),
    )
    return bench, orders


def books(bench, day=DAY, **options):
    bench.load()
    return reconcile(bench.settings, bench.connection, day, topics=bench.topics, **options)


def wrong(found):
    return {(one.book, one.what): set(one.orders) for one in found.lines if not one.balances}


def test_books_of_a_day_on_which_nothing_went_wrong_balance(day):
    bench, _ = day
    found = books(bench)
    assert wrong(found) == {}
    [sending] = [one for one in found.lines if one.what == "events accepted; answered or refused"]
    assert (sending.expected, sending.found) == (4, 4)
    [fills] = [one for one in found.lines if one.what == "filled quantity, and sum of fills"]
    assert fills.expected == fills.found == 140
    found.raise_unless_balanced()


def test_an_event_without_an_answer_is_named_until_it_is_refused_with_a_reason(day, tmp_path):
    bench, _ = day
    silent = bench.order_id()
    bench.publish(event(silent), partition=1)
    found = books(bench)
    assert wrong(found) == {("sending", "events accepted; answered or refused"): {silent}}
    with pytest.raises(ValidationFailedError, match=silent):
        found.raise_unless_balanced()
    [(offset,)] = bench.query(f"SELECT _OFFSET FROM {{orders}}.ORDER_EVENTS WHERE ORDER_ID = '{silent}'")
    producer = Producer(producer_config(bench.settings.kafka))
    place = [("originalTopic", bench.topics.out), ("originalPartition", "1"), ("originalOffset", str(offset))]
    told = [("errorCode", "OrderRefused"), ("reason", "the order is CANCELLED"), ("sequence", "1")]
    producer.produce(bench.topics.error, b"", silent, headers=[*place, *told])
    assert producer.flush(60) == 0
    producer.close()
    assert wrong(books(bench)) == {}
    options = ["--settings", settings_of(bench, tmp_path), "--prefix", bench.topics.prefix]
    shown = CliRunner().invoke(orders, ["show", silent, *options])
    assert shown.exit_code == 0, shown.output
    assert "the order is CANCELLED" in shown.stdout
    document = json.loads(CliRunner().invoke(orders, ["show", silent, *options, "--format", "json"]).stdout)
    assert [(one["code"], one["sequence"], one["offset"]) for one in document["refusals"]] == [
        ("OrderRefused", "1", offset)
    ]


def test_what_no_day_s_books_have_seen_is_named_until_it_is_settled_and_not_for_ever(day):
    """Events of yesterday's evening and of a date to come, and a report that the gateway could not read."""
    bench, (_, _, partly) = day
    today = datetime.now(EXCHANGE_ZONE).date()
    late, ahead = bench.order_id(), bench.order_id()
    for order_id, days in ((late, -1), (ahead, 40)):
        bench.publish(replace(event(order_id), transact_time=datetime.now(UTC) + timedelta(days=days)))
    raw = f"35=8\x0111={partly}-1\x0117={partly}-1/2\x016=189.2500001".encode()
    producer = Producer(producer_config(bench.settings.kafka))
    producer.produce(bench.topics.error, raw, partly, headers=[("errorCode", "ReportRefused"), ("reason", "AvgPx")])
    assert producer.flush(60) == 0
    producer.close()
    unseen = {
        ("sending", "events of other dates, not answered nor refused"): {late, ahead},
        ("executions", "reports that could not be read"): {partly},
    }
    assert wrong(books(bench, today)) == unseen
    assert wrong(books(bench, today + timedelta(days=7))) == {}
    bench.publish(report(late, 1), report(ahead, 1), report(partly, 2))
    assert wrong(books(bench, today)) == {}


def settings_of(bench, folder):
    document = {name: dict(getattr(bench.settings, name)) for name in ("kafka", "registry", "warehouse")}
    file = folder / "settings.json"
    file.write_text(json.dumps({**document, "landing": str(folder)}))
    return str(file)


def test_the_command_loads_first_names_the_orders_and_ends_with_4_until_the_books_balance(day, tmp_path):
    bench, _ = day
    silent = bench.order_id()
    bench.publish(event(silent))
    options = ["--settings", settings_of(bench, tmp_path), "--prefix", bench.topics.prefix, "--format", "json"]
    first = CliRunner().invoke(orders, ["reconcile", "--business-date", BUSINESS_DATE, *options])
    assert first.exit_code == 4, first.output
    [line] = [one for one in json.loads(first.stdout)["lines"] if not one["balances"]]
    assert (line["expected"], line["found"], line["orders"]) == (5, 4, [silent])
    bench.publish(report(silent, 1))
    then = CliRunner().invoke(orders, ["reconcile", "--business-date", BUSINESS_DATE, *options])
    assert then.exit_code == 0, then.output


def test_a_lost_fill_a_fill_too_many_and_a_report_of_nobody_are_named(day):
    bench, (_, _, partly) = day
    lost, over, unknown = bench.order_id(), bench.order_id(), bench.order_id()
    bench.publish(event(lost), event(over))
    bench.publish(
        report(lost, 2, TRADE, FULL, last="60", cum="100", leaves="0"),
        report(over, 1, TRADE, PART, last="100", cum="100", leaves="10"),
        report(over, 2, TRADE, FULL, last="1", cum="101", leaves="0"),
        report(unknown, 1),
        report(partly, 9, ExecType.EXPIRED, OrdStatus.EXPIRED, cum="40", leaves="60"),
    )
    assert wrong(books(bench)) == {
        ("executions", "filled quantity, and sum of fills"): {lost},
        ("executions", "orders filled beyond their quantity"): {over},
        ("states", "orders whose state fits their quantities"): {lost, over, partly},
        ("sending", "executions of no accepted event"): {unknown},
    }


def test_the_engine_s_own_book_is_held_against_ours(day, tmp_path):
    bench, (filled, cancelled, partly) = day

    def arrival(order, sequence=1, verdict="BOOKED"):
        return {"arrival": {"order_id": order, "sequence": sequence, "verdict": verdict}}

    def given(order, number, status, quantity, sequence=1):
        exec_id = f"{order}-{sequence}/{number}"
        return {
            "exec_id": exec_id,
            "order_id": order,
            "status": status,
            "filled": quantity,
            "body": "35=8\x01",
        }

    def write(*lines):
        (tmp_path / "book.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines) + '{"torn')

    good = [
        {**arrival(filled), "reports": [given(filled, n, "2", "100") for n in (1, 2, 3)]},
        {**arrival(cancelled), "reports": [given(cancelled, 1, "0", "0")]},
        {**arrival(cancelled, 2), "reports": [given(cancelled, 1, "4", "0", 2)]},
        {**arrival(partly), "reports": [given(partly, 1, "1", "40.0000")]},
    ]
    write(*good, arrival(partly, verdict="COPY"))
    assert wrong(books(bench, engine_folder=tmp_path)) == {}
    write(
        *good[:2],
        {**arrival(partly), "reports": [given(partly, 1, "1", "40"), given(partly, 2, "2", "100")]},
        arrival(filled, verdict="UNMARKED_COPY"),
        arrival(cancelled, 3, "OUT_OF_SEQUENCE"),
    )
    assert wrong(books(bench, engine_folder=tmp_path)) == {
        ("the engine", "events sent, and booked"): {cancelled},
        ("the engine", "sent again without a mark"): {filled},
        ("the engine", "out of sequence"): {cancelled},
        ("the engine", "reports given, and executions"): {partly},
        ("the engine", "state and filled quantity of orders"): {partly, cancelled},
    }
