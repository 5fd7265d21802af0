"""The one place that names librdkafka settings.

A base is what reaches a cluster (`bootstrap.servers`, `security.protocol`, credentials); each function adds what its
kind of client must have. A base may tune a client, but not weaken what the promises rest on: ConfigurationError.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feedline.errors import ConfigurationError

ClientConfig = dict[str, Any]

# One message may hold a whole micro-batch before compression; topics allow as much (Topic.max_message_bytes).
MAX_MESSAGE_BYTES = 8 * 1024 * 1024

# Promise 3: a reported success means durable.
_DURABLE: Mapping[str, Any] = {"acks": "all", "enable.idempotence": True}
_SAME: Mapping[str, frozenset[str]] = {
    "acks": frozenset({"all", "-1"}),
    "request.required.acks": frozenset({"all", "-1"}),
    "enable.idempotence": frozenset({"true"}),
}

_PRODUCER_DEFAULTS: Mapping[str, Any] = {
    "compression.type": "zstd",
    "compression.level": 1,
    "linger.ms": 20,
    "message.max.bytes": MAX_MESSAGE_BYTES,
    "queue.buffering.max.kbytes": 128 * 1024,
    "delivery.timeout.ms": 120_000,
}

_CONSUMER_DEFAULTS: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
    "fetch.message.max.bytes": MAX_MESSAGE_BYTES,
    "queued.max.messages.kbytes": 64 * 1024,
}

# Settings that only one kind of client knows; librdkafka warns when another is given them.
_PRODUCER_ONLY = frozenset({*_DURABLE, *_PRODUCER_DEFAULTS, "request.required.acks"} - {"message.max.bytes"})
_CONSUMER_ONLY = frozenset({*_CONSUMER_DEFAULTS, "group.id"} - {"fetch.message.max.bytes"})


def require_durable(config: Mapping[str, Any]) -> None:
    """Raises ConfigurationError when a configuration asks for less than acks=all and idempotence."""
    for name, allowed in _SAME.items():
        if name in config and str(config[name]).lower() not in allowed:
            raise ConfigurationError(
                f"{name}={config[name]!r} would let an acknowledged record be lost: "
                f"leave it out, feeds are always produced with acks=all and idempotence"
            )


def producer_config(base: Mapping[str, Any]) -> ClientConfig:
    """A durable producer: acks=all and idempotence always, zstd unless the base says otherwise."""
    require_durable(base)
    return {**_PRODUCER_DEFAULTS, **_without(base, _CONSUMER_ONLY), **_DURABLE}


def consumer_config(base: Mapping[str, Any], *, group_id: str) -> ClientConfig:
    """A consumer that commits nothing by itself and sees committed records only."""
    return {**_CONSUMER_DEFAULTS, **_without(base, _PRODUCER_ONLY), "group.id": group_id, "enable.auto.commit": False}


def admin_config(base: Mapping[str, Any]) -> ClientConfig:
    return _without(base, _PRODUCER_ONLY | _CONSUMER_ONLY)


def _without(base: Mapping[str, Any], names: frozenset[str]) -> ClientConfig:
    return {name: value for name, value in base.items() if name not in names}
