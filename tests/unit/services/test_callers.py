"""Who gets in: keys and tokens that are right and nothing else, each with its role."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from joserfc.jwk import ECKey
from starlette.requests import HTTPConnection

from feedline.errors import ConfigurationError
from feedline.services import auth
from feedline.services.api_keys import add_key, read_keys, revoke_key
from feedline.services.auth import AccessConfig, Authenticator, read_access
from feedline.services.gate import protect
from feedline.services.limits import Limits
from feedline.services.roles import Role
from feedline.services.tokens import TokenPolicy, TokenVerifier

# Of one address.
CHECKS_AT_ONCE = 16


def _with_key(key):
    return {"X-API-Key": key}


def _with_token(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(("role", "allowed"), [("viewer", 1), ("engineer", 2), ("operator", 3)])
def test_a_role_may_what_the_ones_below_it_may(service, keys, role, allowed):
    headers = _with_key(keys[role])
    answers = [
        service.get("/look", headers=headers),
        service.post("/change", json={}, headers=headers),
        service.post("/apply", headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [200] * allowed + [403] * (3 - allowed)
    assert answers[0].json() == f"key:a-{role}"


@pytest.mark.parametrize("path", ["/look", "/no-such-path", "/upload", "/docs"])
def test_nothing_is_told_to_a_caller_without_credentials(service, path):
    answer = service.get(path)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_key_comes_as_header_bearer_or_the_password_of_basic(service, keys):
    key = keys["viewer"]
    for headers in (
        _with_key(key),
        _with_token(key),
        {"Authorization": "Basic " + base64.b64encode(f"anybody:{key}".encode()).decode()},
    ):
        assert service.get("/look", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    ["", "x", "fl_", "fl_000000000000_" + "a" * 43, "Basic !!", "ключ".encode(), "fl_" + "0" * 12 + "_" + "a" * 10_000],
)
def test_what_is_no_key_does_not_get_in(service, wrong):
    assert service.get("/look", headers={"X-API-Key": wrong}).status_code == 401


def test_another_secret_under_a_known_id_does_not_get_in(service, keys):
    key = keys["viewer"]
    other = key[:-1] + ("A" if key[-1] != "A" else "B")
    assert service.get("/look", headers=_with_key(key)).status_code == 200
    assert service.get("/look", headers=_with_key(other)).status_code == 401


def test_a_revoked_or_expired_key_is_refused_by_a_service_that_runs(config, keys, keys_file, monkeypatch):
    authenticator = Authenticator(config)
    monkeypatch.setattr("feedline.services.auth.LOOK_AT_FILE_S", 0.0)
    assert authenticator.identify_key(keys["viewer"]).name == "key:a-viewer"
    revoke_key(keys_file, keys["viewer"].split("_")[1])
    assert authenticator.identify_key(keys["viewer"]) is None
    expired = add_key(keys_file, "late", Role.OPERATOR, expires=datetime.now(UTC) - timedelta(seconds=1))[1]
    assert authenticator.identify_key(expired) is None


def test_the_file_holds_no_key_and_is_its_owners(keys, keys_file):
    text = keys_file.read_text()
    assert not any(key.split("_", 2)[2] in text for key in keys.values())
    assert keys_file.stat().st_mode & 0o777 == 0o600
    assert all(stored.digest not in repr(stored) for stored in read_keys(keys_file).values())


def test_a_token_of_the_issuer_gets_in_with_its_highest_role(service, issuer):
    assert service.get("/look", headers=_with_token(issuer.token())).json() == "oidc:ada"
    operator = issuer.token(roles=["viewer", "operator", "somewhere-else"])
    assert service.post("/apply", headers=_with_token(operator)).status_code == 200


WRONG_CLAIMS = {
    "another issuer": {"iss": "https://other.example"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "other"},
    "no audience": {"aud": None},
    "expired": {"exp": 1},
    "without an end": {"exp": None},
    "not yet": {"nbf": 2**31},
    "very old": {"iat": 1},
    "no role": {"roles": []},
    "an unknown role": {"roles": ["root"]},
    "no name": {"sub": None},
    "a strange name": {"sub": {"a": 1}},
    "strange times": {"exp": "tomorrow"},
}


@pytest.mark.parametrize("claims", WRONG_CLAIMS.values(), ids=list(WRONG_CLAIMS))
def test_a_token_with_wrong_claims_does_not_get_in(service, issuer, claims):
    assert service.get("/look", headers=_with_token(issuer.token(**claims))).status_code == 401


def test_a_token_that_the_issuer_did_not_sign_does_not_get_in(service, issuer):
    own = ECKey.generate_key("P-256", {"kid": "one"})
    head, body, mark = issuer.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**claims, "roles": ["operator"]}).encode()).decode().rstrip("=")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    # The public key taken for a shared secret: the usual trick with a verifier that believes the header.
    hs256 = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').decode().rstrip("=")
    digest = hmac.digest(issuer.key.as_pem(private=False), f"{hs256}.{forged}".encode(), "sha256")
    shared = f"{hs256}.{forged}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
    for token in (
        issuer.token(key=own), f"{head}.{forged}.{mark}", f"{none}.{forged}.", shared, "a.b.c", "..", "x" * 20_000,
    ):  # fmt: skip
        assert service.get("/look", headers=_with_token(token)).status_code == 401


def test_keys_that_the_issuer_changed_are_read_again(config, issuer, monkeypatch):
    verifier = TokenVerifier(config.tokens)
    assert verifier.verify(issuer.token()).role is Role.ENGINEER
    issuer.new_key("two")
    monkeypatch.setattr("feedline.services.tokens.ASK_AGAIN_S", 0.0)
    time.sleep(0.01)
    assert verifier.verify(issuer.token()).role is Role.ENGINEER


def test_an_issuer_that_is_away_is_an_answer_for_later(service, issuer):
    token = issuer.token()
    issuer.jwks.unlink()
    answer = service.get("/look", headers=_with_token(token))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"oidc": {"issuer": "i", "audience": "a", "jwks": "f", "algorithms": ["none"]}},
        {"oidc": {"issuer": "i", "audience": "a", "jwks": "f", "algorithms": ["HS256"]}},
        {"oidc": {"issuer": "i", "audience": "a", "jwks": "http://keys.example/jwks"}},
        {"oidc": {"issuer": "", "audience": "a", "jwks": "f"}},
        {"oidc": {"issuer": "i", "audience": "a", "jwks": "f", "roles": {"admin": "root"}}},
        {"oidc": {"issuers": "i"}},
    ],
)
def test_access_that_would_not_be_safe_cannot_be_configured(section):
    with pytest.raises(ConfigurationError):
        read_access(section)


def test_access_is_read_from_the_settings(tmp_path):
    oidc = {"issuer": "i", "audience": "a", "jwks": "f", "algorithms": ["RS256"], "role_claim": "realm_access.roles"}
    found = read_access({"keys": str(tmp_path / "k"), "oidc": oidc})
    assert found == AccessConfig(
        tmp_path / "k", TokenPolicy("i", "a", "f", algorithms=("RS256",), role_claim="realm_access.roles")
    )


def test_callers_with_one_key_at_once_cost_one_check(tmp_path, monkeypatch):
    """A service that was just started is asked by all its callers at once, and a check takes a core for a while."""
    _, key = add_key(tmp_path / "keys.json", "desk", Role.OPERATOR)
    checked, check = [], auth.check_key
    monkeypatch.setattr(auth, "check_key", lambda *given: checked.append(given) or check(*given))
    authenticator = Authenticator(AccessConfig(tmp_path / "keys.json"))

    async def ask(presented):
        connection = HTTPConnection({"type": "http", "headers": [(b"x-api-key", presented.encode())]})
        return await asyncio.gather(*(authenticator.identify(connection) for _ in range(20)))

    assert {one.name for one in asyncio.run(ask(key))} == {"key:desk"}
    assert len(checked) == 1
    wrong = key[:-1] + ("a" if key[-1] != "a" else "b")
    assert set(asyncio.run(ask(wrong))) == {None}
    assert len(checked) == 2


def test_guessing_many_keys_at_once_costs_no_more_checks_than_one_after_the_other(keys_file, monkeypatch):
    """Wrong credentials are counted when they were checked: hundreds that come together must not all be."""
    checked = []
    monkeypatch.setattr(auth, "check_key", lambda *given: checked.append(given) or time.sleep(0.01))
    limits = Limits(failures_per_minute=10)
    app = FastAPI()
    protect(app, Authenticator(AccessConfig(keys_file)), limits)

    async def guess(client, number):
        answer = await client.get("/anything", headers={"X-API-Key": f"fl_{number:012x}_{'a' * 43}"})
        return answer.status_code, answer.headers.get("retry-after")

    async def guess_together():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await asyncio.gather(*(guess(client, number) for number in range(200)))

    answers = asyncio.run(guess_together())
    assert {status for status, _ in answers} == {401, 429}
    assert all(wait for status, wait in answers if status == 429)
    assert len(checked) <= limits.failures_per_minute + CHECKS_AT_ONCE


def test_another_key_in_the_file_makes_nobody_prove_again_who_they_are(keys, keys_file, monkeypatch):
    """All desks behind one balancer would be checked at once, and some turned away, whenever a key is added."""
    authenticator = Authenticator(AccessConfig(keys_file))
    assert authenticator.identify_key(keys["viewer"]).role is Role.VIEWER
    monkeypatch.setattr(auth, "LOOK_AT_FILE_S", 0)
    stored, added = add_key(keys_file, "new", Role.VIEWER)
    checked, check = [], auth.check_key
    monkeypatch.setattr(auth, "check_key", lambda *given: checked.append(given) or check(*given))
    assert authenticator.identify_key(keys["viewer"]).role is Role.VIEWER
    assert checked == []
    assert authenticator.identify_key(added).name == "key:new"
    revoke_key(keys_file, stored.id)
    assert authenticator.identify_key(added) is None
