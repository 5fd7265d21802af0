"""Which fields could name a record: a guess for a reviewer, from the values and the names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from feedline.metadata.discovery.observe import Node

_NAMES_KEY = re.compile(r"(?:^|_|(?<=[a-z]))(?:id|Id|ID|key|Key|uuid|UUID|isin|ISIN|number|Number|code|Code|ref|Ref)$")
MOST_GUESSED = 4


def business_keys(node: Node, names: Mapping[str, str], types: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """Names of the fields, and why. types: by key, nullable ones as unions.

    A single field that was never twice the same; else those that are called a key and are always there, together.
    """
    fixed = [key for key in names if types[key] in ("string", "long") and node.fields[key].seen == node.objects]
    called = [key for key in fixed if _NAMES_KEY.search(names[key])]
    if node.objects > 1:
        for key in (*called, *fixed):
            sketch = node.fields[key].sketch
            if sketch and all(count == 1 for count in sketch.values()):
                return (names[key],), "in every sample, and never twice the same among those compared"
    if called:
        chosen = tuple(names[key] for key in called[:MOST_GUESSED])
        return chosen, "no field is different in every sample; these are called keys and always there: check them"
    return (), "no field names a record: declare the business keys"
