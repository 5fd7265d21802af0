"""The gate in front of a service: knows the caller, counts, bounds the body, before the application sees anything."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from feedline.errors import FeedlineError
from feedline.services.auth import CHALLENGE, UNKNOWN_CALLER, Authenticates
from feedline.services.limits import Limits, RateLimiter, json_excess
from feedline.services.problems import RETRY_AFTER_S, ProblemError, install_problems, problem_response, status_of

# Health, and the description of the service, which holds no data.
OPEN_PATHS = frozenset({"/health", "/openapi.json"})
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"SAMEORIGIN"),
)
# What is left of a body that was refused is not read.
_CLOSE = {"Connection": "close"}


def protect(
    app: FastAPI, authenticator: Authenticates, limits: Limits | None = None, open_paths: Collection[str] = OPEN_PATHS
) -> None:
    """Puts the gate before the application and makes its errors problem documents.

    Every path but the open ones (a path that ends with `/` opens all below it) answers 401 without valid
    credentials; routes say with `require` which role they need. 413 for a body too large, 400 for JSON too deep or of
    too many values, 415 for a compressed one, 429 with Retry-After for a caller who comes too often.
    """
    install_problems(app)
    app.add_middleware(Gate, authenticator=authenticator, limits=limits or Limits(), open_paths=open_paths)


class Gate:
    """The middleware that `protect` adds."""

    def __init__(
        self, app: ASGIApp, *, authenticator: Authenticates, limits: Limits, open_paths: Collection[str]
    ) -> None:
        self._app, self._authenticator, self._limits = app, authenticator, limits
        self._open = frozenset(open_paths)
        self._open_below = tuple(one for one in open_paths if one.endswith("/"))
        self._callers = RateLimiter(limits.per_second, limits.burst, limits.callers)
        self._failures = RateLimiter(limits.failures_per_minute / 60, limits.failures_per_minute, limits.callers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # No service speaks WebSocket; what starts and ends the application passes.
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in _HEADERS if pair[0] not in named)]
            await send(message)

        connection = HTTPConnection(scope)
        refusal = await self._refusal(connection) or self._announced(scope, connection.headers)
        upload = self._limits.upload_bytes(_path(scope))
        if refusal is None and upload:
            receive = _bounded(receive, upload)
        elif refusal is None:
            receive, refusal = await self._read(receive)
        await (refusal or self._app)(scope, receive, send_safe)

    async def _refusal(self, connection: HTTPConnection) -> Response | None:
        """The answer to a caller who may not come in, else None."""
        scope = connection.scope
        address = f"address {scope['client'][0] if scope.get('client') else '-'}"
        if self._is_open(_path(scope)):
            return self._too_often(self._callers.take(address))
        # Before the credentials are looked at: checking them costs more than asking.
        too_often = self._too_often(self._failures.exhausted(address))
        if too_often and not self._authenticator.knows(connection):
            return too_often
        try:
            identity = await self._authenticator.identify(connection)
        except FeedlineError as error:
            return problem_response(status_of(error), error.reason, headers={"Retry-After": str(RETRY_AFTER_S)})
        except ProblemError as problem:
            return problem_response(problem.status_code, problem.detail, headers=problem.headers, extra=problem.extra)
        if identity is None:
            self._failures.take(address)
            return problem_response(HTTPStatus.UNAUTHORIZED, UNKNOWN_CALLER, headers=CHALLENGE)
        scope.setdefault("state", {})["identity"] = identity
        return self._too_often(self._callers.take(identity.name))

    def _is_open(self, path: str) -> bool:
        return path in self._open or path.startswith(self._open_below)

    def _announced(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a body whose headers say that it is not acceptable, else None."""
        if headers.get("content-encoding", "identity").lower() != "identity":
            return problem_response(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body without a content encoding")
        limit = self._limits.upload_bytes(_path(scope)) or self._limits.max_body_bytes
        length = headers.get("content-length", "")
        if length.isdecimal() and (len(length) > 18 or int(length) > limit):
            return problem_response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(limit), headers=_CLOSE)
        return None

    async def _read(self, receive: Receive) -> tuple[Receive, Response | None]:
        """The body, read and looked at, as a `receive` that gives it again; or the refusal."""
        try:
            body = await _whole(_bounded(receive, self._limits.max_body_bytes))
        except ProblemError as problem:
            return receive, problem_response(problem.status_code, problem.detail, headers=_CLOSE)
        excess = json_excess(body, self._limits)
        if excess:
            reason = f"the body is JSON of {excess}: send less at once"
            return receive, problem_response(HTTPStatus.BAD_REQUEST, reason)
        return _again(body, receive), None

    @staticmethod
    def _too_often(wait_s: int) -> Response | None:
        if not wait_s:
            return None
        return problem_response(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"too many requests: come again in {wait_s} s",
            headers={"Retry-After": str(wait_s)},
        )


def _path(scope: Scope) -> str:
    """The path within the application, wherever that is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit:,} bytes: send less at once"


def _bounded(receive: Receive, limit: int) -> Receive:
    left = limit

    async def bounded() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(limit), headers=_CLOSE)
        return message

    return bounded


async def _whole(receive: Receive) -> bytes:
    """The body, or what had come of it when the caller went away."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
