"""How fast users and clients may send, read and ask: Kafka's client quotas."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feedline.errors import BrokerUnavailableError, ConfigurationError
from feedline.kafka.second_client import second_client, wire_error

# Bytes a second and broker; share of a broker's time in per cent of one thread; topic changes a second.
QUOTA_KEYS = ("producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate")
DEFAULT = "*"
SHOWN_WITHIN_S = 60.0

Values = Mapping[str, float | None]


@dataclass(frozen=True, slots=True, order=True)
class QuotaOf:
    """Whom a quota is for: a user, a client id, or a user's client id; `*` is whoever has no quota of their own."""

    user: str = ""
    client: str = ""

    def __post_init__(self) -> None:
        if not self.user and not self.client:
            raise ConfigurationError("a quota needs a user or a client, `*` for all that have none of their own")

    def __str__(self) -> str:
        parts = (("user", self.user), ("client", self.client))
        return " ".join(f"{kind} {name}" for kind, name in parts if name)


def read_quotas(base: Mapping[str, Any]) -> dict[QuotaOf, dict[str, float]]:
    """Every quota of users and client ids."""
    with second_client(base) as client:
        return _read(client)


def put_quotas(base: Mapping[str, Any], wanted: Mapping[QuotaOf, Values]) -> None:
    """Sets these values, and takes away those that are None; returns when the cluster shows them.

    Raises what `second_client` raises, AuthenticationError without ALTER_CONFIGS on the cluster.
    """
    with second_client(base) as client:
        _alter(client, wanted)
        deadline = time.monotonic() + SHOWN_WITHIN_S
        while not _shown(wanted, _read(client)):
            if time.monotonic() > deadline:
                raise BrokerUnavailableError("the cluster took the quotas but does not show them yet: apply again")
            time.sleep(0.1)


def _shown(wanted: Mapping[QuotaOf, Values], found: Mapping[QuotaOf, Mapping[str, float]]) -> bool:
    return all(found.get(one, {}).get(key) == value for one, values in wanted.items() for key, value in values.items())


def _alter(client: Any, wanted: Mapping[QuotaOf, Values]) -> None:
    from kafka.protocol.admin.client_quotas import AlterClientQuotasRequest  # noqa: PLC0415

    entry = AlterClientQuotasRequest.EntryData
    entries = [
        entry(
            entity=[
                entry.EntityData(entity_type=kind, entity_name=None if name == DEFAULT else name)
                for kind, name in (("user", one.user), ("client-id", one.client))
                if name
            ],
            ops=[
                entry.OpData(key=key, value=0.0 if value is None else float(value), remove=value is None)
                for key, value in values.items()
            ],
        )
        for one, values in wanted.items()
    ]
    for answer in _ask(client, AlterClientQuotasRequest(entries=entries, validate_only=False)).entries:
        _refuse(answer)


def _read(client: Any) -> dict[QuotaOf, dict[str, float]]:
    from kafka.protocol.admin.client_quotas import DescribeClientQuotasRequest  # noqa: PLC0415

    answer = _ask(client, DescribeClientQuotasRequest(components=[], strict=False))
    _refuse(answer)
    found = {}
    for entry in answer.entries or []:
        names = {one.entity_type: one.entity_name or DEFAULT for one in entry.entity}
        if names.keys() <= {"user", "client-id"}:
            values = {value.key: float(value.value) for value in entry.values}
            found[QuotaOf(names.get("user", ""), names.get("client-id", ""))] = values
    return found


def _ask(client: Any, request: Any) -> Any:
    # The client knows these messages and has no method for them.
    manager = client._manager
    return manager.run(manager.send, request)


def _refuse(answer: Any) -> None:
    from kafka.errors import for_code  # noqa: PLC0415

    if answer.error_code:
        raise wire_error(for_code(answer.error_code)(answer.error_message or ""))
