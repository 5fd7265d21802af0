"""Replicas moved between brokers while the topic is used: where they should lie, begun, watched, throttled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from feedline.errors import ConfigurationError
from feedline.kafka.errors import translate
from feedline.kafka.second_client import wire_error

REQUEST_SECONDS = 30.0
LEADER_THROTTLE, FOLLOWER_THROTTLE = (f"{role}.replication.throttled.replicas" for role in ("leader", "follower"))
_RATES = tuple(f"{role}.replication.throttled.rate" for role in ("leader", "follower"))

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a partition's replicas lie, the preferred leader first. coming, going: those that a reassignment under way
    adds and takes away, which `replicas` has too."""

    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    coming: tuple[int, ...] = ()
    going: tuple[int, ...] = ()

    @property
    def settled(self) -> tuple[int, ...]:
        """Those that hold all records for certain."""
        return tuple(one for one in self.replicas if one not in self.coming)

    @property
    def target(self) -> tuple[int, ...]:
        """Those that there will be when what is under way is done."""
        return tuple(one for one in self.replicas if one not in self.going)


def placement(
    placed: Mapping[Partition, Placed], factor: int, racks: Mapping[int, str | None]
) -> dict[Partition, list[int]]:
    """Where the replicas of those partitions go that have or will have another number of them than `factor`.

    Nothing that is there is moved: replicas are added on brokers of racks that the partition has none in, the least
    laden first; too many are taken away from the end, those first that are not in sync. racks: of every broker.
    Raises ConfigurationError for more replicas than brokers.
    """
    if factor > len(racks):
        raise ConfigurationError(f"{factor} replicas need as many brokers: the cluster has {len(racks)}")
    load = Counter(broker for one in placed.values() for broker in one.target)
    found = {}
    for partition, one in sorted(placed.items()):
        chosen = list(one.target)
        if len(chosen) > factor:
            chosen.sort(key=lambda broker, one=one: broker not in one.in_sync)  # type: ignore[misc]
            del chosen[factor:]
        while len(chosen) < factor:
            used = Counter(racks.get(broker) for broker in chosen if racks.get(broker) is not None)
            free = [broker for broker in racks if broker not in chosen]
            best = min(free, key=lambda broker, used=used: (used[racks[broker]], load[broker], broker))  # type: ignore[misc]
            chosen.append(best)
            load[best] += 1
        if chosen != list(one.target):
            found[partition] = chosen
    return found


def under_way(client: Any, topics: Iterable[str] | None = None) -> dict[Partition, Placed]:
    """The partitions of these topics, or of all, that a reassignment moves now. client: of `second_client`."""
    wanted = None if topics is None else set(topics)
    listed = client.list_partition_reassignments()
    return {
        (place.topic, place.partition): Placed(
            tuple(one["replicas"]), (), tuple(one["adding_replicas"]), tuple(one["removing_replicas"])
        )
        for place, one in listed.items()
        if wanted is None or place.topic in wanted
    }


def begin(client: Any, targets: Mapping[Partition, list[int]]) -> None:
    """Starts moving; the same again changes nothing. Raises what the controller refuses a partition with."""
    from kafka import TopicPartition  # noqa: PLC0415

    asked: dict[Any, list[int]] = {
        TopicPartition(topic, number): replicas for (topic, number), replicas in targets.items()
    }
    for place, refused in client.alter_partition_reassignments(asked).items():
        if refused is not None:
            raise wire_error(refused, topic=place.topic)


def throttle(
    admin: AdminClient, placed: Mapping[Partition, Placed], targets: Mapping[Partition, list[int]], rate: int
) -> None:
    """Bounds what moving costs: `rate` bytes a second and broker, for the replicas that move and for no others."""
    leaders: dict[str, list[str]] = {}
    followers: dict[str, list[str]] = {}
    for partition, replicas in targets.items():
        topic, number = partition
        has = placed[partition].settled
        leaders.setdefault(topic, []).extend(f"{number}:{broker}" for broker in has)
        followers.setdefault(topic, []).extend(f"{number}:{broker}" for broker in replicas if broker not in has)
    brokers = {broker for one in (*targets.values(), *(placed[p].replicas for p in targets)) for broker in one}
    resources = [_altered(ResourceType.BROKER, str(broker), dict.fromkeys(_RATES, str(rate))) for broker in brokers]
    resources += [
        _altered(
            ResourceType.TOPIC,
            topic,
            {LEADER_THROTTLE: ",".join(leaders[topic]), FOLLOWER_THROTTLE: ",".join(followers[topic])},
        )
        for topic in leaders
    ]
    _alter(admin, resources)


def release(admin: AdminClient, topics: Iterable[str], brokers: Iterable[int]) -> None:
    """Takes the throttle from topics, and from brokers the rate."""
    gone = dict.fromkeys((LEADER_THROTTLE, FOLLOWER_THROTTLE))
    resources = [_altered(ResourceType.TOPIC, topic, gone) for topic in topics]
    resources += [_altered(ResourceType.BROKER, str(broker), dict.fromkeys(_RATES)) for broker in brokers]
    _alter(admin, resources)


def _altered(kind: ResourceType, name: str, values: Mapping[str, str | None]) -> ConfigResource:
    entries = [
        ConfigEntry(
            key,
            value,
            incremental_operation=AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET,
        )
        for key, value in values.items()
    ]
    return ConfigResource(kind, name, incremental_configs=entries)


def _alter(admin: AdminClient, resources: list[ConfigResource]) -> None:
    # A request may name one broker only: it is the broker itself that takes it.
    topics = [one for one in resources if one.restype == ResourceType.TOPIC]
    for group in ([topics] if topics else []) + [[one] for one in resources if one.restype == ResourceType.BROKER]:
        for resource, future in admin.incremental_alter_configs(group, request_timeout=REQUEST_SECONDS).items():
            try:
                future.result()
            except KafkaException as error:
                raise translate(error, topic=resource.name if group is topics else None) from error
