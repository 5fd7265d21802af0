"""A request that a client repeats because it got no answer is answered, not done, a second time.

The connector sends a statement again, under the same `requestId`, when the line breaks; an account knows the id.
Without this a stand-in would do the statement twice, or twice at once in one session.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

STATEMENTS = "/queries/v1/query-request"
# Answers that are kept; a client repeats its last request and no earlier one.
KEPT = 256
# A longer answer is that of a query, which may be asked again.
KEPT_BYTES = 1 << 20

Answer = list[Message]


def answered_once(app: ASGIApp) -> ASGIApp:
    """The app, doing each statement once whoever hears of it."""
    answers: OrderedDict[tuple[bytes, str], asyncio.Task[Answer]] = OrderedDict()

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        asked = _request(scope)
        if asked is None:
            await app(scope, receive, send)
            return
        answer = answers.get(asked)
        if answer is None:
            body = await _body(receive)
            if body is None:
                return
            # The same request may have come in over another connection meanwhile.
            answer = answers.get(asked)
            if answer is None:
                # In a task of its own: that the client is gone does not stop a statement that the server has begun.
                answer = answers[asked] = asyncio.create_task(_answer(app, scope, body))
            while len(answers) > KEPT:
                answers.popitem(last=False)
        messages = await asyncio.shield(answer)
        if sum(len(message.get("body", b"")) for message in messages) > KEPT_BYTES:
            answers.pop(asked, None)
        for message in messages:
            await send(message)

    return serve


def _request(scope: Scope) -> tuple[bytes, str] | None:
    """Session and id of a statement's request; None for any other request."""
    if scope["type"] != "http" or scope["path"] != STATEMENTS:
        return None
    ids = parse_qs(scope["query_string"].decode()).get("requestId")
    session = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    return (session, ids[0]) if ids else None


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None when the client left before it had sent it."""
    pieces: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


async def _answer(app: ASGIApp, scope: Scope, body: bytes) -> Answer:
    messages: Answer = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    return messages
