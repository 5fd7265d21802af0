"""A client that lives long takes up a password that was changed, without being made again.

A broker asks for the password when a connection opens, so a change shows as a refused login. Then the password is read
again from where the settings say it is; for as long as that may take to change too, the refusal is kept from
whoever listens to the client's errors, and librdkafka goes on trying.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from confluent_kafka import KafkaError

from feedline.errors import ConfigurationError
from feedline.security.references import Secret, resolve

# Between the cluster's new password and the file's lies a moment, or however long it takes to distribute files.
GRACE_S = 20.0

C = TypeVar("C")
Listener = Callable[[KafkaError], Any]


class PasswordRenewal:
    """Listens to one client's errors; `client` is set once it is made."""

    def __init__(self, settings: Mapping[str, Any], clock: Callable[[], float] = time.monotonic) -> None:
        password = settings.get("sasl.password")
        self._password = password if isinstance(password, Secret) else None
        self._user = str(settings.get("sasl.username", ""))
        self._listener: Listener | None = settings.get("error_cb")
        self._clock = clock
        self._refused_since: float | None = None
        self.client: Any = None

    @property
    def wanted(self) -> bool:
        """Whether the password is one that can change under the client."""
        return self._password is not None

    def on_error(self, error: KafkaError) -> None:
        """librdkafka's `error_cb`."""
        if error.code() == KafkaError._AUTHENTICATION and self._renewed():
            return
        if self._listener is not None:
            self._listener(error)

    def _renewed(self) -> bool:
        """Whether a refused login may yet come right."""
        assert self._password is not None
        try:
            found = resolve(self._password.reference)
        except ConfigurationError:
            # The file is just being replaced, or is gone: the grace decides.
            found = self._password
        if found != self._password and self.client is not None:
            self.client.set_sasl_credentials(self._user, str(found))
            self._password, self._refused_since = found, None
            return True
        now = self._clock()
        if self._refused_since is None or now - self._refused_since > 2 * GRACE_S:
            self._refused_since = now
        return now - self._refused_since < GRACE_S


def open_client(kind: Callable[[dict[str, Any]], C], settings: Mapping[str, Any]) -> C:
    """A client of confluent-kafka that follows its password, when the settings have it by reference; as any other when
    they do not."""
    renewal = PasswordRenewal(settings)
    if not renewal.wanted:
        return kind(dict(settings))
    client = renewal.client = kind({**settings, "error_cb": renewal.on_error})
    return client
