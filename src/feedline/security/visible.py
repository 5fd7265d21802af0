"""Text from elsewhere, as a terminal may be given it."""

from __future__ import annotations

import re

# What a terminal obeys instead of showing it, and what turns the direction of writing around.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_BREAKS = re.compile("[\t\n]")


def visible(text: str, *, one_line: bool = False) -> str:
    """The text with its control characters written as escapes (`\\x1b`); tabs and line ends too for one line."""
    shown = _OBEYED.sub(_escape, text)
    return _BREAKS.sub(_escape, shown) if one_line else shown


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
