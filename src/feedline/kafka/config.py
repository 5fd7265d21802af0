"""Client configuration: the one place that names librdkafka settings.

`base` is always the cluster's connection (`bootstrap.servers`, `security.protocol`, `sasl.*`, `ssl.*`) and whatever
else an operator sets; what is named here is laid over or under it. The result may hold secrets and hides them in its
repr.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from feedline.errors import ConfigurationError
from feedline.security.references import resolve

_SECRET = re.compile(r"password|secret|\.key$|\.key\.pem|user\.info|token|jaas|oauthbearer\.config", re.IGNORECASE)

# One message may hold a whole micro-batch before compression; the broker's own limit is on the compressed size.
MAX_MESSAGE_BYTES = 8 * 1024 * 1024

# Promise 3: a reported success means durable.
DURABLE: Mapping[str, Any] = {"acks": "all", "enable.idempotence": True}

# Level 1 costs a third of the time of librdkafka's default level 3 and is a few per cent larger.
COMPRESSION: Mapping[str, Any] = {"compression.type": "zstd", "compression.level": 1}

_PRODUCER_DEFAULTS: Mapping[str, Any] = {
    **COMPRESSION,
    "linger.ms": 20,
    "message.max.bytes": MAX_MESSAGE_BYTES,
    "queue.buffering.max.kbytes": 128 * 1024,
    "delivery.timeout.ms": 120_000,
}

_CONSUMER_DEFAULTS: Mapping[str, Any] = {
    "auto.offset.reset": "error",
    "fetch.message.max.bytes": MAX_MESSAGE_BYTES,
    "queued.max.messages.kbytes": 64 * 1024,
}

_CONSUMER_FIXED: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_committed",
}

# librdkafka's other spellings of the settings that decide durability.
_ALIASES: Mapping[str, str] = {
    "request.required.acks": "acks",
    "max.in.flight": "max.in.flight.requests.per.connection",
    "message.send.max.retries": "retries",
    "compression.codec": "compression.type",
    "queue.buffering.max.ms": "linger.ms",
    "message.timeout.ms": "delivery.timeout.ms",
}

# Settings that only one kind of client knows; librdkafka warns when another is given them.
_PRODUCER_ONLY = frozenset(
    {
        *DURABLE,
        *_PRODUCER_DEFAULTS.keys() - {"message.max.bytes"},
        *_ALIASES.keys() - {"max.in.flight"},
        "batch.num.messages",
        "batch.size",
        "delivery.report.only.error",
        "enable.gapless.guarantee",
        "on_delivery",
        "partitioner",
        "queue.buffering.max.messages",
        "request.timeout.ms",
        "retries",
        "sticky.partitioning.linger.ms",
        "transaction.timeout.ms",
        "transactional.id",
    }
)
_CONSUMER_ONLY = frozenset(
    {
        *_CONSUMER_FIXED,
        *_CONSUMER_DEFAULTS.keys() - {"fetch.message.max.bytes"},
        "auto.commit.interval.ms",
        "check.crcs",
        "enable.partition.eof",
        "fetch.max.bytes",
        "fetch.min.bytes",
        "fetch.wait.max.ms",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "heartbeat.interval.ms",
        "max.partition.fetch.bytes",
        "max.poll.interval.ms",
        "partition.assignment.strategy",
        "queued.min.messages",
        "session.timeout.ms",
    }
)


class ClientConfig(dict[str, Any]):
    """A client's settings, ready for confluent-kafka, whose repr shows no secret."""

    def __repr__(self) -> str:
        return repr({key: "***" if _SECRET.search(key) else value for key, value in self.items()})


def canonical(settings: Mapping[str, Any]) -> ClientConfig:
    """The settings under one name each; `default.topic.config`, librdkafka's old second level, is folded in, and
    secrets by reference are read. Raises ConfigurationError when one cannot be."""
    flat = dict(settings.get("default.topic.config") or {})
    flat.update((key, value) for key, value in settings.items() if key != "default.topic.config")
    return ClientConfig({_ALIASES.get(key, key): resolve(value) for key, value in flat.items()})


def _is_false(value: object) -> bool:
    return str(value).lower() in ("false", "0", "f")


def durability_gap(settings: Mapping[str, Any]) -> str | None:
    """What in the caller's settings forbids acks=all with idempotence, or None when nothing does."""
    named = canonical(settings)
    if "acks" in named and str(named["acks"]).lower() not in ("all", "-1"):
        return f"acks={named['acks']}"
    if "enable.idempotence" in named and _is_false(named["enable.idempotence"]):
        return "enable.idempotence=false"
    if str(named.get("retries", 1)) == "0":
        return "retries=0"
    if str(named.get("queuing.strategy", "fifo")) != "fifo":
        return f"queuing.strategy={named['queuing.strategy']}"
    in_flight = str(named.get("max.in.flight.requests.per.connection", 1))
    if in_flight.isdigit() and int(in_flight) > 5:
        return f"max.in.flight={in_flight} (5 at most)"
    return None


def require_durable(settings: Mapping[str, Any]) -> None:
    """Raises ConfigurationError when the settings ask for less than acks=all and idempotence."""
    gap = durability_gap(settings)
    if gap:
        raise ConfigurationError(
            f"{gap} would let an acknowledged record be lost: leave it out, feeds are always produced with acks=all "
            f"and idempotence"
        )


def producer_config(base: Mapping[str, Any]) -> ClientConfig:
    """A durable producer: acks=all and idempotence always; zstd and the rest unless the base says otherwise.

    Raises ConfigurationError when the base asks for less.
    """
    require_durable(base)
    return ClientConfig({**_PRODUCER_DEFAULTS, **_without(base, _CONSUMER_ONLY), **DURABLE})


def consumer_config(base: Mapping[str, Any], *, group_id: str) -> ClientConfig:
    """A consumer that commits nothing by itself, sees committed records only and never skips silently.

    librdkafka wants a group id also of a consumer that only assigns partitions.
    """
    return ClientConfig(
        {**_CONSUMER_DEFAULTS, **_without(base, _PRODUCER_ONLY), **_CONSUMER_FIXED, "group.id": group_id}
    )


def admin_config(base: Mapping[str, Any]) -> ClientConfig:
    """The base without what only producers and consumers know."""
    return ClientConfig(_without(base, _PRODUCER_ONLY | _CONSUMER_ONLY | {"stats_cb"}))


def _without(base: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in canonical(base).items() if name not in names}
