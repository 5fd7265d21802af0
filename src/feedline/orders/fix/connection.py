"""The gateway's end of its FIX session: QuickFIX's initiator, with what it says handed over to one thread."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import quickfix as fix

from feedline.errors import RetriableError
from feedline.orders.fix.dictionary import BEGIN_STRING, fields_of
from feedline.orders.fix.line_watch import watch_lines
from feedline.orders.fix.session_policy import SessionPolicy, initiator_settings
from feedline.orders.fix.store import StoreFiles
from feedline.orders.fix.turned_away import reason_of, turned_away

logger = logging.getLogger(__name__)

# Reports that wait for the gateway; QuickFIX's thread then waits too, and the engine with it. More than the answers of
# all events in flight, or both ends could wait for each other to read.
MAX_WAITING = 50_000
STOP_WITHIN_S = 15.0
_RECEIVED = frozenset({"8", "9", "j"})
_REPORTS = frozenset({"8", "9"})
_REJECTS = frozenset({"3", "j"})


class Received(dict[str, str]):
    """A message of the engine, by tag. store: that whose numbers the session had when it came."""

    def __init__(self, fields: Mapping[str, str], store: str) -> None:
        super().__init__(fields)
        self.store = store


@dataclass(slots=True)
class _Watermark:
    """A small file with the first number of the engine's that is not durable with us yet, and the store that it is a
    number of: after a reset, whoever began it, it says nothing any more."""

    file: Path
    value: int = 0
    store: str = ""

    def read(self, store: str) -> int:
        """Of that store; 1 when nothing is known of it."""
        try:
            value, _, whose = self.file.read_text(encoding="utf-8").partition("\n")[0].partition(" ")
            return int(value) if whose == store else 1
        except (FileNotFoundError, ValueError):
            return 1

    def write(self, value: int, store: str) -> None:
        if (value, store) == (self.value, self.store):
            return
        self.value, self.store = value, store
        descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(descriptor, f"{value:020d} {store}\n".encode(), 0)
        finally:
            os.close(descriptor)


def first_to_ask(store: str, expected: int, waiting: queue.Queue[Received], pending: int | None) -> int:
    """The first number of the engine's, of that store, that has to be asked for again after a kill.

    expected: the number that the session expects next, read before this is called: a report is put to those that wait
    before its number counts, so each one below is among them, or was taken from them by the caller. pending: the first
    that was taken and is not durable, None when all are.
    """
    with waiting.mutex:
        head = waiting.queue[0] if waiting.queue else None
    if head is not None and head.store != store:
        # Behind it anything of this store may wait.
        return 1
    return min(expected, expected if head is None else int(head["34"]), expected if pending is None else pending)


class Connection(fix.Application):  # type: ignore[misc]
    """One session. `start` and `stop` once each; the callbacks are QuickFIX's, and none of them may raise: it would
    end the process. `send` is for one thread."""

    def __init__(self, policy: SessionPolicy, *, reset: bool = False) -> None:
        super().__init__()
        (self._target,) = policy.targets
        self._sender = policy.sender
        self._policy, self._settings = policy, initiator_settings(policy)
        self._stores, self._logs = fix.FileStoreFactory(self._settings), fix.FileLogFactory(self._settings)
        self.store = StoreFiles.of(policy.folder, policy.sender, self._target)
        self.reports: queue.Queue[Received] = queue.Queue(MAX_WAITING)
        self.logged_on = False
        # The store whose numbers the session has since its last logon: a reset makes another.
        self.store_now = ""
        # The engine's last reason to end or refuse the session.
        self.said = ""
        self._watermark = _Watermark(policy.folder / f"{self.store.prefix.name}.durable")
        # Messages of the engine that our own session has refused.
        self.session_rejects = 0
        # Below the first report that could not be handed over: it is to be asked for again.
        self._at_most = sys.maxsize
        # Up to here the engine's messages were seen to. The number of one that the session refuses counts before that.
        self._seen = sys.maxsize
        # With an empty store of ours the engine's numbers mean nothing: both begin anew.
        self._reset = reset or not self.store.identity()
        self._stopping = threading.Event()
        self._initiator: Any = None
        self._session: Any = None
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        return self._sender

    @property
    def target(self) -> str:
        return self._target

    def start(self) -> None:
        """Connects, and again whenever the line is lost or takes nothing any more. What was received and is not durable
        is asked for again."""
        self.store.keep_on()
        before = self.store.identity()
        # The one with a thread a session: the other does not connect again after the engine has logged out.
        self._initiator = fix.ThreadedSocketInitiator(self, self._stores, self._settings, self._logs)
        self._session = session = fix.Session.lookupSession(self._session_id())
        self.store_now = self.store.identity()
        # Midnight came between: the engine has to begin anew as well.
        self._reset = self._reset or self.store_now != before
        durable = self._watermark.read(self.store_now)
        if not self._reset and durable < session.getExpectedTargetNum():
            session.setNextTargetMsgSeqNum(durable)
        self._watermark.write(session.getExpectedTargetNum(), self.store_now)
        self._seen = session.getExpectedTargetNum() - 1
        # A thread of ours that can be waited for: QuickFIX's own may outlive `stop`.
        self._thread = threading.Thread(target=self._initiator.block, name="feedline-fix", daemon=True)
        self._thread.start()
        watched = (self._policy.host, self._policy.port, self._policy.stuck_s, self._stopping)
        threading.Thread(target=watch_lines, args=watched, name="feedline-fix-watch", daemon=True).start()

    def stop(self) -> None:
        """Logs out and closes; what waits to be made durable is asked for at the next start."""
        self._stopping.set()
        if self._initiator is not None and self._thread is not None:
            self._initiator.stop()
            self._thread.join(STOP_WITHIN_S)

    def send(self, message: Any) -> int:
        """Gives the message its number, keeps it in the store, sends it; the number. Lost with the line, it is sent
        again, marked, when the session is on again. Raises RetriableError when the store cannot keep it."""
        try:
            kept = fix.Session.sendToTarget(message, self._session_id())
        except fix.SessionNotFound as error:
            raise RetriableError("the FIX session is closed") from error
        if not kept:
            raise RetriableError("the FIX store cannot keep a message: look at its disk, and start the gateway again")
        return int(message.getHeader().getField(34))

    def durable(self, pending: int | None) -> None:
        """Of what was taken from `reports` everything is durable below this number, all of it for None. What still
        waits there, or was not even received, is asked for again at the next start all the same."""
        # Read first: with a reset in between the number is noted for a store that nobody has any more.
        store = self.store_now
        expected = self._session.getExpectedTargetNum()
        first = min(first_to_ask(store, expected, self.reports, pending), self._at_most, self._seen + 1)
        self._watermark.write(first, store)

    def _session_id(self) -> Any:
        return fix.SessionID(BEGIN_STRING, self._sender, self._target)

    def onCreate(self, session: Any) -> None: ...  # noqa: N802

    def onLogon(self, session: Any) -> None:  # noqa: N802, ARG002
        self._reset = False
        self.said = ""
        self.logged_on = True

    def onLogout(self, session: Any) -> None:  # noqa: N802, ARG002
        self.logged_on = False

    def toAdmin(self, message: Any, session: Any) -> None:  # noqa: N802, ARG002
        kind = message.getHeader().getField(35)
        if kind in _REJECTS:
            self._refused(message)
        if self._reset and kind == "A":
            message.setField(141, "Y")

    def fromAdmin(self, message: Any, session: Any) -> None:  # noqa: N802, ARG002
        self._take(message)

    def toApp(self, message: Any, session: Any) -> None:  # noqa: N802, ARG002
        if message.getHeader().getField(35) in _REJECTS:
            self._refused(message)

    def fromApp(self, message: Any, session: Any) -> None:  # noqa: N802, ARG002
        self._take(message)

    def _take(self, message: Any) -> None:
        try:
            fields = fields_of(message.toString())
            if fields["35"] == "A":
                self._look_at_the_store()
            if fields["35"] == "5" and "58" in fields:
                self.said = fields["58"]
                logger.warning("the engine ends the session: %s", self.said)
            if fields["35"] == "3" or fields["35"] in _RECEIVED:
                self._hand_over(fields)
            self._has_seen(int(fields["34"]))
        except Exception:
            self._at_most = min(self._at_most, self._watermark.value)
            # Nothing is lost: what is not durable is asked for again at the next start.
            logger.exception("a message of the engine cannot be taken")

    def _refused(self, message: Any) -> None:
        """Our session refuses a message of the engine, by this one. A report is kept all the same."""
        self.session_rejects += 1
        try:
            reject = fields_of(message.toString())
            logger.error(
                "our FIX session refuses message %s of the engine, of type %s: %s",
                reject.get("45"), reject.get("372"), reason_of(reject),
            )  # fmt: skip
            if reject.get("372") in _REPORTS:
                log = self._policy.folder / f"{self.store.prefix.name}.messages.current.log"
                self._hand_over(turned_away(log, self._target, reject))
            self._has_seen(int(reject["45"]))
        except Exception:
            self._at_most = min(self._at_most, self._watermark.value)
            logger.exception("a message of the engine that our session refuses cannot be kept")

    def _look_at_the_store(self) -> None:
        """At a logon: a reset that belongs to it is done, and nothing has come under the new numbers."""
        try:
            store = self.store.identity()
        except OSError:
            logger.exception("it cannot be seen whether the session was reset: it is taken to be")
            store = ""
        if store != self.store_now:
            self.store_now, self._at_most, self._seen = store, sys.maxsize, 0

    def _has_seen(self, number: int) -> None:
        # One with a number too high says nothing of those before it.
        if number <= self._session.getExpectedTargetNum():
            self._seen = number

    def _hand_over(self, fields: Mapping[str, str]) -> None:
        received = Received(fields, self.store_now)
        while not self._stopping.is_set():
            try:
                self.reports.put(received, timeout=0.5)
            except queue.Full:
                continue
            return
        self._at_most = min(self._at_most, int(fields["34"]))
