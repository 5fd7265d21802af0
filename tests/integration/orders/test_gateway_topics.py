"""A gateway whose topic has lost events, or whose group has lost its offsets, goes on: what is gone it tells, what it
may have sent it marks."""

from __future__ import annotations

import re

import pytest
from confluent_kafka import Producer, TopicPartition

from feedline.kafka.admin import admin_client
from feedline.kafka.config import producer_config
from feedline.orders.engine.book import Verdict
from feedline.orders.model import EventKind
from order_flow.flow import Flow, event, lives

NEW, AMEND, CANCEL = EventKind.NEW, EventKind.AMEND, EventKind.CANCEL


@pytest.fixture
def running(the_flow):
    the_flow.start_engine("--answer", "ack")
    the_flow.start_gateway()
    return the_flow


def test_lost_reports_of_an_event_that_has_left_the_topic_are_told_and_the_rest_is_asked_for_again(running: Flow):
    resting = [event(f"rest-{number}", 1, NEW) for number in range(12)]
    running.produce(resting)
    running.await_settled()
    assert running.end("GATEWAY-1") == 0
    lay_at = {one.order_id: (one.partition, one.offset) for one in running.book()}
    filled = {one.order_id: running.control("/fill", {"order": one.order_id})["reports"] for one in resting}
    partition = min(lay_at.values())[0]
    gone = {order for order, place in lay_at.items() if place[0] == partition}
    end = TopicPartition(
        running.topics.out, partition, 1 + max(offset for one, offset in lay_at.values() if one == partition)
    )
    admin = admin_client(running.settings.kafka)
    for future in admin.delete_records([end]).values():
        future.result(60)
    running.start_gateway("GATEWAY-1", "--reset-session")
    there = {name for order, names in filled.items() if order not in gone for name in names}
    assert there
    running.wait_for(lambda: there <= {one.exec_id for one in running.reports()}, "every other fill is reported")
    running.wait_for(
        lambda: running.metrics().get("unanswered_questions_total") == len(gone), "those that are gone are counted"
    )
    log = (running.home / "GATEWAY-1.log").read_text()
    for order in gone:
        assert re.search(
            rf"{order}-1 is not on the topic any more.*topic={re.escape(running.topics.out)}, "
            rf"partition={partition}, offset={lay_at[order][1]}",
            log,
        ), log
    running.produce([event(next(iter(gone)), 2, CANCEL), event("newer", 1, NEW)])
    assert running.await_settled().clean, str(running.check())


def test_a_new_group_over_a_topic_that_was_processed_sends_nothing_but_what_is_forgotten_and_marks_that(running: Flow):
    running.produce(lives(30))
    assert running.await_settled().clean, str(running.check())
    assert running.end("GATEWAY-1") == 0
    given, before = len(running.given), len(running.book())
    # As of one that ended before the last 50,000 of its partition.
    forgotten = next(one for one in running.book() if one.msg_type == "F")
    producer = Producer(producer_config(running.settings.kafka))
    producer.produce(running.topics.states, None, forgotten.order_id, partition=forgotten.partition)
    assert producer.flush(60) == 0

    running.group = f"{running.group}.new"
    running.start_gateway("GATEWAY-1")
    running.produce([event("newer", 1, NEW)])
    assert running.await_settled().clean, str(running.check())
    of_it = sum(one.order_id == forgotten.order_id for one in running.given)
    running.wait_for(lambda: running.metrics().get("repeats_total") == given - of_it, "all others are repeats")
    again = [one for one in running.book()[before:] if one.order_id != "newer"]
    assert [(one.order_id, one.sequence) for one in again] == [(forgotten.order_id, n + 1) for n in range(of_it)]
    assert all(one.verdict == Verdict.COPY and one.poss_resend for one in again)


def test_a_state_that_a_gateway_wrote_after_it_had_lost_the_partition_takes_nothing_back(running: Flow):
    running.produce([event("late", 1, NEW), event("late", 2, AMEND)])
    assert running.await_settled().clean, str(running.check())
    assert running.end("GATEWAY-1") == 0
    first = next(one for one in running.read(running.topics.states, running.partitions) if one.key() == b"late")
    producer = Producer(producer_config(running.settings.kafka))
    producer.produce(running.topics.states, first.value(), first.key(), partition=first.partition())
    assert producer.flush(60) == 0

    running.start_gateway("GATEWAY-1")
    running.produce([event("late", 3, CANCEL)])
    assert running.await_settled().clean, str(running.check())
