"""Secrets cut out of text that a person or a log will see."""

from __future__ import annotations

import logging
import re
from typing import Any

MASK = "***"

# A name that says its value is a secret, wherever it stands in the name: `sasl.password`, `client_secret`, `apiKey`.
_NAME = r"[\w.\-]*(?:password|passwd|passphrase|secret|token|api[_\-]?key|private[_\-]?key|jaas|user\.info)[\w.\-]*"

_RULES = tuple(
    (re.compile(pattern, flags), replacement)
    for pattern, flags, replacement in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL, MASK),
        # scheme://user:password@host
        (r"(://[^\s/:@'\"]*):[^\s/@'\"]+@", 0, rf"\1:{MASK}@"),
        (r"\b(Basic|Bearer)\s+[\w.~+/=\-]{6,}", re.IGNORECASE, rf"\1 {MASK}"),
        # A JWT: three parts, of which the first is the base64 of an object.
        (r"\beyJ[\w\-]{5,}\.[\w\-]{5,}\.[\w\-]*", 0, MASK),
        # An API key of ours keeps its id, which is no secret, so that a log says whose it was.
        (r"\b(fl_[0-9a-f]{12})_[\w\-]{20,}", 0, rf"\1_{MASK}"),
        (rf"""(["']?{_NAME}["']?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&}})\]"']+)""", re.IGNORECASE,
         rf"\1{MASK}"),
    )
)  # fmt: skip


def redact(text: str) -> str:
    """The text without what looks like a secret: passwords in URLs and settings, tokens, API keys, private keys."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


class RedactingFormatter(logging.Formatter):
    """Formats as another formatter does, then cuts secrets out, the trace included."""

    def __init__(self, inner: logging.Formatter | None = None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        return redact(self._inner.format(record))


def redact_logs(*names: str) -> None:
    """Makes every handler of the root logger, and of the loggers named, cut secrets out; a second call changes
    nothing."""
    for name in ("", *names):
        for handler in logging.getLogger(name).handlers:
            if not isinstance(handler.formatter, RedactingFormatter):
                handler.setFormatter(RedactingFormatter(handler.formatter))


def redacted(value: Any) -> Any:
    """A JSON-like value with every text of it redacted, and the value of every key that names a secret masked."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: MASK if re.fullmatch(_NAME, str(key), re.IGNORECASE) else redacted(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(one) for one in value]
    return value
