"""What each service of orders must be allowed on the cluster, and no more.

As in `feedline.security.principals`: a rule is here because a call in the code needs it, and the tests hold every rule,
and what no rule allows, against real brokers.
"""

from __future__ import annotations

from feedline.consumer.error_topic import GROUP as ERRORS_GROUP
from feedline.orders.topics import (
    BULK_GROUP,
    BULK_TRANSACTIONS,
    ENTRY_GROUP,
    GATEWAY_GROUP,
    GROUPS,
    MISSED_GROUP,
    RECOVERY_GROUP,
    STATES_GROUP,
    OrderTopics,
)
from feedline.security.principals import OWN_OPERATIONS, Rule, Service, each, schema_rules


def order_rules(topics: OrderTopics, groups: str = "feedline.") -> list[Rule]:
    """The rules of every service for these topics of orders; groups: what the names of all consumer groups begin with.

    Who enters orders in bulk from outside is a client as of feeds: `custodian_rules` with the bulk topic.
    """
    out, executions, states = topics.out, topics.executions, topics.states
    entry, bulk, gateway, recovery = Service.ORDER_ENTRY, Service.ORDER_BULK, Service.GATEWAY, Service.RECOVERY
    found = [
        # Reads back what it writes, how an order stands by the engine, and what the gateways have done with.
        *each(entry, "TOPIC", [out], "READ", "WRITE", "DESCRIBE"),
        *each(entry, "TOPIC", [states], "READ", "DESCRIBE"),
        *each(entry, "GROUP", [ENTRY_GROUP, GATEWAY_GROUP], "DESCRIBE"),
        # Reads what it wrote before it took a partition.
        *each(bulk, "TOPIC", [topics.bulk], "READ", "DESCRIBE"),
        *each(bulk, "TOPIC", [out], "READ", "WRITE", "DESCRIBE"),
        *each(bulk, "TOPIC", [topics.error], "WRITE", "DESCRIBE"),
        *each(bulk, "GROUP", {BULK_GROUP, BULK_GROUP + topics.prefix}, "READ", "DESCRIBE"),
        *each(
            bulk, "TRANSACTIONAL_ID", [f"{BULK_TRANSACTIONS}{topics.prefix}."], "WRITE", "DESCRIBE", pattern="PREFIXED"
        ),
        *each(gateway, "TOPIC", [out], "READ", "DESCRIBE"),
        *each(gateway, "TOPIC", [executions, topics.error], "WRITE", "DESCRIBE"),
        *each(gateway, "TOPIC", [states], "READ", "WRITE", "DESCRIBE"),
        *each(gateway, "GROUP", [GATEWAY_GROUP], "READ", "DESCRIBE"),
        *each(gateway, "GROUP", [STATES_GROUP, MISSED_GROUP], "DESCRIBE"),
        # Passes over what was refused, and what the gateways' group has not sent yet; joins no group.
        *each(recovery, "TOPIC", [out, states], "READ", "DESCRIBE"),
        *each(recovery, "TOPIC", [topics.error], "READ", "WRITE", "DESCRIBE"),
        *each(recovery, "TOPIC", [executions], "READ", "WRITE", "DESCRIBE"),
        *each(recovery, "GROUP", [RECOVERY_GROUP, GATEWAY_GROUP, STATES_GROUP, ERRORS_GROUP], "DESCRIBE"),
        *each(Service.ORDER_TEST, "TOPIC", [topics.bulk], "WRITE", "DESCRIBE"),
        # Loads, and holds the books of a day together; its groups are those of its other rules.
        *each(Service.LOADER, "TOPIC", [out, executions], "READ", "DESCRIBE"),
        *each(Service.LOADER, "TOPIC", [topics.error], "READ", "WRITE", "DESCRIBE"),
        # Whether there are orders at all.
        *each(Service.WATCHER, "TOPIC", [out, executions], "DESCRIBE"),
        *each(Service.MONITOR, "TOPIC", topics.names, "DESCRIBE"),
        *each(Service.MONITOR, "GROUP", [GROUPS], "DESCRIBE", pattern="PREFIXED"),
        *each(Service.PROVISIONING, "TOPIC", topics.names, *OWN_OPERATIONS),
        *(rule for service in (entry, bulk, gateway, recovery) for rule in schema_rules(service, groups)),
    ]
    return sorted(set(found))
