"""On real brokers over SASL_SSL: a client's user and rules are provisioned by the service's own principal, and hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from feedline.catalog import load_catalog
from feedline.errors import AuthenticationError
from feedline.provisioning.apply import apply
from feedline.provisioning.desired import read_desired
from feedline.provisioning.installation import Installation
from feedline.provisioning.state import Desired, Part, TopicState
from feedline.security.cluster_access import new_password
from feedline.security.principals import Rule, Service
from feedline.security.secret_file import write_secret
from feedline.settings import Settings

NAME = "custodian-two"
RULE = Rule("somebody", "TOPIC", "of-somebody", "READ")


def _refused(attempt, *arguments):
    try:
        attempt(*arguments)
    except (KafkaException, AuthenticationError):
        return True
    return False


def test_a_client_is_let_in_for_its_topic_and_nothing_else(secured, attempts, tmp_path):
    password = tmp_path / NAME
    write_secret(password, new_password())
    file = tmp_path / "provisioning.yaml"
    file.write_text(f"custodians: {{{NAME}: {{topic: {secured.topic.name}, password: {{file: {password}}}}}}}")
    settings = Settings(
        kafka=secured.kafka(Service.PROVISIONING), registry={}, warehouse={}, landing=Path("landing"),
        principals={"provisioning": secured.kafka(Service.PROVISIONING)},
    )  # fmt: skip
    wanted = read_desired(settings, load_catalog(), file)
    system = Installation(settings, wanted, [Part.USERS, Part.RULES])
    found = system.plan()
    assert NAME in {one.target for one in found.changes}
    assert password.read_text() not in str(found.document())
    apply(found, system, tmp_path / "journal")
    assert system.plan().changes == ()
    assert password.read_text() not in (tmp_path / "journal").read_text()
    client = {**secured.kafka(secured.custodian), "sasl.username": NAME, "sasl.password": {"file": str(password)}}
    attempts["send records"](secured, client)
    assert _refused(attempts["send elsewhere"], secured, client)
    assert _refused(attempts["read records"], secured, client)
    theirs = replace(wanted, rules=frozenset(rule for rule in wanted.rules if rule.principal == NAME))
    leaving = Installation(settings, theirs, [Part.RULES], destroying=True)
    assert {one.risk.value for one in leaving.plan().changes} == {"caution"}
    apply(leaving.plan(), leaving, tmp_path / "leaving")
    assert leaving.plan().changes == ()


def _asking_as(secured, service):
    kafka = secured.kafka(service)
    return Settings(kafka=kafka, registry={}, warehouse={}, landing=Path("landing"), principals={"provisioning": kafka})


@pytest.mark.parametrize("part", [Part.USERS, Part.RULES])
def test_whoever_may_not_see_users_or_rules_is_told_the_right_and_gets_no_plan(part, secured):
    wanted = Desired(users={"somebody": {"file": "/nowhere"}}, rules=frozenset({RULE}))
    system = Installation(_asking_as(secured, Service.PRODUCER), wanted, [part])
    with pytest.raises(AuthenticationError, match="right to DESCRIBE on the cluster"):
        system.plan()


def test_a_topic_that_one_may_not_see_is_not_taken_for_missing(secured):
    hidden = TopicState(secured.spare.name, 3, 3, {})
    system = Installation(_asking_as(secured, secured.custodian), Desired(topics={hidden.name: hidden}), [Part.TOPICS])
    with pytest.raises(AuthenticationError, match=hidden.name):
        system.plan()


def test_whoever_may_only_look_gets_the_plan_and_changes_nothing(secured, tmp_path):
    system = Installation(_asking_as(secured, Service.MONITOR), Desired(rules=frozenset({RULE})), [Part.RULES])
    found = system.plan()
    assert [one.target for one in found.changes] == [str(RULE)]
    with pytest.raises(AuthenticationError, match="right to ALTER on the cluster"):
        apply(found, system, tmp_path / "journal")
    assert system.plan().changes == found.changes
