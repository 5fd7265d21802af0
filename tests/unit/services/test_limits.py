"""What one request may cost, and how errors are told."""

from __future__ import annotations

import json
import logging
import time
import tracemalloc

import pytest

from feedline.errors import ConfigurationError
from feedline.services.limits import Limits, RateLimiter, json_excess


@pytest.fixture
def headers(keys):
    return {"X-API-Key": keys["engineer"]}


def test_a_body_over_the_limit_is_refused_announced_or_not(serve, headers):
    service = serve(Limits(max_body_bytes=1000, uploads={"/upload": 5000}))
    fits = service.post("/change", json={"a": "x" * 900}, headers=headers)
    announced = service.post("/change", json={"a": "x" * 1000}, headers=headers)
    streamed = service.post("/change", content=iter([b" " * 600] * 2), headers=headers)
    assert [fits.status_code, announced.status_code, streamed.status_code] == [200, 413, 413]


def test_an_upload_has_a_limit_of_its_own(serve, headers):
    service = serve(Limits(max_body_bytes=1000, uploads={"/upload": 5000}))
    assert service.post("/upload", files={"file": b"x" * 4000}, headers=headers).json() == 4000
    assert service.post("/upload", files={"file": b"x" * 6000}, headers=headers).status_code == 413
    kind = {**headers, "content-type": "multipart/form-data; boundary=x"}
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    assert service.post("/upload", content=iter([head, *[b"x" * 1000] * 9]), headers=kind).status_code == 413


@pytest.mark.parametrize(
    "bomb",
    [
        b"[" * 4_000_000,
        b'{"a":' * 600_000,
        b"[" + b"[]," * 1_300_000 + b"1]",
        b"[" + b"1," * 1_900_000 + b"1]",
        b'"' + b"\\" * 3_999_999,
        b'"' + b'\\"' * 1_999_999,
        b"1" * 4_000_000,
        b"[1e" + b"9" * 3_000_000 + b"]",
        b"\xff" * 1000,
        b'{"a":1}' * 100_000,
    ],
    ids=[
        "lists",
        "objects",
        "empty lists",
        "numbers",
        "backslashes",
        "quotes",
        "a number",
        "an exponent",
        "bytes",
        "objs",
    ],
)
def test_a_json_bomb_is_refused_in_a_moment(service, headers, bomb):
    kind = {**headers, "content-type": "application/json"}
    answer = service.post("/change", content=bomb, headers=kind)
    assert answer.status_code in (400, 422)
    assert len(answer.content) < 10_000


def test_depth_is_counted_outside_of_texts_only():
    limits = Limits(max_json_depth=3, max_json_values=50)
    assert json_excess(b'{"a": "[[[[[[\\"[[["}', limits) is None
    assert json_excess(b"[[[1]], [[2]]]", limits) is None
    assert "4 levels" in (json_excess(b'[[[{"a": 1}]]]', limits) or "")
    assert "values" in (json_excess(b"[" + b"1," * 60 + b"1]", limits) or "")
    assert json_excess(b"", limits) is None


def test_looking_at_a_body_needs_memory_in_proportion_to_it():
    body = b"[" * 4_000_000
    tracemalloc.start()
    try:
        assert json_excess(body, Limits())
        assert tracemalloc.get_traced_memory()[1] < 12 * len(body)
    finally:
        tracemalloc.stop()


def test_a_compressed_body_is_refused_before_it_grows(service, headers):
    answer = service.post("/change", content=b"x", headers={**headers, "content-encoding": "gzip"})
    assert answer.status_code == 415


def test_a_caller_who_comes_too_often_is_told_when_to_come_again(serve, headers, keys):
    service = serve(Limits(per_second=0.5, burst=3))
    answers = [service.get("/look", headers=headers) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) in (1, 2)
    other = service.get("/look", headers={"X-API-Key": keys["viewer"]})
    assert other.status_code == 200


def test_guessing_is_slowed_down_before_it_costs_anything(serve, headers):
    service = serve(Limits(failures_per_minute=5))
    answers = [service.get("/look", headers={"X-API-Key": "wrong"}).status_code for _ in range(7)]
    assert answers == [401] * 5 + [429] * 2


def test_others_wrong_keys_from_the_same_address_keep_nobody_out_who_has_shown_a_right_one(serve, headers, keys):
    service = serve(Limits(failures_per_minute=5))
    assert service.get("/look", headers=headers).status_code == 200
    answers = [service.get("/look", headers={"X-API-Key": "wrong"}).status_code for _ in range(6)]
    assert answers == [401] * 5 + [429]
    assert service.get("/look", headers=headers).status_code == 200
    assert service.get("/look", headers={"X-API-Key": keys["viewer"]}).status_code == 429


def test_buckets_fill_with_time_and_the_longest_unseen_is_forgotten():
    now = [0.0]
    limiter = RateLimiter(1.0, 2, names=2, clock=lambda: now[0])
    assert [limiter.take("a") for _ in range(3)] == [0, 0, 1]
    now[0] += 1
    assert [limiter.take("a"), limiter.take("a")] == [0, 1]
    for name in ("b", "c"):
        limiter.take(name)
    assert limiter.take("a") == 0


@pytest.mark.parametrize("field", ["max_body_bytes", "max_json_depth", "burst", "per_second", "callers"])
def test_a_limit_of_nothing_is_refused(field):
    with pytest.raises(ConfigurationError):
        Limits(**{field: 0})


@pytest.mark.parametrize(
    "answer_to", [("away", 503, 503), ("wrong", 422, 422), ("bug", 500, 500), ("unknown", 404, 40401)]
)
def test_every_error_is_a_problem_with_confluents_members_beside_it(service, headers, answer_to, caplog):
    how, status, code = answer_to
    with caplog.at_level(logging.ERROR):
        answer = service.get(f"/fail/{how}", headers=headers)
    problem = json.loads(answer.content)
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["error_code"] == code
    assert problem["message"] == problem["detail"]
    assert "hunter2" not in answer.text
    assert "hunter2" not in caplog.text


def test_what_does_not_fit_is_told_without_the_value(service, headers):
    answer = service.post("/change", json=["hunter2-in-a-body"], headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["place"] == ["body"]
    assert "hunter2" not in answer.text


def test_answers_are_not_kept_sniffed_or_framed_elsewhere(service, headers):
    answer = service.get("/look", headers=headers)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"


def test_a_checked_key_costs_no_second_scrypt(service, headers):
    service.get("/look", headers=headers)
    started = time.process_time()
    for _ in range(20):
        service.get("/look", headers=headers)
    # Twenty checks would be most of a second.
    assert time.process_time() - started < 0.6
