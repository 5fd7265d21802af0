"""Every service of docker-compose.yaml runs without root, capabilities or a way to gain them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from feedline.local.kafka import GROUPS
from feedline.security.principals import REGISTRY_TOPICS

ROOT = Path(__file__).parents[3]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))["services"]
# Their images name an unprivileged user themselves: the first one's publisher, the other one's Dockerfile here.
USER_OF_IMAGE = {"registry", "snowflake-standin"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_cannot_gain_privileges(name):
    service = SERVICES[name]
    assert service.get("cap_drop") == ["ALL"]
    assert "no-new-privileges:true" in service.get("security_opt", [])
    assert not service.get("privileged")
    assert not service.get("cap_add")
    assert service.get("network_mode") != "host"


@pytest.mark.parametrize("name", sorted(set(SERVICES) - USER_OF_IMAGE))
def test_a_service_names_a_user_that_is_not_root(name):
    user = str(SERVICES[name].get("user", "root")).partition(":")[0]
    assert user not in {"", "0", "root"}


def test_the_stand_in_image_ends_as_a_user_that_is_not_root():
    lines = (ROOT / "deploy/docker/standin.Dockerfile").read_text(encoding="utf-8").splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert users[-1].partition(":")[0] not in {"0", "root"}


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_a_store_writes_to_its_volume_and_memory_only(name):
    assert SERVICES[name].get("read_only") is True
    assert SERVICES[name].get("tmpfs")


@pytest.mark.parametrize("name", ["kafka-1", "kafka-2", "kafka-3"])
def test_a_broker_gives_killed_members_up_as_soon_as_the_local_one_does(name):
    environment = SERVICES[name]["environment"]
    told = {f"KAFKA_{setting.upper().replace('.', '_')}": value for setting, value in GROUPS.items()}
    assert told.items() <= environment.items()


def test_the_registry_keeps_its_own_books_apart_from_those_of_feedline():
    assert SERVICES["registry"]["environment"]["APICURIO_KAFKASQL_TOPIC"] in REGISTRY_TOPICS
