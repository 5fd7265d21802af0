"""API keys: made once and shown once; the file keeps only what checks them.

A key is `fl_<id>_<secret>`. The id finds the entry, so one presented key costs one scrypt; the secret has 256 random
bits, and scrypt keeps even a stolen file from being of use.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from fcntl import LOCK_EX, flock
from pathlib import Path

from feedline.errors import ConfigurationError
from feedline.security.secret_file import write_secret
from feedline.services.roles import Role

# 16 MiB and about 40 ms a check, what RFC 7914 gives for interactive logins.
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**14, 8, 1
_KEY = re.compile(r"fl_([0-9a-f]{12})_([A-Za-z0-9_\-]{43})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@\-]{0,63}")
# Checked when the id is unknown, so that an unknown id takes as long as a wrong secret.
_NOBODY_SALT = bytes(16)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What the file keeps of a key. salt and digest in hex; times in ISO 8601, UTC; expires, revoked may be empty."""

    id: str
    name: str
    role: str
    salt: str
    digest: str
    created: str
    expires: str = ""
    revoked: str = ""

    def __repr__(self) -> str:
        return f"StoredKey(id={self.id!r}, name={self.name!r}, role={self.role!r})"

    def usable(self, now: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return not self.revoked and (not self.expires or now < datetime.fromisoformat(self.expires))


def read_keys(file: Path) -> dict[str, StoredKey]:
    """The keys by id; none when there is no file. Raises ConfigurationError for a file that is not one of keys."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return {entry["id"]: StoredKey(**entry) for entry in document["keys"]}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"the file of API keys cannot be read: {error}", file=str(file)) from error


def add_key(file: Path, name: str, role: Role, *, expires: datetime | None = None) -> tuple[StoredKey, str]:
    """Makes a key; returns what is stored and the key itself, which cannot be shown again.

    Two keys of one name may live side by side, which is how one is replaced without an outage.
    Raises ConfigurationError for a name that cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name[:80]!r} cannot be the name of a key: 1 to 64 letters, digits, dots, dashes, @ and _"
        )
    secret, salt = secrets.token_urlsafe(32), secrets.token_bytes(16)
    stored = StoredKey(
        id=secrets.token_hex(6),
        name=name,
        role=str(role),
        salt=salt.hex(),
        digest=_digest(secret, salt).hex(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        expires=expires.astimezone(UTC).isoformat(timespec="seconds") if expires else "",
    )
    with _changing(file):
        _write(file, {**read_keys(file), stored.id: stored})
    return stored, f"fl_{stored.id}_{secret}"


def revoke_key(file: Path, key_id: str) -> StoredKey:
    """Marks a key as revoked; services notice within a second. Raises ConfigurationError when there is none."""
    with _changing(file):
        keys = read_keys(file)
        if key_id not in keys:
            raise ConfigurationError(f"no key has the id {key_id[:80]!r}: see `feedline keys list`", file=str(file))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        revoked = replace(keys[key_id], revoked=keys[key_id].revoked or now)
        _write(file, {**keys, key_id: revoked})
    return revoked


def check_key(presented: str, keys: dict[str, StoredKey]) -> StoredKey | None:
    """The entry whose secret the presented key holds, usable or not; None for any other text.

    Takes as long for an unknown id as for a wrong secret.
    """
    found = _KEY.fullmatch(presented)
    if not found:
        return None
    entry = keys.get(found[1])
    digest = _digest(found[2], bytes.fromhex(entry.salt) if entry else _NOBODY_SALT)
    wanted = bytes.fromhex(entry.digest) if entry else bytes(len(digest))
    return entry if hmac.compare_digest(digest, wanted) else None


def looks_like_key(text: str) -> bool:
    """Whether the text has the form of an API key."""
    return _KEY.fullmatch(text) is not None


def _digest(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, maxmem=64 * 2**20, dklen=32)


@contextmanager
def _changing(file: Path) -> Iterator[None]:
    """One change at a time; the lock has a file of its own, because the keys' file is replaced."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f"{file.name}.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def _write(file: Path, keys: dict[str, StoredKey]) -> None:
    document = json.dumps({"keys": [asdict(key) for key in keys.values()]}, indent=1)
    write_secret(file, document)
