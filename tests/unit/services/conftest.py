"""A small service behind the gate, with a key of every role and an issuer of tokens."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, UploadFile
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from feedline.errors import BrokerUnavailableError, ConfigurationError
from feedline.services.api_keys import add_key
from feedline.services.auth import AccessConfig, Authenticator, require
from feedline.services.gate import protect
from feedline.services.limits import Limits
from feedline.services.problems import ProblemError
from feedline.services.roles import Identity, Role
from feedline.services.tokens import TokenPolicy

ISSUER, AUDIENCE = "https://issuer.example", "feedline"


class Issuer:
    """An OIDC provider's signing key, its JWKS file, and tokens."""

    def __init__(self, folder):
        self.jwks = folder / "jwks.json"
        self.new_key("one")

    def new_key(self, kid):
        self.key = ECKey.generate_key("P-256", {"kid": kid})
        self.jwks.write_text(json.dumps(KeySet([self.key]).as_dict(private=False)))

    def token(self, *, algorithm="ES256", key=None, header=None, **claims: Any) -> str:
        now = int(time.time())
        body = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "ada",
            "iat": now,
            "exp": now + 60,
            "roles": ["engineer"],
            **claims,
        }
        body = {name: value for name, value in body.items() if value is not None}
        key = key or self.key
        return jwt.encode(header or {"alg": algorithm, "kid": self.key.kid}, body, key, algorithms=[algorithm])


@pytest.fixture
def issuer(tmp_path):
    return Issuer(tmp_path)


@pytest.fixture(scope="session")
def made_keys(tmp_path_factory):
    """A file of keys, and a key of every role; each costs a moment to make."""
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    return file, {str(role): add_key(file, f"a-{role}", role)[1] for role in Role}


@pytest.fixture
def keys_file(tmp_path, made_keys):
    return Path(shutil.copy(made_keys[0], tmp_path))


@pytest.fixture
def keys(made_keys):
    return made_keys[1]


@pytest.fixture
def config(issuer, keys_file):
    return AccessConfig(keys_file, TokenPolicy(ISSUER, AUDIENCE, str(issuer.jwks)))


@pytest.fixture
def serve(config, keys):
    def make(limits: Limits | None = None) -> TestClient:
        app = FastAPI()

        @app.get("/look")
        def look(caller: Annotated[Identity, Depends(require("viewer"))]) -> str:
            return caller.name

        @app.post("/change")
        def change(body: dict[str, Any], caller: Annotated[Identity, Depends(require(Role.ENGINEER))]) -> str:
            return f"{caller.name} {len(body)}"

        @app.post("/apply")
        def apply(caller: Annotated[Identity, Depends(require("operator"))]) -> str:
            return caller.name

        @app.post("/upload")
        async def upload(file: UploadFile) -> int:
            return len(await file.read())

        @app.get("/fail/{how}")
        def fail(how: str) -> None:
            raise {
                "away": BrokerUnavailableError("no broker: try again"),
                "wrong": ConfigurationError("sasl.password=hunter2-in-a-message is wrong"),
                "bug": RuntimeError("token=hunter2-in-a-message"),
                "unknown": ProblemError(404, "no such subject", error_code=40401),
            }[how]

        protect(app, Authenticator(config), limits)
        return TestClient(app, raise_server_exceptions=False)

    return make


@pytest.fixture
def service(serve):
    return serve()
