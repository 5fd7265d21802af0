"""Plans, applies as jobs, drift and the audit trail over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from feedline.provisioning.drift import drift
from feedline.provisioning.plan import Allow
from feedline.provisioning.state import ALL_PARTS, Part
from feedline.services.auth import require
from feedline.services.problems import ProblemError
from feedline.services.provisioning_jobs import RUNNING, Installations, Job, Jobs
from feedline.services.roles import Identity

router = APIRouter(tags=["provisioning"])

LOOK_EVERY_S = 0.2
# A comment in the stream, so that proxies do not take it for dead.
BEAT_EVERY_S = 15.0


class ProvisioningState:
    """One for an application: its jobs, and how an installation is made."""

    def __init__(self, jobs: Jobs, installations: Installations) -> None:
        self.jobs, self.installations = jobs, installations


def state_of(request: Request) -> ProvisioningState:
    """The dependency of every route."""
    state: ProvisioningState = request.app.state.provisioning
    return state


State = Annotated[ProvisioningState, Depends(state_of)]
Viewer = Annotated[Identity, Depends(require("viewer"))]
Engineer = Annotated[Identity, Depends(require("engineer"))]
Operator = Annotated[Identity, Depends(require("operator"))]
Fingerprint = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]
Parts = Annotated[list[Part] | None, Query(max_length=len(ALL_PARTS))]
JobId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]


class PlanBody(BaseModel):
    """parts: only these, all when it is empty."""

    model_config = ConfigDict(extra="forbid")

    parts: list[Part] = Field(default_factory=list, max_length=len(ALL_PARTS))


class ApplyBody(BaseModel):
    """allow: the words for what cannot be undone. skip_held: leave out what needs a word that was not said, or a hand,
    and do the rest."""

    model_config = ConfigDict(extra="forbid")

    allow: list[Allow] = Field(default_factory=list, max_length=len(Allow))
    skip_held: bool = False


@router.post("/plans", status_code=201)
def make_plan(body: PlanBody, state: State, caller: Engineer) -> dict[str, Any]:
    """What has to be done now, the risk of each change, and the fingerprint to apply it by. Changes nothing."""
    parts = [part for part in ALL_PARTS if part in body.parts] or list(ALL_PARTS)
    return state.jobs.keep_plan(state.installations(parts, _deaf).plan(), parts, caller.name)


@router.get("/plans/{fingerprint}")
def plan(fingerprint: Fingerprint, state: State, _: Viewer) -> dict[str, Any]:
    """A plan that was made, as it was shown."""
    return _plan(state, fingerprint)


@router.post("/plans/{fingerprint}/apply", status_code=202)
def apply_plan(fingerprint: Fingerprint, body: ApplyBody, state: State, caller: Operator) -> dict[str, Any]:
    """Makes exactly the changes of that plan, as a job. When what is there has moved since, the job fails and changes
    nothing. 409 while another job runs."""
    return _document(state.jobs.begin(_plan(state, fingerprint), body.allow, caller.name, skip_held=body.skip_held))


@router.get("/jobs")
def jobs(state: State, _: Viewer) -> list[dict[str, Any]]:
    """Every job, the newest first."""
    return [_document(job) for job in state.jobs.jobs()]


@router.get("/jobs/{job_id}")
def job(job_id: JobId, state: State, _: Viewer) -> dict[str, Any]:
    """How far a job is: running, succeeded, failed, or interrupted when the service that ran it is gone."""
    return _document(_job(state, job_id))


@router.post("/jobs/{job_id}/resume", status_code=202)
def resume(job_id: JobId, state: State, caller: Operator) -> dict[str, Any]:
    """Goes on with a job that was interrupted or has failed: what is left of it and nothing else."""
    _job(state, job_id)
    return _document(state.jobs.resume(job_id, caller.name))


@router.get("/jobs/{job_id}/events", response_class=StreamingResponse)
async def events(job_id: JobId, state: State, _: Viewer) -> StreamingResponse:
    """The job as server-sent events, one for each step, until it ends."""
    _job(state, job_id)
    return StreamingResponse(_events(state, job_id), media_type="text/event-stream")


@router.get("/drift")
def drifted(state: State, _: Viewer, part: Parts = None) -> dict[str, Any]:
    """What is not as declared, a sentence each."""
    found = state.installations(part or list(ALL_PARTS), _deaf).plan()
    return {"drift": drift(found), "fingerprint": found.fingerprint, "notes": list(found.notes)}


@router.get("/audit")
def trail(state: State, _: Viewer, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[dict[str, Any]]:
    """Who did what when, by service or command, the newest first."""
    return state.jobs.audit(limit)


async def _events(state: ProvisioningState, job_id: str) -> AsyncIterator[str]:
    last, quiet_s = None, 0.0
    while (now := state.jobs.job(job_id)) is not None:
        if now != last:
            last, quiet_s = now, 0.0
            yield f"event: {now.state}\ndata: {json.dumps(_document(now))}\n\n"
        elif quiet_s >= BEAT_EVERY_S:
            quiet_s = 0.0
            yield ": still running\n\n"
        if now.state != RUNNING:
            return
        await anyio.sleep(LOOK_EVERY_S)
        quiet_s += LOOK_EVERY_S


def _plan(state: ProvisioningState, fingerprint: str) -> dict[str, Any]:
    found = state.jobs.plan(fingerprint)
    if found is None:
        raise ProblemError(404, "no plan of this fingerprint was made here: POST /plans, and look at it")
    return found


def _job(state: ProvisioningState, job_id: str) -> Job:
    found = state.jobs.job(job_id)
    if found is None:
        raise ProblemError(404, "no job has this id: see GET /jobs")
    return found


def _document(job: Job) -> dict[str, Any]:
    return asdict(job)


def _deaf(_line: str) -> None:
    """For plans, which have no long step."""
