"""What a program configures a `FeedProducer` with: librdkafka's settings, and ours beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from feedline.batch.identity import Cycle
from feedline.catalog import Catalog, load_catalog
from feedline.errors import ConfigurationError
from feedline.kafka.config import COMPRESSION, DURABLE, MAX_MESSAGE_BYTES, ClientConfig, canonical, durability_gap
from feedline.security.references import resolve

PREFIX = "feedline."
REGISTRY_PREFIX = "schema.registry."
# librdkafka's own defaults, kept for topics that carry no feed.
PLAIN_MESSAGE_MAX_BYTES = 1_000_000
QUEUE_MAX_MESSAGES = 100_000


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """The settings of ours, each under its configuration key.

    - `feedline.catalog`: a `Catalog`, or the path of a `feeds.yaml`; the installed catalogue if not given
    - `feedline.registry`: `SchemaRegistryClient` properties, or only its URL; `schema.registry.url` and other
      `schema.registry.*` keys do the same
    - `feedline.register.schemas`: register a feed's schema when the registry does not have it; false if not given
    - `feedline.business.date`: of records that bring no `businessDate` header (a date, or `YYYY-MM-DD`); if not given,
      the day it is in `feedline.timezone` (America/New_York) when the record is produced
    - `feedline.cycle`: of records without a `cycle` header, EOD or INTRADAY; INTRADAY if not given
    - `feedline.delivery.id`: of records without a `deliveryId` header; if not given, one a feed, business date, cycle
      and producer, so that two producers never write into one delivery by accident
    - `feedline.source`: the `sourceFile` of records without that header; if not given, the producer's session
    """

    catalog: Catalog = field(repr=False)
    registry: Mapping[str, Any] | None = field(default=None, repr=False)
    register_schemas: bool = False
    business_date: date | None = None
    timezone: str = "America/New_York"
    cycle: Cycle = Cycle.INTRADAY
    delivery_id: str | None = None
    source: str | None = None

    def today(self) -> date:
        """The business date of a record that brings none."""
        if self.business_date is not None:
            return self.business_date
        try:
            return datetime.now(ZoneInfo(self.timezone)).date()
        except (ZoneInfoNotFoundError, ValueError):
            raise ConfigurationError(
                f"no time zone {self.timezone!r} on this machine: set feedline.business.date, or install tzdata"
            ) from None


@dataclass(frozen=True, slots=True)
class ProducerSettings:
    """client: what librdkafka is made with; durability_gap: what in it forbids producing feeds, or None;
    plain_message_max_bytes: the limit on topics that carry no feed; max_records: how many may be outstanding."""

    options: FeedOptions
    client: ClientConfig
    durability_gap: str | None
    plain_message_max_bytes: int
    max_records: int


def split_settings(given: Mapping[str, Any]) -> ProducerSettings:
    """Takes our settings out and lays our defaults under the rest.

    What the caller sets stands, so that a program's other topics behave as before; a setting that would let an
    acknowledged record be lost is refused when a feed is produced. Raises ConfigurationError.
    """
    ours = (PREFIX, REGISTRY_PREFIX)
    client = ClientConfig((key, resolve(value)) for key, value in given.items() if not key.startswith(ours))
    named = canonical(client)
    gap = durability_gap(client)
    if gap is None:
        client.update((key, value) for key, value in DURABLE.items() if key not in named)
    if "compression.type" not in named:
        client.update((key, value) for key, value in COMPRESSION.items() if key not in named)
    plain_max = _number(named, "message.max.bytes", PLAIN_MESSAGE_MAX_BYTES)
    if plain_max is not None:
        client["message.max.bytes"] = max(plain_max, MAX_MESSAGE_BYTES)
    return ProducerSettings(
        options=_options(given),
        client=client,
        durability_gap=gap,
        plain_message_max_bytes=plain_max or PLAIN_MESSAGE_MAX_BYTES,
        # Zero is librdkafka's word for no limit.
        max_records=_number(named, "queue.buffering.max.messages", QUEUE_MAX_MESSAGES) or 2**31,
    )


def _number(settings: Mapping[str, Any], name: str, default: int) -> int | None:
    """A number of librdkafka's; None for what is no number, which librdkafka refuses in its own words."""
    try:
        return int(settings.get(name, default))
    except (TypeError, ValueError):
        return None


def _options(given: Mapping[str, Any]) -> FeedOptions:
    ours = {key.removeprefix(PREFIX): value for key, value in given.items() if key.startswith(PREFIX)}
    registry = ours.pop("registry", None)
    if isinstance(registry, str):
        registry = {"url": registry}
    separate = {k.removeprefix(REGISTRY_PREFIX): v for k, v in given.items() if k.startswith(REGISTRY_PREFIX)}
    if separate:
        registry = {**(registry or {}), **separate}
    catalog = ours.pop("catalog", None)
    settings = {key.replace(".", "_"): value for key, value in ours.items()}
    known = set(FeedOptions.__dataclass_fields__)
    unknown = [key for key in ours if key.replace(".", "_") not in known]
    if unknown:
        names = ", ".join(f"{PREFIX}{name.replace('_', '.')}" for name in sorted(known))
        raise ConfigurationError(f"no setting {PREFIX}{unknown[0]}; there are: {names}")
    if "business_date" in settings:
        settings["business_date"] = parse_business_date(settings["business_date"], "feedline.business.date")
    if "cycle" in settings:
        settings["cycle"] = parse_cycle(settings["cycle"], "feedline.cycle")
    if "register_schemas" in settings:
        settings["register_schemas"] = str(settings["register_schemas"]).lower() in ("true", "1")
    if not isinstance(catalog, Catalog):
        catalog = load_catalog(None if catalog is None else Path(catalog))
    return FeedOptions(catalog=catalog, registry=registry, **settings)


def parse_business_date(value: object, name: str) -> date:
    """A date, or the text of one; raises ConfigurationError naming the setting or header."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        text = str(value)
        found = date.fromisoformat(text)
    except ValueError:
        found, text = date.min, ""
    if len(text) != 10:
        raise ConfigurationError(f"{name} is {value!r}: write it as YYYY-MM-DD")
    return found


def parse_cycle(value: object, name: str) -> Cycle:
    """EOD or INTRADAY; raises ConfigurationError naming the setting or header."""
    try:
        return Cycle(str(value))
    except ValueError:
        raise ConfigurationError(f"{name} is {value!r}: it is {' or '.join(Cycle)}") from None
