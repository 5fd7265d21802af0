"""Tokens of an OIDC provider: signature, issuer, audience, times and roles, checked with joserfc."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from feedline.errors import ConfigurationError, RetriableError
from feedline.services.roles import Identity, Role

# Signatures by a key that only the provider has. Never `none`, and none with a shared secret: with one, a public key
# taken from the JWKS would sign tokens.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
LEEWAY_S = 30
KEEP_KEYS_S = 600.0
ASK_AGAIN_S = 30.0
MAX_KEYS_BYTES = 1 << 20
MAX_TOKEN_CHARS = 16 * 1024
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class TokenPolicy:
    """What a token must be. jwks: file or https URL of the provider's public keys. role_claim: where the roles stand,
    dots for nesting (`realm_access.roles`); roles: the provider's names to ours; name_claim: what the audit trail
    shows, which must be stable and unique."""

    issuer: str
    audience: str
    jwks: str
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    role_claim: str = "roles"
    roles: Mapping[str, str] = field(default_factory=lambda: {str(role): str(role) for role in Role})
    name_claim: str = "sub"
    max_age_s: int = 24 * 3600

    def __post_init__(self) -> None:
        wrong = set(self.algorithms) - set(ALGORITHMS)
        if wrong or not self.algorithms:
            raise ConfigurationError(
                f"tokens cannot be accepted with the algorithms {sorted(wrong)}: choose among {', '.join(ALGORITHMS)}"
            )
        if not self.issuer or not self.audience:
            raise ConfigurationError("tokens need an issuer and an audience to be held against")
        for name in self.roles.values():
            Role.of(name)
        url = urlsplit(self.jwks)
        if url.scheme == "http" and url.hostname not in _LOOPBACK:
            raise ConfigurationError("the keys of a token's issuer must come over https", file=self.jwks)


class TokenVerifier:
    """Checks tokens; keeps the provider's keys for ten minutes, and asks again for one that names an unknown key."""

    def __init__(self, policy: TokenPolicy) -> None:
        self.policy = policy
        self._keys: KeySet | None = None
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def verify(self, token: str) -> Identity | None:
        """Whose token it is; None for one that is not valid here, or carries no role of ours.

        Raises RetriableError when the provider's keys cannot be had.
        """
        if len(token) > MAX_TOKEN_CHARS:
            return None
        try:
            claims = self._claims(token, self._key_set(KEEP_KEYS_S))
        except InvalidKeyIdError:
            # The provider may have changed its keys; a caller cannot make us ask more often than this.
            try:
                claims = self._claims(token, self._key_set(ASK_AGAIN_S))
            except (JoseError, ValueError, TypeError):
                return None
        except (JoseError, ValueError, TypeError):
            return None
        return self._identity(claims)

    def _claims(self, token: str, keys: KeySet) -> dict[str, Any]:
        decoded = jwt.decode(token, keys, algorithms=list(self.policy.algorithms))
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self.policy.issuer},
            aud={"essential": True, "value": self.policy.audience},
            exp={"essential": True},
        )
        registry.validate(decoded.claims)
        issued = decoded.claims.get("iat")
        if issued is not None and time.time() - float(issued) > self.policy.max_age_s + LEEWAY_S:
            raise ValueError("older than tokens may be")
        return dict(decoded.claims)

    def _identity(self, claims: Mapping[str, Any]) -> Identity | None:
        name = claims.get(self.policy.name_claim)
        found: Any = claims
        for part in self.policy.role_claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        names = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
        roles = [Role.of(self.policy.roles[one]) for one in names if isinstance(one, str) and one in self.policy.roles]
        if not isinstance(name, str) or not name or not roles:
            return None
        return Identity(f"oidc:{name[:200]}", max(roles))

    def _key_set(self, not_older_than_s: float) -> KeySet:
        with self._lock:
            if self._keys is None or time.monotonic() - self._read_at > not_older_than_s:
                try:
                    self._keys = KeySet.import_key_set(json.loads(_read(self.policy.jwks)))
                except (OSError, httpx.HTTPError, ValueError, KeyError, TypeError, JoseError) as error:
                    if self._keys is None:
                        raise RetriableError(
                            f"the keys of the tokens' issuer cannot be read ({type(error).__name__}): check the "
                            "setting `jwks` and that the provider answers",
                            file=self.policy.jwks,
                        ) from error
                # Also after a failure, so that a provider that is away is not asked at every request.
                self._read_at = time.monotonic()
            return self._keys


def _read(place: str) -> bytes:
    if not place.startswith(("http://", "https://")):
        return Path(place).read_bytes()
    with httpx.stream("GET", place, timeout=5, follow_redirects=False) as answer:
        answer.raise_for_status()
        body = b""
        for part in answer.iter_bytes():
            body += part
            if len(body) > MAX_KEYS_BYTES:
                raise ValueError("too large")
        return body
