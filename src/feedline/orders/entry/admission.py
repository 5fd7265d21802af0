"""Turns requests away before anything of them is read, when too many are at work: memory does not grow with callers."""

from __future__ import annotations

from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from feedline.services.problems import problem_response

RETRY_AFTER_S = 1


class Admission:
    """The outermost middleware. at_once: requests at work; health and metrics are always let in."""

    def __init__(self, app: ASGIApp, at_once: int) -> None:
        self._app, self._at_once = app, at_once
        self.at_work = 0
        self.turned_away = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/orders"):
            await self._app(scope, receive, send)
            return
        if self.at_work >= self._at_once:
            self.turned_away += 1
            answer = problem_response(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self._at_once} requests are at work: nothing was entered, come again",
                headers={"Retry-After": str(RETRY_AFTER_S), "Connection": "close"},
                extra={"outcome": "not entered"},
            )
            await answer(scope, receive, send)
            return
        self.at_work += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.at_work -= 1
