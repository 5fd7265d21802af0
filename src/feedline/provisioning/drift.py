"""What somebody has changed since it was provisioned, in sentences."""

from __future__ import annotations

from typing import Any

from feedline.provisioning.plan import Change, Plan


def drift(found: Plan) -> list[str]:
    """One sentence for each thing that is not as declared; none when all is."""
    return [_sentence(one) for one in found.changes] + [f"over a limit: {problem}" for problem in found.problems]


def _sentence(one: Change) -> str:
    if one.action in ("create", "allow", "register") or (one.action == "run" and one.before is None):
        return f"{one.part} {one.target}: not as declared, needs `{one.action}`"
    if isinstance(one.before, dict) and isinstance(one.after, dict):
        return "; ".join(f"{one.part} {one.target}: {_differs(key, one)}" for key in one.after)
    if one.after is None:
        return f"{one.part} {one.target}: is there and should not be"
    return f"{one.part} {one.target}: {one.action}, is {_text(one.before)}, declared {_text(one.after)}"


def _differs(key: str, one: Change) -> str:
    return f"{key} is {_text(one.before.get(key))}, declared {_text(one.after[key])}"


def _text(value: Any) -> str:
    return "nothing" if value is None else str(value)
