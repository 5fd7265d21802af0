"""What requests bring: JSON bodies, read into what they must be, amounts exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from feedline.orders.model import Fault, Order, Product
from feedline.services.problems import SHOWN_ERRORS, ProblemError

# Places in msgspec's messages: `... - at `$.order.side``.
_AT = " - at `$"

Body = TypeVar("Body", bound=msgspec.Struct)


class NewOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /orders`."""

    accountId: str  # noqa: N815  the names of the schema
    product: Product
    order: Order


class Amendment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `PUT /orders/{id}`: the order as it should stand."""

    sequence: int
    accountId: str  # noqa: N815
    product: Product
    order: Order


class Cancellation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /orders/{id}/cancel`, and parameters of `DELETE /orders/{id}`."""

    sequence: int
    accountId: str  # noqa: N815
    product: Product


_DECODERS = {kind: msgspec.json.Decoder(kind) for kind in (NewOrder, Amendment, Cancellation)}


def read_body(body: bytes, kind: type[Body]) -> Body:
    """The body; raises ProblemError 400 for what is no JSON, 422 with the field for what does not fit."""
    try:
        found: Body = _DECODERS[kind].decode(body)  # type: ignore[index, assignment]
    except msgspec.ValidationError as error:
        raise _misfit(error, "body") from None
    # RecursionError and Unicode errors are the body's too.
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ProblemError(400, f"the body is no JSON: {str(error)[:200]}") from None
    return found


def read_parameters(given: Mapping[str, str]) -> Cancellation:
    """A cancellation of a request's parameters; raises ProblemError 422 with the parameter for what does not fit."""
    try:
        return msgspec.convert(dict(given), Cancellation, strict=False)
    except msgspec.ValidationError as error:
        raise _misfit(error, "parameters") from None


def _misfit(error: msgspec.ValidationError, whole: str) -> ProblemError:
    reason, _, place = str(error).partition(_AT)
    field = place.rstrip("`").lstrip(".")
    return invalid([Fault(field or whole, reason)])


def invalid(faults: Sequence[Fault]) -> ProblemError:
    """The problem of an event that breaks rules, with each of them."""
    wrong = [{"place": one.field.split("."), "reason": one.reason} for one in faults[:SHOWN_ERRORS]]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return ProblemError(422, f"{faults[0]}{more}", extra={"errors": wrong})
