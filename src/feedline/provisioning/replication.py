"""The replicas of topics raised or lowered in place: begun, throttled, watched until every one holds all records."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from feedline.errors import BrokerUnavailableError
from feedline.kafka.admin import REQUEST_SECONDS, admin_client
from feedline.kafka.errors import translate
from feedline.kafka.reassignment import (
    FOLLOWER_THROTTLE,
    LEADER_THROTTLE,
    Partition,
    Placed,
    begin,
    placement,
    release,
    throttle,
    under_way,
)
from feedline.kafka.second_client import second_client

# Moving goes on without us: after this long without a partition that is done, somebody has to look.
STALLED_S = 1800.0
LOOK_EVERY_S = 0.5
TELL_EVERY_S = 10.0
BYTES_PER_MB = 1_000_000

Told = Callable[[str], None]


def placed_now(
    base: Mapping[str, Any], topics: Collection[str], listed: Mapping[str, Any]
) -> dict[str, dict[int, Placed]]:
    """Where the replicas of these topics lie. listed: by topic, librdkafka's metadata, which shows replicas that a
    reassignment is only about to fill; those are found out where a partition is not wholly in sync."""
    found = {
        name: {number: Placed(tuple(one.replicas), tuple(one.isrs)) for number, one in listed[name].partitions.items()}
        for name in topics
    }
    unsure = {
        name for name, partitions in found.items() if any(len(p.in_sync) < len(p.replicas) for p in partitions.values())
    }
    if unsure:
        with second_client(base) as client:
            for (topic, number), moving in under_way(client, unsure).items():
                if number in found[topic]:
                    found[topic][number] = replace(moving, in_sync=found[topic][number].in_sync)
    return found


def has_throttle(config: Mapping[str, str]) -> bool:
    """Whether a topic's settings throttle replicas of it."""
    return any(config.get(key) not in (None, "", "None") for key in (LEADER_THROTTLE, FOLLOWER_THROTTLE))


def set_replication(
    base: Mapping[str, Any], wanted: Mapping[str, int], *, mb_per_second: int | None, told: Told = lambda _: None
) -> None:
    """Gives topics so many replicas a partition, in place, and returns when all hold all records.

    One that is under way already, as after a kill, is waited for. mb_per_second: the most that moving may take of a
    broker's network. Raises BrokerUnavailableError when nothing moves for half an hour; it goes on by itself then.
    """
    admin = admin_client(base)
    with second_client(base) as client:
        placed = _placed(admin, client, wanted)
        racks = _racks(admin)
        targets: dict[Partition, list[int]] = {}
        for topic, factor in wanted.items():
            own = {place: one for place, one in placed.items() if place[0] == topic}
            targets |= placement(own, factor, racks)
        # A bound that was changed since holds for what is under way too.
        moving = {place: list(one.target) for place, one in placed.items() if one.coming} | targets
        if moving and mb_per_second:
            throttle(admin, placed, moving, mb_per_second * BYTES_PER_MB)
        elif moving.keys() - targets.keys():
            release(admin, wanted, ())
        if targets:
            begin(client, targets)
        _wait(admin, client, wanted, told)
        release_throttle(admin, client, wanted)


def finish_throttle(base: Mapping[str, Any], topics: Collection[str]) -> None:
    """Takes away what a reassignment that was killed before its end left on topics."""
    with second_client(base) as client:
        release_throttle(admin_client(base), client, topics)


def release_throttle(admin: AdminClient, client: Any, topics: Collection[str]) -> None:
    """From these topics; from the brokers too when nothing else is moved there."""
    brokers = () if under_way(client) else tuple(_racks(admin))
    release(admin, topics, brokers)


def _wait(admin: AdminClient, client: Any, wanted: Mapping[str, int], told: Told) -> None:
    left, changed_at, told_at = None, time.monotonic(), float("-inf")
    while True:
        placed = _placed(admin, client, wanted)
        open_ones = [place for place, one in placed.items() if not _is_done(one, wanted[place[0]])]
        now = time.monotonic()
        if len(open_ones) != left:
            left, changed_at = len(open_ones), now
        if not open_ones or now - told_at > TELL_EVERY_S:
            told(f"{len(placed) - len(open_ones)} of {len(placed)} partitions have their replicas")
            told_at = now
        if not open_ones:
            return
        if now - changed_at > STALLED_S:
            raise BrokerUnavailableError(
                f"{len(open_ones)} partitions are still moved and none was done for {STALLED_S / 60:.0f} minutes: it "
                "goes on by itself; check that every broker runs and that the throttle lets enough through, then apply "
                "again",
                topic=open_ones[0][0],
                partition=open_ones[0][1],
            )
        time.sleep(LOOK_EVERY_S)


def _is_done(one: Placed, factor: int) -> bool:
    moved = not one.coming and not one.going
    return moved and len(one.replicas) == factor and set(one.replicas) <= set(one.in_sync)


def _placed(admin: AdminClient, client: Any, topics: Collection[str]) -> dict[Partition, Placed]:
    try:
        listed = admin.list_topics(timeout=REQUEST_SECONDS).topics
    except KafkaException as error:
        raise translate(error) from error
    # The controller's word comes last: it knows what is under way before the metadata shows it.
    moving = under_way(client, topics)
    found = {}
    for topic in topics:
        for number, one in listed[topic].partitions.items():
            place = (topic, number)
            shown = Placed(tuple(one.replicas), tuple(one.isrs))
            found[place] = replace(moving[place], in_sync=shown.in_sync) if place in moving else shown
    return found


def _racks(admin: AdminClient) -> dict[int, str | None]:
    try:
        nodes = admin.describe_cluster(request_timeout=REQUEST_SECONDS).result().nodes
    except KafkaException as error:
        raise translate(error) from error
    return {node.id: getattr(node, "rack", None) for node in nodes}
