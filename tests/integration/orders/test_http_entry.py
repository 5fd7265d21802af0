"""An answered order lies on the topic, under the id, partition and offset that the answer names; the same request is
the same order on any instance, at any time."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from fastapi.testclient import TestClient
from tests.integration.orders.order_world import BODY, await_ready, body, events_of, messages_of
from tests.unit.orders.orders_made import event

from feedline.kafka.config import consumer_config, producer_config
from feedline.orders.entry.app import LIMITS, create_app
from feedline.orders.entry.policy import EntryPolicy
from feedline.orders.fix.states import Held
from feedline.orders.model import Accepted, EventKind, Status, apply, decode_event, event_headers, facts_of
from feedline.services.auth import AccessConfig, Authenticator
from feedline.services.limits import Limits


@pytest.fixture
def instance(stack, topics, order_keys):
    """Starts an instance of order entry; as many as are wanted at once."""

    @contextmanager
    def start(key=order_keys.desk, policy=None, limits=LIMITS):
        authenticator = Authenticator(AccessConfig(order_keys.file))
        app = create_app(stack.settings, authenticator, topics=topics, policy=policy, limits=limits)
        with TestClient(app, headers={"X-API-Key": key}) as client:
            await_ready(client)
            yield client

    return start


@pytest.fixture
def service(instance):
    with instance() as client:
        yield client


def counted(kafka, topic):
    """The events that count, as every reader of the topic decides."""
    states, accepted = {}, []
    for one in events_of(kafka, topic):
        verdict = apply(states.get(one.order_id), facts_of(one))
        if isinstance(verdict, Accepted):
            states[one.order_id] = verdict.state
            accepted.append(one)
    return accepted


def test_an_order_is_on_the_topic_as_the_answer_says(service, stack, topics):
    answer = service.post("/orders", content=body())
    assert answer.status_code == 201, answer.text
    told = answer.json()
    (message,) = messages_of(stack.settings.kafka, topics.out)
    assert (message.partition(), message.offset()) == (told["partition"], told["offset"])
    assert message.key().decode() == told["orderId"]
    headers = dict(message.headers())
    assert headers["correlationId"].decode() == told["eventId"]
    assert headers["traceparent"].startswith(b"00-")
    event = decode_event(message.value())
    assert (event.order_id, event.sequence, event.client) == (told["orderId"], told["sequence"], "key:desk")
    assert event.order.quantity == Decimal(100)
    found = service.get(answer.headers["Location"])
    assert found.json()["events"] == [{"sequence": 1, "partition": told["partition"], "offset": told["offset"]}]


def test_a_life_over_http_leaves_in_sequence(service, stack, topics):
    order_id = service.post("/orders", content=body()).json()["orderId"]
    amended = {**BODY, "sequence": 2, "order": {**BODY["order"], "quantity": "150"}}
    first = service.put(f"/orders/{order_id}", json=amended)
    again = service.put(f"/orders/{order_id}", json=amended)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    gap = service.post(f"/orders/{order_id}/cancel", json={**CANCEL, "sequence": 4})
    assert (gap.status_code, gap.json()["expectedSequence"]) == (409, 3)
    other = service.put(f"/orders/{order_id}", json={**amended, "order": {**BODY["order"], "quantity": "151"}})
    assert other.status_code == 409
    cancelled = service.delete(f"/orders/{order_id}", params={**CANCEL, "sequence": 3})
    again = service.post(f"/orders/{order_id}/cancel", json={**CANCEL, "sequence": 3})
    assert (cancelled.status_code, again.status_code) == (201, 200)
    assert cancelled.json() == again.json()
    unnamed = service.delete(f"/orders/{order_id}", params={"sequence": "three", **CANCEL})
    assert (unnamed.status_code, unnamed.json()["errors"][0]["place"]) == (422, ["sequence"])
    assert service.put("/orders/nobody-s", json=amended).status_code == 404
    kinds = [(one.sequence, one.kind) for one in events_of(stack.settings.kafka, topics.out)]
    assert kinds == [(1, EventKind.NEW), (2, EventKind.AMEND), (3, EventKind.CANCEL)]


CANCEL = {"accountId": BODY["accountId"], "product": BODY["product"]}


def answer_cancellation(kafka, topics, order_id, status, events=None):
    """As the gateway does when the engine has answered the order's last event; events: only so many are answered."""
    mine = [one for one in messages_of(kafka, topics.out) if one.key() == order_id.encode()]
    state = None
    for one in mine[:events]:
        state = apply(state, facts_of(decode_event(one.value()))).state
    producer = Producer(producer_config(kafka))
    value = Held(replace(state, status=status), "").encode()
    producer.produce(topics.states, value, order_id, partition=mine[0].partition())
    assert producer.flush(60) == 0


@pytest.mark.parametrize("status", [Status.OPEN, Status.CANCELLED])
def test_what_follows_a_cancellation_waits_until_the_engine_has_answered(service, stack, topics, status):
    order_id = service.post("/orders", content=body()).json()["orderId"]
    assert service.delete(f"/orders/{order_id}", params={**CANCEL, "sequence": 2}).status_code == 201
    amended = {**BODY, "sequence": 3}
    waits = service.put(f"/orders/{order_id}", json=amended)
    told = waits.json()
    assert (waits.status_code, told["pendingSequence"], told["outcome"]) == (409, 2, "not entered")
    assert waits.headers["Retry-After"]
    answer_cancellation(stack.settings.kafka, topics, order_id, status)
    answer = service.put(f"/orders/{order_id}", json=amended)
    if status is Status.OPEN:
        assert answer.status_code == 201, answer.text
    else:
        assert (answer.status_code, "CANCELLED" in answer.json()["detail"]) == (409, True)


def test_what_follows_a_cancellation_of_an_order_that_was_filled_before_is_refused_not_told_to_come_again(
    service, stack, topics
):
    """The gateway refuses such a cancellation, so no answer to it ever comes."""
    order_id = service.post("/orders", content=body()).json()["orderId"]
    assert service.delete(f"/orders/{order_id}", params={**CANCEL, "sequence": 2}).status_code == 201
    answer_cancellation(stack.settings.kafka, topics, order_id, Status.FILLED, events=1)
    answer = service.put(f"/orders/{order_id}", json={**BODY, "sequence": 3})
    assert (answer.status_code, "FILLED" in answer.json()["detail"], "pendingSequence" in answer.json()) == (
        409,
        True,
        False,
    )
    again = service.delete(f"/orders/{order_id}", params={**CANCEL, "sequence": 2})
    assert again.status_code == 200


@pytest.mark.parametrize("answered", [None, 1])
def test_what_follows_a_cancellation_of_which_nothing_is_kept_is_refused_once_the_gateways_are_past_it(
    instance, stack, topics, answered
):
    """They forget orders that are long over, and a cancellation that they refused leaves the state as it was."""
    gateways = f"{topics.prefix}gateways"
    with instance(policy=EntryPolicy(gateways=gateways)) as service:
        entered = service.post("/orders", content=body()).json()
        order_id, partition = entered["orderId"], entered["partition"]
        cancelled = service.delete(f"/orders/{order_id}", params={**CANCEL, "sequence": 2}).json()
        if answered:
            answer_cancellation(stack.settings.kafka, topics, order_id, Status.OPEN, events=answered)
        group = Consumer(consumer_config(stack.settings.kafka, group_id=gateways))
        amended = {**BODY, "sequence": 3}
        for done, told in ((cancelled["offset"], True), (cancelled["offset"] + 1, False)):
            group.commit(offsets=[TopicPartition(topics.out, partition, done)], asynchronous=False)
            answer = service.put(f"/orders/{order_id}", json=amended)
            assert (answer.status_code, "pendingSequence" in answer.json()) == (409, told), answer.text
        group.close()
        assert "Retry-After" not in answer.headers
        assert f"feedline orders show {order_id} tells" in answer.json()["detail"]


def test_an_order_older_than_what_an_instance_reads_back_is_found(instance, stack, topics):
    with instance() as first:
        old, gone = (first.post("/orders", content=body(), headers={"Idempotency-Key": key}) for key in "ab")
        order_id = old.json()["orderId"]
        amended = {**BODY, "sequence": 2, "order": {**BODY["order"], "quantity": "150"}}
        second = first.put(f"/orders/{order_id}", json=amended)
        assert second.status_code == 201
        other = gone.json()["orderId"]
        assert first.delete(f"/orders/{other}", params={**CANCEL, "sequence": 2}).status_code == 201
    answer_cancellation(stack.settings.kafka, topics, other, Status.CANCELLED)
    with instance(policy=EntryPolicy(remember_hours=1e-9)) as later:
        assert later.get("/metrics").text.count("feedline_orders_entry_remembered_orders 0.0") == 1
        used = later.put(f"/orders/{order_id}", json={**amended, "order": {**BODY["order"], "quantity": "7"}})
        assert (used.status_code, "used by another" in used.json()["detail"]) == (409, True)
        assert later.put(f"/orders/{order_id}", json=amended).json() == second.json()
        gap = later.put(f"/orders/{order_id}", json={**amended, "sequence": 4})
        assert (gap.status_code, gap.json()["expectedSequence"]) == (409, 3)
        assert later.put(f"/orders/{order_id}", json={**amended, "sequence": 3}).status_code == 201
        assert [one["sequence"] for one in later.get(f"/orders/{order_id}").json()["events"]] == [1, 2, 3]
        over = later.put(f"/orders/{other}", json={**amended, "sequence": 3})
        assert (over.status_code, "CANCELLED" in over.json()["detail"]) == (409, True)
    entered = [(one.order_id, one.sequence) for one in events_of(stack.settings.kafka, topics.out)]
    assert sorted(entered) == sorted([(order_id, 1), (order_id, 2), (order_id, 3), (other, 1), (other, 2)])


def test_an_order_entered_in_bulk_is_told_to_be_amended_there(service, stack, topics):
    in_bulk = event(order_id="bulk-1")
    producer = Producer(producer_config(stack.settings.kafka))
    producer.produce(topics.out, b"", "bulk-1", headers=list(event_headers(in_bulk, facts_of(in_bulk))))
    assert producer.flush(60) == 0
    deadline = time.monotonic() + 60
    while (answer := service.put("/orders/bulk-1", json={**BODY, "sequence": 2})).status_code == 404:
        assert time.monotonic() < deadline
    assert (answer.status_code, "entered in bulk" in answer.json()["detail"]) == (409, True)
    assert "entered in bulk" in service.get("/orders/bulk-1").json()["detail"]


def test_one_key_is_one_order_on_every_instance_and_after_a_restart(instance, stack, topics, order_keys):
    key = {"Idempotency-Key": "k-1"}
    with instance() as one, instance() as two:
        first = one.post("/orders", content=body(), headers=key)
        elsewhere = two.post("/orders", content=body(), headers=key)
    with instance() as later:
        after = later.post("/orders", content=body(), headers=key)
        reused = later.post("/orders", content=body(quantity="101"), headers=key)
    with instance(order_keys.other) as client:
        somebody = client.post("/orders", content=body(), headers=key)
    assert [one.status_code for one in (first, elsewhere, after, reused, somebody)] == [201, 200, 200, 422, 201]
    assert first.json() == elsewhere.json() == after.json()
    assert after.headers["Idempotency-Replayed"] == "true"
    assert somebody.json()["orderId"] != first.json()["orderId"]
    assert len(counted(stack.settings.kafka, topics.out)) == 2


def test_a_key_is_known_when_its_order_is_not_remembered_any_more(instance):
    with instance(policy=EntryPolicy(remembered=4)) as client:
        first = client.post("/orders", content=body(), headers={"Idempotency-Key": "old"})
        for number in range(6):
            client.post("/orders", content=body(), headers={"Idempotency-Key": f"newer-{number}"})
        again = client.post("/orders", content=body(), headers={"Idempotency-Key": "old"})
        other = client.post("/orders", content=body(quantity="101"), headers={"Idempotency-Key": "old"})
    assert [one.status_code for one in (first, again, other)] == [201, 200, 422], other.text
    assert again.json() == first.json()


def test_a_key_from_before_what_is_read_back_never_makes_a_second_order(instance, the_flow):
    """Of an order that a gateway has brought to the engine it is known; of one that waits for that, it is dropped."""
    key, nothing_read_back = {"Idempotency-Key": "old"}, EntryPolicy(remember_hours=1e-9)

    def asks(quantity):
        with instance(policy=nothing_read_back) as client:
            answer = client.post("/orders", content=body(quantity=quantity), headers=key)
            return answer.status_code, answer.json()["orderId"]

    with instance() as client:
        order_id = client.post("/orders", content=body(), headers=key).json()["orderId"]
    assert [asks("100"), asks("101")] == [(201, order_id)] * 2
    the_flow.start_engine("--answer", "ack")
    the_flow.start_gateway()
    the_flow.expected = [(order_id, 1)]
    assert the_flow.await_settled().clean
    the_flow.wait_for(lambda: the_flow.metrics().get("repeats_total") == 1, "the repeat is dropped")
    the_flow.wait_for(the_flow.refused, "the other order is refused")
    assert [one.cl_ord_id for one in the_flow.book()] == [f"{order_id}-1"]
    assert [asks("100"), asks("101")] == [(200, order_id), (422, order_id)]


def test_two_orders_under_one_key_at_once_are_one_order_and_one_refusal(instance, stack, topics):
    """Both may be written; every reader of the topic counts the one that was answered with 201."""
    with instance() as one, instance() as two, ThreadPoolExecutor(4) as pool:
        for number in range(10):
            key = {"Idempotency-Key": f"race-{number}"}
            asked = [
                pool.submit(client.post, "/orders", content=body(quantity=amount), headers=key)
                for client, amount in ((one, "1"), (two, "2"), (one, "1"), (two, "2"))
            ]
            answers = [future.result() for future in asked]
            told = {json.dumps(one.json()) for one in answers if one.status_code in (200, 201)}
            assert len(told) == 1, [one.text for one in answers]
            assert [one.status_code for one in answers].count(422) == 2
            winner = json.loads(told.pop())
            (event,) = [e for e in counted(stack.settings.kafka, topics.out) if e.order_id == winner["orderId"]]
            amounts = {one.status_code: amount for one, amount in zip(answers, "1212", strict=True)}
            assert event.order.quantity == Decimal(amounts.get(201, amounts.get(200)))


def test_who_may_enter_and_what_is_no_order(service, stack, topics, order_keys):
    assert service.post("/orders", content=body(), headers={"X-API-Key": "x"}).status_code == 401
    assert service.post("/orders", content=body(), headers={"X-API-Key": order_keys.viewer}).status_code == 403
    for content, status, place in [
        ("{", 400, None),
        (body(quantity="0"), 422, ["order", "quantity"]),
        (body(quantity="1.00001"), 422, ["order", "quantity"]),
        (body(quantity="1" + "0" * 14), 422, ["order", "quantity"]),
        (body(limitPrice=None), 422, ["order", "limitPrice"]),
        (body(side="HOLD"), 422, ["order", "side"]),
        (body(limitprice="1"), 422, ["order"]),
        (body(symbol="A\x01B"), 422, ["order", "symbol"]),
        (body(isin="US0378331006"), 422, ["order", "isin"]),
        ("[" * 5_000, 400, None),
        (" " * 20_000, 413, None),
    ]:
        answer = service.post("/orders", content=content)
        assert answer.status_code == status, (content[:200], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        if place:
            assert answer.json()["errors"][0]["place"] == place
    assert not events_of(stack.settings.kafka, topics.out)


def test_who_asks_too_often_or_too_much_at_once_is_told_when_to_come_again(instance):
    with instance(limits=Limits(per_second=0.1, burst=2)) as client:
        answers = [client.post("/orders", content=body()) for _ in range(3)]
        assert [one.status_code for one in answers] == [201, 201, 429]
        assert int(answers[-1].headers["Retry-After"]) > 0
    # 400 ms of linger hold the first request while the others come.
    with instance(policy=EntryPolicy(max_in_flight=1, linger_ms=400)) as client, ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: client.post("/orders", content=body()), range(6)))
        turned_away = [one for one in answers if one.status_code == 503]
        assert turned_away
        assert all(one.headers["Retry-After"] and one.json()["outcome"] == "not entered" for one in turned_away)
        assert client.post("/orders", content=body()).status_code == 201


def test_health_and_metrics_need_no_key_and_the_document_has_every_route(service):
    for path in ("/health/live", "/health/ready", "/metrics", "/openapi.json"):
        assert service.get(path, headers={"X-API-Key": ""}).status_code == 200, path
    service.post("/orders", content=body())
    assert 'feedline_orders_answers_total{kind="NEW",status="201"} 1.0' in service.get("/metrics").text
    paths = service.get("/openapi.json").json()["paths"]
    assert {"/orders", "/orders/{order_id}", "/orders/{order_id}/cancel"} <= set(paths)
    schema = paths["/orders"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["order"]["properties"]["side"]["enum"]
