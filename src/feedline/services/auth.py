"""Who may call a service: API keys and OIDC tokens, roles, and a gate in front of every route.

The gate stands before the application: no route can be forgotten, and a caller who has not proved who they are
cannot make the service read a body.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Protocol

from anyio import to_thread
from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPBasic, HTTPBearer
from starlette.requests import HTTPConnection
from starlette.types import Scope

from feedline.errors import ConfigurationError
from feedline.services.api_keys import StoredKey, check_key, looks_like_key, read_keys
from feedline.services.problems import ProblemError
from feedline.services.roles import Identity, Role
from feedline.services.tokens import TokenPolicy, TokenVerifier

KEY_HEADER = "x-api-key"
# How long a key that was checked is taken without another scrypt; a change of its entry ends it at once.
KEEP_CHECKED_S = 300.0
MAX_CHECKED = 1000
LOOK_AT_FILE_S = 1.0
# Keys of one address that are checked at the same time: the wrong ones are counted only when they have been.
CHECKS_AT_ONCE = 16


class Authenticates(Protocol):
    """Whatever tells who a caller is: `Authenticator`, or Airflow's own sign-in where the pages are mounted there."""

    async def identify(self, connection: HTTPConnection) -> Identity | None:
        """Who calls; None when no valid credentials came. Raises RetriableError when it cannot be told now,
        ProblemError where the answer has to say something else."""

    def knows(self, connection: HTTPConnection) -> bool:
        """Whether the credentials were found valid a moment ago, told at no cost: others' wrong ones from the same
        address do not keep their owner out."""


@dataclass(frozen=True, slots=True)
class AccessConfig:
    """keys: the file of API keys. tokens: what OIDC tokens must be. At least one of the two."""

    keys: Path | None = None
    tokens: TokenPolicy | None = None

    def __post_init__(self) -> None:
        if self.keys is None and self.tokens is None:
            raise ConfigurationError(
                "a service needs a way to tell who calls it: name a file of API keys (`feedline keys add`) or an OIDC "
                "issuer in the settings, under `access`"
            )


def read_access(document: Mapping[str, Any]) -> AccessConfig:
    """The section `access` of the settings: `keys` (a file) and `oidc` (the fields of `TokenPolicy`).

    Raises ConfigurationError.
    """
    oidc = document.get("oidc")
    try:
        tokens = TokenPolicy(**{**oidc, **_lists(oidc)}) if oidc else None
    except (TypeError, AttributeError) as error:
        raise ConfigurationError(f"the settings of `access.oidc` cannot be used: {error}") from error
    return AccessConfig(Path(document["keys"]) if document.get("keys") else None, tokens)


def _lists(oidc: Mapping[str, Any]) -> dict[str, Any]:
    return {"algorithms": tuple(oidc["algorithms"])} if "algorithms" in oidc else {}


class Authenticator:
    """Tells callers by API key (`X-API-Key`, or as the password of Basic, which registry clients speak) or by token
    (`Authorization: Bearer`)."""

    def __init__(self, config: AccessConfig) -> None:
        self._config = config
        self._tokens = TokenVerifier(config.tokens) if config.tokens else None
        self._keys: dict[str, StoredKey] = {}
        self._keys_stamp: tuple[int, int, int] | None = None
        self._looked_at = float("-inf")
        # Keys that were checked lately, under a digest that only this process can make.
        self._pepper = secrets.token_bytes(32)
        self._checked: dict[bytes, tuple[str, float]] = {}
        self._checking: dict[bytes, asyncio.Future[Identity | None]] = {}
        self._at_work: Counter[str] = Counter()

    async def identify(self, connection: HTTPConnection) -> Identity | None:
        presented = _presented(connection)
        if presented is None:
            return None
        if looks_like_key(presented):
            digest = self._digest(presented)
            if self._is_checked(digest):
                # No scrypt and no file to read: a thread would cost more than the look.
                return self._identity(presented, digest)
            return await self._in_thread(presented, digest, connection.client.host if connection.client else "-")
        tokens = self._tokens
        return await to_thread.run_sync(tokens.verify, presented) if tokens else None

    def knows(self, connection: HTTPConnection) -> bool:
        presented = _presented(connection)
        return presented is not None and looks_like_key(presented) and self._is_kept(self._digest(presented))

    async def _in_thread(self, presented: str, digest: bytes, address: str) -> Identity | None:
        """`identify_key`, once for all that present the same key at the same moment: each scrypt costs more than the
        requests of a second. Raises ProblemError 429 when an address has too many unknown keys at once."""
        checking = self._checking.get(digest)
        if checking is None:
            unknown = not self._is_kept(digest)
            if unknown and self._at_work[address] >= CHECKS_AT_ONCE:
                raise ProblemError(
                    429, "too many keys at once from this address: come again in 1 s", headers={"Retry-After": "1"}
                )
            checking = asyncio.ensure_future(asyncio.to_thread(self.identify_key, presented))
            self._checking[digest] = checking
            self._at_work[address] += unknown

            def done(_: object) -> None:
                del self._checking[digest]
                self._at_work[address] -= unknown
                if not self._at_work[address]:
                    del self._at_work[address]

            checking.add_done_callback(done)
        # A caller who goes away takes the others' answer not along.
        return await asyncio.shield(checking)

    def identify_key(self, presented: str) -> Identity | None:
        """Whose API key it is; None for a wrong, revoked or expired one."""
        if self._config.keys is None:
            return None
        self._look_at_file(self._config.keys)
        return self._identity(presented, self._digest(presented))

    def _identity(self, presented: str, digest: bytes) -> Identity | None:
        known, until = self._checked.get(digest, ("", 0.0))
        entry = self._keys.get(known) if time.monotonic() < until else self._check(presented, digest)
        if entry is None or not entry.usable(datetime.now(UTC)):
            return None
        return Identity(f"key:{entry.name}", Role.of(entry.role))

    def _is_checked(self, digest: bytes) -> bool:
        """Whether `identify_key` would answer at once."""
        return self._is_kept(digest) and time.monotonic() - self._looked_at < LOOK_AT_FILE_S

    def _is_kept(self, digest: bytes) -> bool:
        _, until = self._checked.get(digest, ("", 0.0))
        return time.monotonic() < until

    def _digest(self, presented: str) -> bytes:
        return hmac.digest(self._pepper, presented.encode(), hashlib.sha256)

    def _check(self, presented: str, digest: bytes) -> StoredKey | None:
        entry = check_key(presented, self._keys)
        if entry is not None:
            if len(self._checked) >= MAX_CHECKED:
                self._checked.clear()
            self._checked[digest] = (entry.id, time.monotonic() + KEEP_CHECKED_S)
        return entry

    def _look_at_file(self, file: Path) -> None:
        if time.monotonic() - self._looked_at < LOOK_AT_FILE_S:
            return
        try:
            found = file.stat()
            stamp: tuple[int, int, int] | None = (found.st_mtime_ns, found.st_size, found.st_ino)
        except FileNotFoundError:
            stamp = None
        if stamp != self._keys_stamp:
            keys = read_keys(file)
            checked = list(self._checked.items())
            self._checked = {one: kept for one, kept in checked if keys.get(kept[0]) == self._keys.get(kept[0])}
            self._keys, self._keys_stamp = keys, stamp
        self._looked_at = time.monotonic()


def _presented(connection: HTTPConnection) -> str | None:
    """The key or token that came with a request."""
    key = connection.headers.get(KEY_HEADER)
    if key:
        return key
    scheme, _, rest = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or None
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2] or None
        except (binascii.Error, ValueError):
            return None
    return None


# For the OpenAPI document only: the gate has looked at the credentials before a route is reached.
_schemes = (
    Security(APIKeyHeader(name="X-API-Key", scheme_name="key", auto_error=False)),
    Security(HTTPBearer(scheme_name="token", bearerFormat="JWT", auto_error=False)),
    Security(HTTPBasic(scheme_name="basic", auto_error=False)),
)


def require(role: Role | str) -> Callable[..., Identity]:
    """A dependency that gives the caller's `Identity`, or answers 403 when the caller's role is below the one named:
    `caller: Annotated[Identity, Depends(require("engineer"))]`."""
    needed = Role.of(role) if isinstance(role, str) else role

    def caller(
        request: Request,
        _key: Annotated[Any, _schemes[0]] = None,
        _token: Annotated[Any, _schemes[1]] = None,
        _basic: Annotated[Any, _schemes[2]] = None,
    ) -> Identity:
        return caller_of(request.scope, needed)

    return caller


def caller_of(scope: Scope, needed: Role) -> Identity:
    """Who makes the request, as the gate found; raises ProblemError 403 when their role is below the one needed."""
    identity: Identity | None = scope.get("state", {}).get("identity")
    if identity is None:
        raise ProblemError(401, UNKNOWN_CALLER, headers=CHALLENGE)
    if identity.role < needed:
        raise ProblemError(403, f"{identity.name} is {identity.role} here; this needs the role {needed}")
    return identity


UNKNOWN_CALLER = (
    "no valid credentials: send an API key as X-API-Key (made with `feedline keys add`) or a token as "
    "Authorization: Bearer"
)
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="feedline"'}
