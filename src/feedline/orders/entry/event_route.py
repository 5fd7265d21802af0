"""Routes that take events, without what FastAPI does for routes in general."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from fastapi.types import DecoratedCallable
from starlette.types import Receive, Scope, Send

from feedline.services.auth import caller_of
from feedline.services.roles import Role


class EventRoute(APIRoute):
    """Found, described and answered for as FastAPI's own, and called without it: the endpoint's dependencies are the
    caller, whom the gate knows, and reading them out of its signature for each request was half the work of an order.

    The endpoint is async, takes `request`, `caller` (an operator at the least) and the parameters of its path as
    texts, and gives a Response.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **described: Any) -> None:
        super().__init__(path, endpoint, **described)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            caller = caller_of(scope, Role.OPERATOR)
            response = await endpoint(request=Request(scope, receive, send), caller=caller, **scope["path_params"])
            await response(scope, receive, send)

        self.app = answer


def event_route(
    app: FastAPI, method: str, path: str, **described: Any
) -> Callable[[DecoratedCallable], DecoratedCallable]:
    """Adds an `EventRoute` with the decorated function as its endpoint."""

    def add(endpoint: DecoratedCallable) -> DecoratedCallable:
        app.router.add_api_route(
            path, endpoint, methods=[method], status_code=201, tags=["orders"], response_class=Response,
            route_class_override=EventRoute, **described,
        )  # fmt: skip
        return endpoint

    return add
