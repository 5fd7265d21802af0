"""A refusal by the registry or by the rules of evolution, with the code that Confluent's clients know."""

from __future__ import annotations

from typing import Any

from feedline.errors import ConfigurationError

SUBJECT_NOT_FOUND = 40401
VERSION_NOT_FOUND = 40402
SCHEMA_NOT_FOUND = 40403
INVALID_SCHEMA = 42201
INVALID_VERSION = 42202
INVALID_LEVEL = 42203
INCOMPATIBLE = 40901


class SchemaRefusedError(ConfigurationError):
    """code: Confluent's; its first three digits are the HTTP status. details: what a page shows beside the reason."""

    def __init__(self, code: int, reason: str, details: Any = None, **where: Any) -> None:
        self.code = code
        self.details = details
        super().__init__(reason, **where)

    def __reduce__(self) -> tuple[Any, ...]:
        return (SchemaRefusedError, (self.code, self.reason, self.details))

    @property
    def status(self) -> int:
        return self.code // 100
