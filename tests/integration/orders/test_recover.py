"""Recovery from a point in time: what the engine has lost is sent again, in sequence, marked, once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from feedline.orders.engine.book import Verdict
from feedline.orders.model import EventKind, OrdStatus
from order_flow.fix_client import FixClient
from order_flow.flow import RUN, Flow, event, lives


@pytest.fixture
def running(the_flow):
    the_flow.start_engine("--answer", "ack")
    the_flow.start_gateway()
    return the_flow


def recover(running: Flow, since: datetime, *more: str) -> dict[str, int]:
    command = [
        *("orders", "recover", "--from", since.isoformat(), "--engine", f"127.0.0.1:{running.ports['fix']}"),
        *("--folder", str(running.home / "recovery"), "--prefix", running.topics.prefix),
        *("--group", running.group),
        *("--settings", str(running.settings_file), "--format", "json", *more),
    ]
    done = subprocess.run([sys.executable, "-c", RUN, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name: count for name, count in json.loads(done.stdout)["counts"].items() if count}


def test_what_the_engine_lost_is_sent_again_once_while_live_flow_goes_on(running: Flow):
    running.produce(lives(20))
    running.await_settled()
    time.sleep(1.1)
    lost_since = datetime.now(UTC)
    lost = lives(30, seed=2)
    running.produce(lost)
    running.await_settled()
    count = running.control("/forget", {"since": lost_since.isoformat()})["forgotten"]
    assert count == len(lost)
    running.produce([event("live", 1, EventKind.NEW)])
    running.wait_for(lambda: "live-1" in running.answered(), "live flow goes on")

    assert recover(running, lost_since, "--dry-run") == {"WOULD_SEND": count, "KNOWN": 1}
    assert not any(one.session == "RECOVERY" for one in running.book())
    one_order = lost[0].order_id
    of_one = sum(one.order_id == one_order for one in lost)
    assert recover(running, lost_since, "--order", one_order) == {"TAKEN": of_one}
    assert recover(running, lost_since) == {"TAKEN": count - of_one, "KNOWN": 1 + of_one}
    assert recover(running, lost_since) == {"KNOWN": count + 1}

    assert running.check().clean, str(running.check())
    again = [one for one in running.book() if one.session == "RECOVERY"]
    assert len(again) == count
    assert all(one.poss_resend and one.verdict == Verdict.BOOKED for one in again)
    running.produce([event("live", 2, EventKind.CANCEL)])
    assert running.await_settled().clean

    # What the engine says later of an order that was brought back comes to the session that brought it.
    cancelled = {one.order_id for one in lost if one.kind is EventKind.CANCEL}
    resting, other = [one for one in dict.fromkeys(one.order_id for one in lost) if one not in cancelled][:2]
    filled = running.control("/fill", {"order": resting})["reports"]
    assert recover(running, lost_since) == {"KNOWN": count + 2}
    assert set(filled) <= {one.exec_id for one in running.reports()}
    with ThreadPoolExecutor() as pool:
        stays = pool.submit(recover, running, lost_since, "--order", other, "--stay", "600")
        filled = running.control("/fill", {"order": other, "quantity": "1"})["reports"]
        running.wait_for(
            lambda: set(filled) <= {one.exec_id for one in running.reports()}, "a fill is taken as it comes"
        )
        running.control("/fill", {"order": other})
        assert stays.result(120)["KNOWN"], "when all are over it ends"

    # What the gateway has not sent yet is not lost, and it sends it without a mark.
    assert running.end("GATEWAY-1") == 0
    later = [event("later", 1, EventKind.NEW), event("later", 2, EventKind.AMEND)]
    running.produce(later)
    sent = len(running.book())
    assert recover(running, lost_since)["NOT_DUE"] == len(later)
    assert len(running.book()) == sent
    running.again("GATEWAY-1")
    assert running.await_settled().clean


def test_what_the_engine_says_last_is_taken_now_or_by_the_same_command_again(running: Flow):
    """It fills at once: the last fill comes behind the answer that ends the recovery."""
    since = datetime.now(UTC)
    running.produce([event(f"o-{number}", 1, EventKind.NEW) for number in range(20)])
    running.await_settled()
    running.control("/forget", {"since": since.isoformat()})
    running.control("/behaviour", {"answer": "fill"})
    assert recover(running, since) == {"TAKEN": 20}
    assert recover(running, since) == {"KNOWN": 20}
    reports = running.reports()
    filled = {one.order_id for one in reports if one.ord_status is OrdStatus.FILLED}
    assert filled == {f"o-{number}" for number in range(20)}


def test_what_was_entered_before_the_loss_and_booked_after_it_is_brought_back(running: Flow):
    """The engine was away meanwhile. Of the order with two events the state tells the place of the second only."""
    running.produce([event("before", 1, EventKind.NEW)])
    running.await_settled()
    running.control("/away", {})
    waited = [event("o", 1, EventKind.NEW), event("o", 2, EventKind.AMEND), event("other", 1, EventKind.NEW)]
    running.produce(waited)
    time.sleep(1.1)
    lost_since = datetime.now(UTC)
    running.control("/back", {})
    running.await_settled()
    assert running.control("/forget", {"since": lost_since.isoformat()})["forgotten"] == len(waited)
    assert recover(running, lost_since) == {"TAKEN": len(waited)}
    assert recover(running, lost_since, "--order", "other") == {"KNOWN": 1}
    assert running.check().clean, str(running.check())


@pytest.mark.long
def test_reports_that_were_lost_with_a_session_s_numbers_are_asked_for_again(running: Flow):
    since = datetime.now(UTC)
    orders = [event(f"rest-{number}", 1, EventKind.NEW) for number in range(6)]
    running.produce(orders)
    running.await_settled()
    assert running.end("GATEWAY-1") == 0
    running.start_gateway("GATEWAY-2")
    running.produce([event("theirs", 1, EventKind.NEW)])
    running.await_settled()

    def fill(quantity: str) -> set[str]:
        asked = [{"order": one.order_id, "quantity": quantity} for one in orders]
        return {name for one in asked for name in running.control("/fill", one)["reports"]}

    def reported() -> set[str]:
        return {one.exec_id for one in running.reports()}

    filled = fill("1")
    with FixClient(running.ports["fix"]) as somebody:
        # As the first gateway, whose store is lost, and whose partitions are the second one's.
        somebody.logon((141, "Y"))
    assert not filled & reported()
    assert recover(running, since, "--reports", "--dry-run") == {"WOULD_ASK": 6, "KNOWN": 1}
    assert recover(running, since, "--reports") == {"REPORTED": 6, "KNOWN": 1}
    assert filled <= reported()
    assert recover(running, since, "--reports") == {"KNOWN": 7}
    # What comes now waits for the recovery's session, which begins anew where its store is not kept.
    filled = fill("2")
    shutil.rmtree(running.home / "recovery")
    assert recover(running, since, "--reports") == {"REPORTED": 6, "KNOWN": 1}
    assert filled <= reported()
    assert running.check().clean, str(running.check())
