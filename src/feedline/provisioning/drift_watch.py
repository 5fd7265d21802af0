"""Drift told to people: once when it appears or changes, and once when it is gone."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from feedline.errors import RetriableError
from feedline.provisioning import audit
from feedline.provisioning.books import Books
from feedline.security.secret_file import write_secret

SHOWN_LINES = 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DriftAlert:
    """What is not as declared, as the alert channels tell it; no line when everything is again."""

    lines: tuple[str, ...]
    at: datetime
    link: str | None = None

    @property
    def subject(self) -> str:
        """One sentence."""
        if not self.lines:
            return "recovered: everything provisioned is as declared again"
        more = f" and {len(self.lines) - 1} more" if len(self.lines) > 1 else ""
        return f"drift: {self.lines[0]}{more}"

    @property
    def detail(self) -> str:
        """The first lines, for a message."""
        left = len(self.lines) - SHOWN_LINES
        return "\n".join([*self.lines[:SHOWN_LINES], *([f"and {left} more"] if left > 0 else [])])

    @property
    def text(self) -> str:
        """The whole message."""
        return "\n".join(part for part in (self.subject, self.detail, self.link) if part)

    def to_dict(self) -> dict[str, Any]:
        """As JSON: what a webhook gets."""
        return {
            "kind": "drift" if self.lines else "recovered",
            "drift": list(self.lines),
            "at": self.at.isoformat(),
            "link": self.link,
            "text": self.subject,
        }


def tell_drift(
    lines: Sequence[str],
    books: Books,
    channels: Mapping[str, Callable[[DriftAlert], None]],
    *,
    who: str,
    link: str | None = None,
) -> bool:
    """Tells drift that has not been told as it is; whether there was something to tell.

    Raises RetriableError when a channel could not be told; the next call tells those that were not.
    """
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else ""
    known = _known(books)
    done = set(known["told"]) if known["digest"] == digest else set()
    first = known["digest"] != digest
    if not first and known["ended"]:
        return False
    if first:
        audit.record(books.audit, who, "drift" if lines else "no more drift", lines=list(lines)[:SHOWN_LINES])
    alert = DriftAlert(tuple(lines), datetime.now(UTC), link)
    refused = []
    for name in sorted(channels.keys() - done):
        try:
            channels[name](alert)
        except Exception as error:  # noqa: BLE001  a channel is somebody else's program: it may raise anything
            # Its message may hold the address of a webhook, which is a secret.
            refused.append(f"{name} ({type(error).__name__})")
        else:
            done.add(name)
    _keep(books, digest, done, ended=not refused)
    if refused:
        raise RetriableError(f"drift was not told by {', '.join(refused)}: check the connection of that channel")
    if not channels:
        logger.warning("%s; nobody was told: set up a connection feedline_alerts_*", alert.subject)
    return True


def _known(books: Books) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(books.drift.read_text(encoding="utf-8"))
        return {"digest": found["digest"], "told": found["told"], "ended": found["ended"]}
    except (OSError, ValueError, KeyError, TypeError):
        # Nothing has been told yet: that all is as declared is no news.
        return {"digest": "", "told": [], "ended": True}


def _keep(books: Books, digest: str, told: set[str], *, ended: bool) -> None:
    write_secret(books.drift, json.dumps({"digest": digest, "told": sorted(told), "ended": ended}))
