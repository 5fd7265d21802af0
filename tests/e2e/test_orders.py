"""The Dags of orders in a live Airflow, with the real services of orders: what they load, test, recover and balance."""

from __future__ import annotations

import itertools
import json
import urllib.request
from datetime import UTC, datetime
from functools import partial

import pytest

from feedline.local.order_services import BULK, ENGINE, ENTRY, GATEWAY, order_services_at, start_order_services
from feedline.orders.demo.flow import Pace, Tally, enter_over_http
from feedline.orders.demo.stages import await_drained, look
from feedline.orders.engine.book import Verdict, read_book
from feedline.orders.model import EntrySource
from feedline.orders.provision import provision_orders
from feedline.orders.testdata.lives import Lives, LivesPolicy
from feedline.orders.warehouse.rows import EXCHANGE_ZONE
from feedline.services.api_keys import add_key
from feedline.services.roles import Role
from feedline.warehouse.connection import open_warehouse

DAGS = ("orders_load", "orders_bulk_test", "orders_recover", "orders_reconcile")
EVENTS = 40


class Desk:
    """Who enters orders over HTTP, and what the services have done with them since the desk was opened."""

    def __init__(self, services, key):
        self.services, self.entered = services, 0
        self._key, self._lives = key, Lives(LivesPolicy(source=EntrySource.HTTP), 11).whole()
        self._before = self._look()

    def _look(self):
        return look(*map(self.services.url, (BULK, GATEWAY, ENGINE)))

    def enter(self, events=EVENTS):
        """So many events, or a few more: an order that was begun is finished."""
        tally = Tally()
        enter_over_http(self.services.url(ENTRY), self._key, self._lives, Pace(events, 1), tally)
        assert not tally.refused
        self.entered += tally.entered
        return tally.entered

    def await_answers(self):
        """Until the engine has booked all that was entered, and its reports are on their topic."""
        return await_drained(lambda: self._look().since(self._before), self.entered, within_s=240)

    def engine(self, action, **body):
        request = urllib.request.Request(
            f"{self.services.url(ENGINE)}/{action}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


@pytest.fixture
def airflow(stack):
    for dag in DAGS:
        stack.airflow.await_dag(dag)
    yield stack.airflow
    for dag in DAGS:
        # Their schedules' runs would wait beside other tests.
        stack.airflow.call("PATCH", f"/api/v2/dags/{dag}?update_mask=is_paused", {"is_paused": True})


@pytest.fixture
def desk(stack):
    provision_orders(stack.settings)
    keys = order_services_at(stack.home, {}).keys
    keys.parent.mkdir(parents=True, exist_ok=True)
    _, key = add_key(keys, "desk", Role.OPERATOR)
    desk = Desk(start_order_services(stack.home, print), key)
    # Orders stay open: one that is sent to an engine that lost it is filled no second time.
    desk.engine("behaviour", answer="ack")
    return desk


def rows(stack, table):
    with open_warehouse(stack.settings.warehouse) as connection, connection.cursor() as cursor:
        return cursor.execute(f"SELECT COUNT(*) FROM FEEDLINE.ORDERS.{table}").fetchone()[0]


def test_orders_are_tested_loaded_recovered_and_balanced_from_airflow(stack, airflow, desk):
    tested = airflow.run("orders_bulk_test", count=EVENTS, rate=EVENTS, wait_minutes=5)
    in_bulk = rows(stack, "ORDER_EVENTS")
    assert in_bulk >= EVENTS
    assert f"{in_bulk} loaded, {in_bulk} answered, 0 refused" in airflow.log("orders_bulk_test", tested, "check")

    desk.enter()
    desk.await_answers()
    airflow.run("orders_load")
    assert rows(stack, "ORDER_EVENTS") == in_bulk + desk.entered
    assert rows(stack, "EXECUTIONS") == in_bulk + desk.entered

    # The engine goes away, comes back, and is restored to what it was before.
    since = datetime.now(UTC)
    desk.engine("away")
    lost = desk.enter()
    desk.engine("back")
    desk.await_answers()
    assert desk.engine("forget", since=since.isoformat()) == {"forgotten": lost}
    recover = partial(
        airflow.run, "orders_recover", since=since.isoformat(), engine=f"127.0.0.1:{desk.services.ports['order_fix']}"
    )
    dry = recover(dry_run=True)
    assert f"{lost} would be sent again" in airflow.log("orders_recover", dry, "recover")
    assert not any(sent_by_recovery(desk))
    real = recover(dry_run=False)
    assert f"{lost} sent again and answered" in airflow.log("orders_recover", real, "recover")
    again = list(sent_by_recovery(desk))
    assert len(again) == lost
    assert all(one.poss_resend and one.verdict == Verdict.BOOKED for one in again)
    for _, of_order in itertools.groupby(sorted(again, key=lambda one: (one.order_id, one.seq_num)), key=order_of):
        numbers = [one.sequence for one in of_order]
        assert numbers == list(range(1, len(numbers) + 1))

    day = datetime.now(EXCHANGE_ZONE).date().isoformat()
    balanced = airflow.run("orders_reconcile", business_date=day, engine_book=str(desk.services.engine_folder))
    total = in_bulk + desk.entered
    told = airflow.log("orders_reconcile", balanced, "reconcile")
    assert f"the engine, events sent, and booked: expected {total}, found {total}" in told
    assert rows(stack, "ORDER_EVENTS") == total


def order_of(arrival):
    return arrival.order_id


def sent_by_recovery(desk):
    return (one for one in read_book(desk.services.engine_folder) if one.session == "RECOVERY")
