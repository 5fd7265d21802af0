"""A message of the engine as text: what of it is kept where it can be no report, and the id by which it is known.

Loads no QuickFIX: whoever reads the topic of errors needs this too.
"""

from __future__ import annotations

from collections.abc import Mapping

SOH = "\x01"
# Beside the tags of a message: why it can be no report, although its fields may look like one.
REFUSED = "refused"
CANCEL_REJECT = "9"


def raw_of(fields: Mapping[str, str]) -> bytes:
    """The message for people, of its fields."""
    told = (f"{tag}={value}" for tag, value in fields.items() if tag != REFUSED)
    return SOH.join(told).encode(errors="replace")


def fields_in(raw: bytes | str | None) -> dict[str, str]:
    """The fields of what `raw_of` made."""
    text = raw.decode(errors="replace") if isinstance(raw, bytes) else raw or ""
    return dict(part.partition("=")[::2] for part in text.split(SOH))


def exec_id_of(fields: Mapping[str, str]) -> str:
    """The id of a report: its ExecID. An OrderCancelReject has none, so its id is made of what it answers, and a copy
    of it has the same. Empty when the message has no id."""
    if fields.get("35") == CANCEL_REJECT:
        return f"{fields.get('11', '')}/cancel-rejected"
    return fields.get("17", "")
