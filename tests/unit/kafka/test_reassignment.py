"""Replicas are added where the partition has none of the rack, and nothing that is there is moved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedline.errors import AuthenticationError, BrokerUnavailableError, ConfigurationError
from feedline.kafka.reassignment import Placed, placement
from feedline.kafka.second_client import second_settings, wire_error

SITES = {1: "a", 2: "a", 3: "b", 4: "b", 5: "c", 6: "c"}
_sets = st.lists(st.permutations(sorted(SITES)), min_size=1, max_size=8)


@given(_sets, st.integers(1, 4), st.integers(1, 6))
def test_every_partition_gets_its_replicas_and_keeps_those_it_has(orders, has, wanted):
    placed = {("T", number): Placed(tuple(one[:has]), tuple(one[:has])) for number, one in enumerate(orders)}
    found = placement(placed, wanted, SITES)
    assert set(found) == (set() if has == wanted else set(placed))
    for place, replicas in found.items():
        assert len(set(replicas)) == wanted
        kept = placed[place].replicas[: min(has, wanted)]
        assert tuple(replicas[: len(kept)]) == kept


@given(_sets)
def test_three_replicas_lie_in_three_sites_and_spread_evenly(orders):
    placed = {("T", number): Placed((one[0],), (one[0],)) for number, one in enumerate(orders)}
    for replicas in placement(placed, 3, SITES).values():
        assert len({SITES[broker] for broker in replicas}) == 3


def test_new_replicas_go_to_the_brokers_that_have_least():
    placed = {("T", number): Placed((1,), (1,)) for number in range(4)}
    found = placement(placed, 2, dict.fromkeys([1, 2, 3]))
    assert sorted(replicas[1] for replicas in found.values()) == [2, 2, 3, 3]


def test_the_replica_that_is_behind_goes_first():
    placed = {("T", 0): Placed((1, 2, 3), (1, 3))}
    assert placement(placed, 2, dict.fromkeys([1, 2, 3])) == {("T", 0): [1, 3]}


def test_what_is_under_way_is_not_asked_for_again():
    placed = {("T", 0): Placed((1, 2, 3), (1,), coming=(2, 3))}
    assert placement(placed, 3, dict.fromkeys([1, 2, 3])) == {}
    assert placed["T", 0].settled == (1,)


def test_more_replicas_than_brokers_are_refused():
    with pytest.raises(ConfigurationError, match="4 replicas"):
        placement({("T", 0): Placed((1,), (1,))}, 4, dict.fromkeys([1, 2, 3]))


def test_the_second_client_signs_in_as_the_others_and_hides_its_password():
    found = second_settings(
        {
            "bootstrap.servers": "b:9092", "security.protocol": "sasl_ssl", "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "u", "sasl.password": "hunter2", "ssl.ca.location": "ca.pem", "linger.ms": 5,
        }
    )  # fmt: skip
    assert "hunter2" not in repr(found)
    assert found.pop("sasl_plain_password") == "hunter2"
    assert found == {
        "bootstrap_servers": "b:9092", "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u", "ssl_cafile": "ca.pem",
    }  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"},
        {"security.protocol": "SSL", "ssl.ca.pem": "-----BEGIN"},
    ],
)
def test_a_way_to_sign_in_that_the_second_client_lacks_is_said(wrong):
    with pytest.raises(ConfigurationError, match="cannot be changed over"):
        second_settings({"bootstrap.servers": "b", **wrong})


def test_errors_of_the_second_client_are_ours():
    from kafka import errors

    assert isinstance(wire_error(errors.SaslAuthenticationFailedError("no")), AuthenticationError)
    assert isinstance(wire_error(errors.ClusterAuthorizationFailedError), AuthenticationError)
    assert isinstance(wire_error(errors.KafkaTimeoutError("late")), BrokerUnavailableError)
    assert isinstance(wire_error(errors.KafkaConnectionError("away")), BrokerUnavailableError)
