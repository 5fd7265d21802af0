"""Objects whose keys are data, told from records.

A record's keys are names somebody chose, and some are always there. Keys that are dates, numbers or UUIDs are data; so
are many keys of which none is always there while all their values are of one kind.
"""

from __future__ import annotations

import re

from feedline.metadata.discovery.observe import Node, collapse, merge
from feedline.metadata.discovery.policy import DiscoveryPolicy

_DATA = re.compile(
    r"[+-]?[0-9][0-9.,:/T+Z-]*|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|(?=.*[0-9])[0-9a-f]{12,}"
)


def map_reason(node: Node, policy: DiscoveryPolicy) -> str | None:
    """Why the object at a node is a map; None when it is a record."""
    if node.values is not None:
        return f"an object of more than {policy.max_keys:,} different keys"
    data = sum(_DATA.fullmatch(key) is not None for key in node.fields)
    if data >= policy.data_keys:
        return f"{data:,} of its {len(node.fields):,} keys are numbers, dates or identifiers"
    if len(node.fields) < policy.map_keys or any(child.seen == node.objects for child in node.fields.values()):
        return None
    if not _alike(node):
        return None
    return f"{len(node.fields):,} different keys, none of them in every object, with values of one kind"


def _alike(node: Node) -> bool:
    kinds = {kind for child in node.fields.values() for kind in child.kinds}
    if kinds != {"object"}:
        return len(kinds) == 1
    # Records below are alike when they share a field that each of them always has.
    shared: set[str] | None = None
    for child in node.fields.values():
        always = {key for key, one in child.fields.items() if one.seen == child.objects}
        shared = always if shared is None else shared & always
    return bool(shared)


def map_values(node: Node) -> Node:
    """What the values of a map have in common; the node stays as it is."""
    if node.values is not None:
        return node.values
    made = Node()
    merge(made, node)
    return collapse(made)
