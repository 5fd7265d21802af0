"""A delivery report is believed when it says where the message lies."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, Message

from feedline.errors import BrokerUnavailableError
from feedline.kafka.delivery_report import failure_of, is_unproven
from feedline.kafka.errors import translate


@pytest.mark.parametrize("place", [{}, {"offset": -1}, {"offset": -1001}])
def test_a_success_without_an_offset_is_a_failure_that_passes(place):
    message = Message(topic="t", partition=3, **place)
    assert is_unproven(None, message)
    assert isinstance(translate(failure_of(None, message)), BrokerUnavailableError)


def test_a_success_with_an_offset_is_one():
    message = Message(topic="t", partition=3, offset=0)
    assert not is_unproven(None, message)
    assert failure_of(None, message) is None


def test_an_error_stays_what_it_is():
    error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    message = Message(topic="t", partition=3)
    assert not is_unproven(error, message)
    assert failure_of(error, message) is error
