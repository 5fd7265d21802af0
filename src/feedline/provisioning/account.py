"""Warehouses, roles and grants of a Snowflake account: as declared, as there, and the statements between the two."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import Error

from feedline.errors import ConfigurationError, TerminalError
from feedline.warehouse.connection import translate
from feedline.warehouse.names import quoted

SIZES = ("XSMALL", "SMALL", "MEDIUM", "LARGE", "XLARGE", "XXLARGE", "XXXLARGE", "X4LARGE", "X5LARGE", "X6LARGE")
# How SHOW WAREHOUSES writes the sizes from 2X-Large on.
_SHOWN_SIZES = {
    "2XLARGE": "XXLARGE",
    "3XLARGE": "XXXLARGE",
    "4XLARGE": "X4LARGE",
    "5XLARGE": "X5LARGE",
    "6XLARGE": "X6LARGE",
}
# `tables in schema S` are all that there are and all that will be.
_IN_SCHEMA = {"TABLES IN SCHEMA": "TABLE", "VIEWS IN SCHEMA": "VIEW", "STAGES IN SCHEMA": "STAGE"}
_KINDS = ("WAREHOUSE", "DATABASE", "SCHEMA", "TABLE", "VIEW", "STAGE", *_IN_SCHEMA)
_RIGHT = re.compile(
    r"(?P<privileges>[A-Z ,]+?) ON (?P<kind>" + "|".join(sorted(_KINDS, reverse=True)) + r") (?P<name>[A-Z0-9_.]+)"
)


@dataclass(frozen=True, slots=True)
class Compute:
    """A virtual warehouse. auto_suspend_s: idle seconds after which it stops costing."""

    size: str = "XSMALL"
    auto_suspend_s: int = 60

    def __post_init__(self) -> None:
        if self.size not in SIZES or self.auto_suspend_s < 1:
            raise ConfigurationError(
                f"a warehouse needs a size of {', '.join(SIZES)} and at least 1 s to its suspension"
            )


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """What a role may (kind, name: an object, or a kind of object in a schema), or who has the role: then privilege is
    `ROLE` and kind ROLE or USER."""

    role: str
    privilege: str
    kind: str
    name: str

    def __str__(self) -> str:
        if self.privilege == "ROLE":
            return f"{self.kind.lower()} {self.name} has {self.role}"
        return f"{self.role} may {self.privilege} on {self.kind.lower()} {self.name}"


@dataclass(frozen=True, slots=True)
class Account:
    """Objects of an account; of what is there, only those that are declared."""

    warehouses: Mapping[str, Compute] = field(default_factory=dict)
    roles: frozenset[str] = frozenset()
    grants: frozenset[Grant] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.warehouses or self.roles)


def read_account(document: Mapping[str, Any]) -> Account:
    """The section `account` of the declared state; raises ConfigurationError."""
    if set(document) - {"warehouses", "roles"}:
        raise ConfigurationError("account: knows `warehouses` and `roles` only")
    warehouses = {_name(name): Compute(**entry or {}) for name, entry in (document.get("warehouses") or {}).items()}
    roles: Mapping[str, Any] = document.get("roles") or {}
    grants = {grant for role, entry in roles.items() for grant in _grants(_name(role), entry or {})}
    return Account(warehouses, frozenset(map(_name, roles)), frozenset(grants))


def _grants(role: str, entry: Mapping[str, Any]) -> Iterator[Grant]:
    if set(entry) - {"may", "to"}:
        raise ConfigurationError(f"account: the role {role} knows `may` and `to` only")
    for text in entry.get("may") or ():
        found = _RIGHT.fullmatch(" ".join(str(text).upper().split()))
        if found is None:
            raise ConfigurationError(
                f"account: {text!r} is no right: write `SELECT, INSERT on tables in schema FEEDLINE.IHUB`, "
                "`USAGE on warehouse W`"
            )
        for privilege in found["privileges"].split(","):
            yield Grant(role, privilege.strip(), found["kind"], ".".join(map(_name, found["name"].split("."))))
    for text in entry.get("to") or ():
        kind, _, name = str(text).upper().rpartition(" ")
        if kind not in ("", "ROLE", "USER"):
            raise ConfigurationError(f"account: {text!r} cannot have a role: write a role, or `user NAME`")
        yield Grant(role, "ROLE", kind or "ROLE", _name(name))


def _name(name: object) -> str:
    return quoted(str(name).upper()).strip('"')


def statements(grant: Grant) -> list[str]:
    """What makes it so."""
    role = quoted(grant.role)
    if grant.privilege == "ROLE":
        return [f"GRANT ROLE {role} TO {grant.kind} {quoted(grant.name)}"]
    name = ".".join(map(quoted, grant.name.split(".")))
    if grant.kind not in _IN_SCHEMA:
        return [f"GRANT {grant.privilege} ON {grant.kind} {name} TO ROLE {role}"]
    return [f"GRANT {grant.privilege} ON {when} {grant.kind} {name} TO ROLE {role}" for when in ("ALL", "FUTURE")]


def create_warehouse(name: str, wanted: Compute) -> str:
    return (
        f"CREATE WAREHOUSE IF NOT EXISTS {quoted(name)} WITH WAREHOUSE_SIZE = '{wanted.size}' "
        f"AUTO_SUSPEND = {wanted.auto_suspend_s} AUTO_RESUME = TRUE INITIALLY_SUSPENDED = TRUE"
    )


def alter_warehouse(name: str, wanted: Compute) -> str:
    return f"ALTER WAREHOUSE {quoted(name)} SET WAREHOUSE_SIZE = '{wanted.size}' AUTO_SUSPEND = {wanted.auto_suspend_s}"


def create_role(name: str) -> str:
    return f"CREATE ROLE IF NOT EXISTS {quoted(name)}"


def account_there(connection: SnowflakeConnection, wanted: Account) -> Account:
    """What of it is there. Raises WarehouseUnavailableError, TerminalError when the session may not look."""

    def show(statement: str) -> list[dict[str, Any]]:
        try:
            cursor = connection.cursor()
            cursor.execute(statement)
            rows = cursor.fetchall()
        except Error as error:
            raise translate(error, f"cannot read what there is with `{statement}`") from error
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in rows]

    warehouses = {
        one["name"]: Compute(_size(one["size"]), max(1, int(one["auto_suspend"] or 1)))
        for one in (show("SHOW WAREHOUSES") if wanted.warehouses else [])
        if one["name"] in wanted.warehouses
    }
    names = {one["name"] for one in show("SHOW ROLES")} if wanted.roles else set()
    roles = wanted.roles & names
    in_schema = {grant for grant in wanted.grants if grant.kind in _IN_SCHEMA}
    objects = {place: _objects(show, *place) for place in {(grant.kind, grant.name) for grant in in_schema}}
    found: set[Grant] = set()
    for role in sorted(roles):
        found |= _of_role(show, role, [grant for grant in in_schema if grant.role == role], objects)
    return Account(warehouses, frozenset(roles), frozenset(found & wanted.grants))


Show = Callable[[str], list[dict[str, Any]]]


def _of_role(
    show: Show, role: str, in_schema: Iterable[Grant], objects: Mapping[tuple[str, str], set[str]]
) -> set[Grant]:
    direct = {
        Grant(role, one["privilege"], one["granted_on"].replace("_", " "), one["name"].replace('"', ""))
        for one in show(f"SHOW GRANTS TO ROLE {quoted(role)}")
    }
    future = {
        (one["privilege"], one["grant_on"].replace("_", " "), one["name"].replace('"', "").rpartition(".")[0])
        for one in show(f"SHOW FUTURE GRANTS TO ROLE {quoted(role)}")
    }
    holders = {
        Grant(role, "ROLE", one["granted_to"], one["grantee_name"])
        for one in show(f"SHOW GRANTS OF ROLE {quoted(role)}")
    }
    whole = set()
    for grant in in_schema:
        kind = _IN_SCHEMA[grant.kind]
        names = objects[grant.kind, grant.name]
        each = all(Grant(role, grant.privilege, kind, name) in direct for name in names)
        if each and (grant.privilege, kind, grant.name) in future:
            whole.add(grant)
    return direct | holders | whole


def _objects(show: Show, kind: str, schema: str) -> set[str]:
    """The names of the schema's objects of a kind; none when there is no such schema yet."""
    name = ".".join(map(quoted, schema.split(".")))
    try:
        return {f"{schema}.{one['name']}" for one in show(f"SHOW {kind.replace(' IN SCHEMA', '')} IN SCHEMA {name}")}
    except TerminalError:
        return set()


def _size(shown: str) -> str:
    size = shown.upper().replace("-", "").replace(" ", "")
    return _SHOWN_SIZES.get(size, size)
