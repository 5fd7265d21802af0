"""What the OpenAPI document says of the order routes: bodies are read by hand, so it is said by hand."""

from __future__ import annotations

from typing import Any

import msgspec

from feedline.orders.entry.bodies import Amendment, Cancellation, NewOrder

_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "Names the order for this caller: the same request with the same key is the same order, answered "
    "with 200, and another order under the key is answered with 422. So it is for the last half million orders at "
    "least. With an older key, 201 may be answered once more with the same order id: it is no second order; another "
    "order under it is refused later, which nobody is told.",
}
_ENTERED = {
    "type": "object",
    "required": ["orderId", "sequence", "eventId", "topic", "partition", "offset"],
    "properties": {
        "orderId": {"type": "string"},
        "sequence": {"type": "integer"},
        "eventId": {"type": "string"},
        "topic": {"type": "string"},
        "partition": {"type": "integer"},
        "offset": {"type": ["integer", "null"], "description": "Null when the event has left the topic since."},
    },
}


def describe() -> str:
    """The description of the service."""
    return (
        "Orders, one a request. An answer of 201 or 200 means that all in-sync replicas have the event. 503 with "
        '`"outcome": "not entered"` means that nothing was written, with `"outcome": "unknown"` that the same '
        "request may be sent again, and is the same event. Amounts are texts or numbers, and exact."
    )


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/problem+json": {"schema": {"type": "object"}}}}


def _route(body: type[msgspec.Struct] | None, *parameters: dict[str, Any], refused: str) -> dict[str, Any]:
    entered = {"content": _json(_ENTERED)}
    extra: dict[str, Any] = {"parameters": list(parameters)}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": _json(_inlined(body))}
    return {
        "openapi_extra": extra,
        "responses": {
            200: {"description": "It was entered before; where it lies.", **entered},
            201: {"description": "Entered; where it lies.", **entered},
            400: _problem("The body is no JSON."),
            401: _problem("No valid credentials."),
            403: _problem("The caller's role is below operator."),
            404: _problem("No such order."),
            409: _problem(refused),
            413: _problem("The body is too large."),
            422: _problem("The order is not valid, or the Idempotency-Key was used for another order."),
            429: _problem("Too many requests of this caller; Retry-After."),
            503: _problem("Not now; Retry-After. The member `outcome` says whether anything was entered."),
        },
    }


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": True, "schema": schema}


def _inlined(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of a body with everything it refers to in place."""
    (schema,), components = msgspec.json.schema_components([kind])

    def inline(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return inline(components[node["$ref"].rpartition("/")[2]])
            return {name: inline(value) for name, value in node.items()}
        return [inline(one) for one in node] if isinstance(node, list) else node

    inlined: dict[str, Any] = inline(schema)
    return inlined


ENTER = _route(NewOrder, _KEY, refused="Never.")
AMEND = _route(
    Amendment,
    refused="The order's life has no place for it: `expectedSequence` where one is missing, `pendingSequence` of a "
    "cancellation that the engine has not answered yet (Retry-After). Or the order was entered in bulk.",
)
CANCEL = _route(Cancellation, refused="As for an amendment.")
DELETE = _route(
    None,
    *(_parameter(name, schema) for name, schema in _inlined(Cancellation)["properties"].items()),
    refused="As for an amendment.",
)
FIND: dict[str, Any] = {"responses": {404: _problem("No such order.")}}
