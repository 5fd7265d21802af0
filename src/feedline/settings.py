"""Where the cluster, the registry, the warehouse and the landing folder are: read once, at the edge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from feedline.catalog_files import SETTINGS_VARIABLE, settings_path
from feedline.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Settings:
    """kafka: librdkafka client properties; registry: `SchemaRegistryClient` properties; warehouse: keyword
    arguments of `snowflake.connector.connect`; landing: the folder that feed files arrive in; replication_factor: what
    the cluster can hold when that is less than the catalogue asks, as on the local one-broker stack; archive: where
    the files of produced deliveries are kept, beside the landing folder when it is not named; access: how the services
    tell who calls them (`feedline.services.auth.read_access`); principals: by service (producer, loader, redrive, ...),
    what differs from `kafka` when it is that service that acts, its user and password. The mappings may hold
    secrets, or better name them (`feedline.security.references`), and stay out of the repr."""

    kafka: Mapping[str, Any] = field(repr=False)
    registry: Mapping[str, Any] = field(repr=False)
    warehouse: Mapping[str, Any] = field(repr=False)
    landing: Path
    catalog: Path | None = None
    replication_factor: int | None = None
    archive: Path | None = None
    access: Mapping[str, Any] = field(default_factory=dict, repr=False)
    principals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        # The topic of schemas lies on the same cluster unless other clients' properties are named for it.
        if "feedline.schemas.topic" in self.registry and "feedline.schemas.kafka" not in self.registry:
            object.__setattr__(self, "registry", {**self.registry, "feedline.schemas.kafka": self.kafka})

    def acting_as(self, service: str) -> Settings:
        """The same with the Kafka principal of a service, when the settings have one for it."""
        return replace(self, kafka={**self.kafka, **self.principals.get(service, {})})

    @property
    def archive_folder(self) -> Path:
        return self.archive or self.landing.with_name(f"{self.landing.name}-archive")


def load_settings(path: Path | None = None) -> Settings:
    """Settings of a JSON file: the one given, `$FEEDLINE_SETTINGS`, else that of the local stack.

    Raises ConfigurationError when there is none or it cannot be used.
    """
    file = path or settings_path()
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"no settings: start the local stack with `feedline stack up`, or name a file in ${SETTINGS_VARIABLE}",
            file=str(file),
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the settings cannot be read: {error}", file=str(file)) from error
    try:
        return Settings(
            kafka=document["kafka"],
            registry=document["registry"],
            warehouse=document["warehouse"],
            landing=Path(document["landing"]),
            catalog=Path(document["catalog"]) if document.get("catalog") else None,
            replication_factor=document.get("replication_factor"),
            archive=Path(document["archive"]) if document.get("archive") else None,
            access=document.get("access") or {},
            principals=document.get("principals") or {},
        )
    except (KeyError, TypeError) as error:
        raise ConfigurationError(f"the settings have a wrong or missing entry: {error}", file=str(file)) from error
