"""The topics and schemas of orders on a cluster and a registry, for stacks that nobody provisions otherwise."""

from __future__ import annotations

from itertools import groupby

from feedline.orders.topics import OrderTopics
from feedline.provisioning.desired import declared_orders
from feedline.provisioning.installation import Installation
from feedline.provisioning.orders import order_subjects, order_topics
from feedline.provisioning.plan import Change
from feedline.provisioning.state import Desired, Part
from feedline.settings import Settings

# What adds, and takes nothing from what is there.
_ADDING = ("create", "register", "set level")


def provision_orders(settings: Settings, topics: OrderTopics | None = None) -> list[str]:
    """Makes what is missing of topics and schemas and tells what was done; idempotent. topics: those of the declared
    state (`include/provisioning.yaml`) unless they are given.

    What is there and differs is left to `feedline provision`. Raises BrokerUnavailableError, RegistryUnavailableError,
    AuthenticationError, ConfigurationError.
    """
    wanted = topics or declared_orders()
    desired = Desired(
        topics={one.name: one for one in order_topics(wanted, settings.replication_factor)},
        subjects={one.name: one for one in order_subjects(wanted)},
    )
    system = Installation(settings, desired, [Part.TOPICS, Part.SCHEMAS])
    changes = [one for one in system.plan().changes if one.action in _ADDING]
    for _, same in groupby(changes, key=lambda one: (one.part, one.action)):
        system.perform(list(same))
    return [_told(one) for one in changes]


def _told(made: Change) -> str:
    if made.part is Part.TOPICS:
        shape = made.after
        return f"created {made.target}: {shape['partitions']} partitions, {shape['replication_factor']} replicas each"
    return f"{made.action}: {made.target}"
