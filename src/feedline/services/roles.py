"""Who a caller is, and what a caller may."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from feedline.errors import ConfigurationError


class Role(IntEnum):
    """What a caller may; each may what the ones before it may."""

    VIEWER = 1  # look
    ENGINEER = 2  # register schemas, add and change feeds, make plans
    OPERATOR = 3  # apply plans, and whatever cannot be undone

    @classmethod
    def of(cls, name: str) -> Role:
        """The role of that name; raises ConfigurationError."""
        try:
            return cls[name.upper()]
        except KeyError:
            raise ConfigurationError(f"no role {name!r}: there are viewer, engineer and operator") from None

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller who has proved who they are. name: for the audit trail, with how it was proved in front (`key:ci`,
    `oidc:3f2a…`), so that nobody can pass for somebody of another kind."""

    name: str
    role: Role
