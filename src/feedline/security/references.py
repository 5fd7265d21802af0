"""Secrets by reference: settings name a file or a variable, and the secret is read when a client is made of it.

`{"file": "/run/secrets/kafka"}` is the text of that file without the line end; `{"env": "KAFKA_PASSWORD"}` is that
variable. So a settings file holds no secret, and one that is changed is taken up by the next client.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feedline.errors import ConfigurationError

MAX_SECRET_BYTES = 64 * 1024


class Secret(str):
    """A secret that was read by reference: any client takes it as the text that it is, and its repr shows nothing.

    reference: where it came from, `file` or `env`.
    """

    reference: Mapping[str, str]

    __slots__ = ("reference",)

    def __repr__(self) -> str:
        return "'***'"

    def __reduce__(self) -> tuple[Any, ...]:
        return resolve, (dict(self.reference),)


def is_reference(value: object) -> bool:
    """Whether a setting's value names a secret instead of being one."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in ("file", "env")


def resolve(value: Any) -> Any:
    """The secret that a reference names, as a `Secret`; any other value as it is, mappings and lists looked into.

    Raises ConfigurationError that names the file or the variable, never what is in it.
    """
    if is_reference(value):
        kind, place = next(iter(value.items()))
        secret = Secret(_read_file(place) if kind == "file" else _read_variable(place))
        secret.reference = {kind: place}
        return secret
    if isinstance(value, Mapping):
        return {name: resolve(one) for name, one in value.items()}
    return [resolve(one) for one in value] if isinstance(value, list) else value


def _read_file(place: str) -> str:
    try:
        with Path(place).open("rb") as source:
            content = source.read(MAX_SECRET_BYTES + 1)
        text = content.decode().rstrip("\r\n")
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"a secret cannot be read from its file ({type(error).__name__}): check that it is there and readable",
            file=str(place),
        ) from None
    if not text or len(content) > MAX_SECRET_BYTES:
        raise ConfigurationError("the file of a secret is empty or too large", file=place)
    return text


def _read_variable(name: str) -> str:
    value = os.environ.get(str(name), "")
    if not value:
        raise ConfigurationError(f"a setting takes its secret from the variable {name}, which is not set")
    return value
