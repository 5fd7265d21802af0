"""An end that the broker did not tell is never taken for an offset."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException

from feedline.errors import BrokerUnavailableError, ConfigurationError
from feedline.kafka import admin

UNHEARD = -1


@dataclass(frozen=True)
class Told:
    offset: int


class Answers:
    """In place of an admin client: no broker can be made to leave an offset out, or not to have heard of a partition,
    when it is asked to."""

    def __init__(self, *offsets):
        self.left = list(offsets)

    def list_offsets(self, asked, **_):
        offset = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        futures = {}
        for place in asked:
            futures[place] = Future()
            if offset == UNHEARD:
                futures[place].set_exception(KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)))
            else:
                futures[place].set_result(Told(offset))
        return futures


def test_an_offset_left_out_while_leaders_move_is_asked_for_again(monkeypatch):
    answers = Answers(0, OFFSET_INVALID, OFFSET_INVALID, 196)
    monkeypatch.setattr(admin, "admin_client", lambda _: answers)
    assert admin.watermarks({}, "T", [2]) == {2: (0, 196)}


def test_an_offset_that_stays_left_out_is_a_retriable_error_with_its_place(monkeypatch):
    monkeypatch.setattr(admin, "admin_client", lambda _: Answers(OFFSET_INVALID))
    monkeypatch.setattr(admin, "REQUEST_SECONDS", 0.2)
    with pytest.raises(BrokerUnavailableError, match="no broker said") as told:
        admin.watermarks({}, "T", [2])
    assert (told.value.where.topic, told.value.where.partition) == ("T", 2)


def test_a_partition_that_was_just_made_is_asked_for_again(monkeypatch):
    answers = Answers(UNHEARD, UNHEARD, 0, UNHEARD, 196)
    monkeypatch.setattr(admin, "admin_client", lambda _: answers)
    assert admin.watermarks({}, "T", [2]) == {2: (0, 196)}


def test_a_topic_that_is_not_there_is_a_terminal_error(monkeypatch):
    monkeypatch.setattr(admin, "admin_client", lambda _: Answers(UNHEARD))
    monkeypatch.setattr(admin, "NEWS_SECONDS", 0.2)
    with pytest.raises(ConfigurationError, match="provisioned"):
        admin.watermarks({}, "T", [2])
