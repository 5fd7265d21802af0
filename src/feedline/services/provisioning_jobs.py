"""Applies in the background, one at a time, each on disk: a job whose service was killed can be gone on with."""

from __future__ import annotations

import json
import logging
import threading
import traceback
import uuid
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feedline.errors import ConfigurationError, FeedlineError, LostRaceError
from feedline.provisioning import audit
from feedline.provisioning.apply import apply
from feedline.provisioning.books import Books
from feedline.provisioning.installation import Installation
from feedline.provisioning.plan import Allow, Plan
from feedline.provisioning.state import Part
from feedline.security.redaction import redact
from feedline.security.secret_file import write_secret

RUNNING, SUCCEEDED, FAILED, INTERRUPTED = "running", "succeeded", "failed", "interrupted"
KEPT_MESSAGES = 20
KEPT_PLANS = 200

# Makes the installation of these parts; its second argument hears how far a long step is.
Installations = Callable[[Collection[Part], Callable[[str], None]], Installation]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """plan: the fingerprint that was asked for. state: running, succeeded, failed, or interrupted when the service that
    ran it is gone; done, total: changes. Times in ISO 8601, UTC."""

    id: str
    plan: str
    parts: tuple[str, ...]
    allow: tuple[str, ...]
    skip_held: bool
    by: str
    state: str = RUNNING
    done: int = 0
    total: int = 0
    begun: str = ""
    ended: str = ""
    error: str = ""
    messages: tuple[str, ...] = field(default=())


class Jobs:
    """The jobs of one folder of books. Its methods may be called from any thread."""

    def __init__(self, books: Books, installations: Installations) -> None:
        self._books, self._installations = books, installations
        self._lock = threading.Lock()
        # Jobs that this process runs or has run; the files know of the others.
        self._own: dict[str, Job] = {}

    def keep_plan(self, plan: Plan, parts: Collection[Part], by: str) -> dict[str, Any]:
        """Notes a plan that was shown, so that it can be asked for by its fingerprint."""
        document = {**plan.document(), "parts": [part.value for part in parts], "by": by, "at": _now()}
        write_secret(self._books.plans / f"{plan.fingerprint}.json", json.dumps(document))
        files = sorted(self._books.plans.glob("*.json"), key=lambda file: file.stat().st_mtime)
        for old in files[:-KEPT_PLANS]:
            old.unlink(missing_ok=True)
        audit.record(self._books.audit, by, "planned", plan=plan.fingerprint, changes=len(plan.changes))
        return document

    def plan(self, fingerprint: str) -> dict[str, Any] | None:
        """A plan that was kept, or None."""
        found: dict[str, Any] | None = _read(self._books.plans / f"{fingerprint}.json")
        return found

    def begin(self, plan: dict[str, Any], allow: Collection[Allow], by: str, *, skip_held: bool) -> Job:
        """Starts to apply a kept plan; raises LostRaceError while another job runs."""
        job = Job(
            id=uuid.uuid4().hex,
            plan=plan["fingerprint"],
            parts=tuple(plan["parts"]),
            allow=tuple(word.value for word in allow),
            skip_held=skip_held,
            by=by,
            begun=_now(),
        )
        self._start(job, by, "began", resumed=False)
        return job

    def resume(self, job_id: str, by: str) -> Job:
        """Goes on with a job that was interrupted or has failed; raises ConfigurationError for any other."""
        job = self.job(job_id)
        if job is None or job.state not in (INTERRUPTED, FAILED):
            state = job.state if job else "not there"
            raise ConfigurationError(f"the job is {state}: only one that was interrupted or has failed can be resumed")
        again = replace(job, state=RUNNING, error="", ended="")
        self._start(again, by, "resumed", resumed=True)
        return again

    def job(self, job_id: str) -> Job | None:
        """As it is now, or None."""
        own = self._own.get(job_id)
        if own is not None:
            return own
        found = _read(self._books.jobs / f"{job_id}.json")
        if found is None:
            return None
        job = Job(**{**found, **{name: tuple(found[name]) for name in ("parts", "allow", "messages")}})
        return replace(job, state=INTERRUPTED) if job.state == RUNNING else job

    def jobs(self) -> list[Job]:
        """All, the newest first."""
        names = [file.stem for file in self._books.jobs.glob("*.json")]
        return sorted((job for name in names if (job := self.job(name))), key=lambda job: job.begun, reverse=True)

    def audit(self, limit: int) -> list[dict[str, Any]]:
        """Who did what when, the newest first."""
        return audit.entries(self._books.audit)[: -limit - 1 : -1]

    def _start(self, job: Job, by: str, what: str, *, resumed: bool) -> None:
        with self._lock:
            running = next((one for one in self._own.values() if one.state == RUNNING), None)
            if running:
                raise LostRaceError(f"the job {running.id} of {running.by} is running: wait for its end")
            self._keep(job)
        audit.record(self._books.audit, by, what, plan=job.plan, job=job.id, allow=list(job.allow))
        threading.Thread(target=self._run, args=(job, by, resumed), name=f"job-{job.id[:8]}", daemon=True).start()

    def _run(self, job: Job, by: str, resumed: bool) -> None:
        def update(**changes: Any) -> None:
            nonlocal job
            job = replace(job, **changes)
            self._keep(job)

        def told(line: str) -> None:
            update(messages=(*job.messages, redact(line))[-KEPT_MESSAGES:])

        try:
            made = self._apply(job, resumed, told, lambda done, total: update(done=done, total=total))
        except FeedlineError as error:
            self._end(job, by, FAILED, redact(str(error)))
        except Exception:  # noqa: BLE001  whatever it is, the job must not stay `running`
            # A bug: the caller learns that it failed, the log says how.
            _log.error("the job %s broke\n%s", job.id, redact(traceback.format_exc()))
            self._end(job, by, FAILED, "something went wrong inside the service: look into its log")
        else:
            self._end(replace(job, done=len(made), total=len(made)), by, SUCCEEDED, "", made)

    def _apply(
        self, job: Job, resumed: bool, told: Callable[[str], None], moved: Callable[[int, int], None]
    ) -> list[list[str]]:
        allowed = [Allow(word) for word in job.allow]
        installation = self._installations([Part(part) for part in job.parts], told)
        found = installation.plan()
        # What is left of a plan has another fingerprint; the journal holds it against what was begun.
        if not resumed and found.fingerprint != job.plan:
            raise LostRaceError(f"the plan is {found.fingerprint} now, not {job.plan}: nothing was changed, plan again")
        shown = found.without(found.held(allowed)) if job.skip_held else found
        moved(0, len(shown.changes))
        made = apply(
            shown,
            installation,
            self._books.journal,
            allow=allowed,
            progress=lambda done, total, _change: moved(done, total),
        )
        return [list(one.place) for one in made]

    def _end(self, job: Job, by: str, state: str, error: str, made: Collection[list[str]] = ()) -> None:
        what = "applied" if state == SUCCEEDED else "failed"
        details = {"changes": list(made)} if state == SUCCEEDED else {"reason": error, "made": job.done}
        audit.record(self._books.audit, by, what, plan=job.plan, job=job.id, **details)
        self._keep(replace(job, state=state, error=error, ended=_now()))

    def _keep(self, job: Job) -> None:
        write_secret(self._books.jobs / f"{job.id}.json", json.dumps(asdict(job)))
        self._own[job.id] = job


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
