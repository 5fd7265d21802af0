"""The stand-in does a statement once, however often and over however many connections its request comes."""

from __future__ import annotations

import asyncio

from feedline.local.repeated_requests import STATEMENTS, answered_once


class Warehouse:
    """An application that counts the statements that it does."""

    def __init__(self):
        self.done = []

    async def __call__(self, scope, receive, send):
        body = (await receive())["body"]
        await asyncio.sleep(0)
        self.done.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d rows" % len(self.done)})


async def ask(app, request, pieces, *, session=b"one", gate=None):
    """The answer to a request whose body comes in pieces, the last of them when the gate opens."""
    left = list(pieces)

    async def receive():
        if len(left) == 1 and gate is not None:
            await gate.wait()
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    answer = []

    async def send(message):
        answer.append(message.get("body", b""))

    scope = {
        "type": "http",
        "path": STATEMENTS,
        "query_string": f"requestId={request}".encode(),
        "headers": [(b"authorization", session)],
    }
    await app(scope, receive, send)
    return b"".join(answer)


def test_a_request_that_comes_again_before_its_body_is_here_is_done_once():
    async def scenario():
        warehouse, gate = Warehouse(), asyncio.Event()
        app = answered_once(warehouse)
        asked = [asyncio.create_task(ask(app, "r1", [b"COPY ", b"INTO T"], gate=gate)) for _ in range(3)]
        await asyncio.sleep(0)
        gate.set()
        return warehouse.done, await asyncio.gather(*asked)

    assert asyncio.run(scenario()) == ([b"COPY INTO T"], [b"1 rows"] * 3)


def test_a_request_that_comes_again_later_gets_the_first_answer():
    async def scenario():
        warehouse = Warehouse()
        app = answered_once(warehouse)
        first, again = [await ask(app, "r1", [b"COPY"]) for _ in range(2)]
        return warehouse.done, first, again

    assert asyncio.run(scenario()) == ([b"COPY"], b"1 rows", b"1 rows")


def test_the_same_id_of_another_session_is_another_request():
    async def scenario():
        warehouse = Warehouse()
        app = answered_once(warehouse)
        return [await ask(app, "r1", [b"COPY"], session=session) for session in (b"one", b"two")]

    assert asyncio.run(scenario()) == [b"1 rows", b"2 rows"]
