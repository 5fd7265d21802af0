"""The services of orders in docker-compose.yaml: commands that there are, stores that outlive their containers."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
import yaml

from feedline.cli.orders import orders

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))
SERVICES = {name: s for name, s in COMPOSE["services"].items() if s.get("image", "").startswith("feedline-orders:")}


def test_every_service_of_orders_is_there():
    assert set(SERVICES) == {"order-provision", "order-entry", "order-bulk", "fix-gateway", "fix-engine"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_s_command_is_one_that_the_command_line_takes(name):
    group, command, *arguments = SERVICES[name]["command"]
    assert group == "orders"
    found = orders.get_command(click.Context(orders), command)
    assert found is not None
    found.make_context(command, list(arguments))


@pytest.mark.parametrize("name", ["fix-gateway", "fix-engine"])
def test_a_message_store_lies_on_a_volume_of_its_own_and_the_rest_cannot_be_written(name):
    service = SERVICES[name]
    folder = service["command"][service["command"].index("--folder") + 1]
    [volume] = [one.partition(":")[0] for one in service["volumes"] if one.endswith(f":{folder}")]
    assert volume in COMPOSE["volumes"]
    assert sum(one.startswith(f"{volume}:") for other in SERVICES.values() for one in other.get("volumes", ())) == 1
    assert service["read_only"] is True
