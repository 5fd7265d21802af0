"""What the services say of themselves while orders flow through them."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from prometheus_client.parser import text_string_to_metric_families

from feedline.errors import RetriableError

REQUEST_S = 10.0
LOOK_S = 0.5
CALM = 3


@dataclass(frozen=True, slots=True)
class Stages:
    """Counts since each service was started, None of a service that does not answer now.

    bulk: entered by bulk entry; sent, refused, reports: by the gateway; booked: by the engine; open: events that bulk
    entry and gateway still have to do.
    """

    bulk: int | None = None
    sent: int | None = None
    refused: int | None = None
    reports: int | None = None
    booked: int | None = None
    open: int | None = None

    def since(self, before: Stages) -> Stages:
        """What was added, for counts that both have; `open` as it is now."""
        found = {}
        for one in fields(self):
            now, then = getattr(self, one.name), getattr(before, one.name)
            found[one.name] = now if one.name == "open" or now is None or then is None else now - then
        return Stages(**found)


def look(bulk_url: str, gateway_url: str, engine_url: str) -> Stages:
    """The counts now."""
    bulk, gateway, engine = metrics_of(bulk_url), metrics_of(gateway_url), _json(f"{engine_url}/status")
    left = [
        _number(bulk, "feedline_orders_bulk_open"),
        _number(bulk, "feedline_orders_bulk_parked"),
        *(_number(gateway, f"feedline_gateway_{name}") for name in ("lag", "ready", "in_flight", "parked")),
    ]
    known = bulk is not None and gateway is not None
    return Stages(
        bulk=_number(bulk, "feedline_orders_bulk_publish_total"),
        sent=_number(gateway, "feedline_gateway_sent_total"),
        refused=_number(gateway, "feedline_gateway_refused_total"),
        reports=_number(gateway, "feedline_gateway_reports_total"),
        booked=None if engine is None else int(engine["messages"].get("BOOKED", 0)),
        open=sum(one or 0 for one in left) if known else None,
    )


def await_drained(added: Callable[[], Stages], over_http: int, *, within_s: float) -> Stages:
    """Waits until everything entered over HTTP and published by bulk entry was booked or refused and nothing is under
    way, three looks in a row; the last look.

    added: what came to the counts since the flow began. Raises RetriableError when it takes longer.
    """
    deadline = time.monotonic() + within_s
    calm = 0
    while True:
        now = added()
        due, done = over_http + (now.bulk or 0), (now.booked or 0) + (now.refused or 0)
        calm = calm + 1 if now.open == 0 and done >= due else 0
        if calm >= CALM:
            return now
        if time.monotonic() > deadline:
            raise RetriableError(
                f"after {within_s:.0f} s {now.open} events are under way, and {done} of {due} were booked or refused"
            )
        time.sleep(LOOK_S)


def _number(metrics: Mapping[str, float] | None, name: str) -> int | None:
    return None if metrics is None else int(metrics.get(name, 0))


def metrics_of(url: str) -> dict[str, float] | None:
    """Every metric by name, summed over its labels."""
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=REQUEST_S) as answer:  # noqa: S310  a service of ours
            text = answer.read().decode()
    except (OSError, urllib.error.URLError):
        return None
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def _json(url: str) -> dict[str, dict[str, int]] | None:
    try:
        with urllib.request.urlopen(url, timeout=REQUEST_S) as answer:  # noqa: S310
            document: dict[str, dict[str, int]] = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return document


def tell(url: str, path: str, body: Mapping[str, object]) -> None:
    """Tells the engine's control port something; raises RetriableError when nobody is there."""
    request = urllib.request.Request(f"{url}{path}", data=json.dumps(body).encode())  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_S) as answer:  # noqa: S310
            answer.read()
    except (OSError, urllib.error.URLError) as error:
        raise RetriableError(f"the engine's control port does not answer: {error}") from error
