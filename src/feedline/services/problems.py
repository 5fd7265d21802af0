"""Errors of the services as problem details (RFC 9457), with Confluent's `error_code` and `message` beside them, so
that clients of a Confluent registry understand them too."""

from __future__ import annotations

import logging
import traceback
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from feedline.errors import (
    AuthenticationError,
    ConfigurationError,
    ControlMismatchError,
    FeedlineError,
    FeedTakenError,
    LostRaceError,
    RecordTooLargeError,
    RetriableError,
    SchemaMismatchError,
    UnknownFeedError,
    ValidationFailedError,
)
from feedline.security.redaction import redact, redacted

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
SHOWN_ERRORS = 20

_log = logging.getLogger(__name__)

# The first that fits, so the special before the general.
_STATUS_OF: tuple[tuple[type[FeedlineError], HTTPStatus], ...] = (
    (UnknownFeedError, HTTPStatus.NOT_FOUND),
    (LostRaceError, HTTPStatus.CONFLICT),
    (RecordTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (SchemaMismatchError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ValidationFailedError, HTTPStatus.CONFLICT),
    (ControlMismatchError, HTTPStatus.CONFLICT),
    (FeedTakenError, HTTPStatus.CONFLICT),
    (ConfigurationError, HTTPStatus.UNPROCESSABLE_ENTITY),
    # What the service shows to the broker or the registry was refused: not the caller's credentials.
    (AuthenticationError, HTTPStatus.BAD_GATEWAY),
    (RetriableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (FeedlineError, HTTPStatus.INTERNAL_SERVER_ERROR),
)


class ProblemError(HTTPException):
    """An answer that is a problem: raised anywhere in a route.

    status: of HTTP. detail: what happened and what to do. error_code: Confluent's (40401, 42201, 40901, ...), the
    status when it is None. extra: further members of the document.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        error_code: int | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)
        self.error_code = error_code if error_code is not None else status
        self.extra = dict(extra or {})


def problem_document(
    status: int, detail: str, *, error_code: int | None = None, extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The members of a problem; secrets are cut out of all of them."""
    text = redact(detail)
    return {
        **redacted(dict(extra or {})),
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": text,
        "error_code": error_code if error_code is not None else status,
        "message": text,
    }


def problem_response(
    status: int,
    detail: str,
    *,
    error_code: int | None = None,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """The answer for a problem, for code outside a route, as a middleware is."""
    document = problem_document(status, detail, error_code=error_code, extra=extra)
    return JSONResponse(document, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def status_of(error: FeedlineError) -> HTTPStatus:
    """The status that an error of Feedline answers with."""
    return next(status for kind, status in _STATUS_OF if isinstance(error, kind))


def install_problems(app: FastAPI) -> None:
    """Makes the application answer every error with a problem document: those raised on purpose, unknown paths,
    arguments that do not fit, errors of Feedline, and the unexpected, of which the caller learns an id only."""
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)
    app.add_exception_handler(FeedlineError, _feedline_problem)
    app.add_exception_handler(Exception, _unexpected_problem)


def _http_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code, extra = (error.error_code, error.extra) if isinstance(error, ProblemError) else (None, {})
    return problem_response(error.status_code, str(error.detail), error_code=code, headers=error.headers, extra=extra)


def _validation_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # Not the values that were sent: they may be secrets, or a megabyte.
    wrong = [{"place": [str(part)[:200] for part in one["loc"]], "reason": one["msg"][:500]} for one in error.errors()]
    first = f"{'.'.join(wrong[0]['place'])}: {wrong[0]['reason']}" if wrong else "the request does not fit"
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, f"{first}{more}", extra={"errors": wrong[:SHOWN_ERRORS]})


def _feedline_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FeedlineError)
    status = status_of(error)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return problem_response(status, str(error), headers=headers, extra={"kind": type(error).__name__})


def _unexpected_problem(_request: Request, error: Exception) -> JSONResponse:
    incident = uuid.uuid4().urn
    _log.error("unexpected error %s\n%s", incident, redact("".join(traceback.format_exception(error))))
    return problem_response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "something went wrong inside the service: look for this problem's instance in its log",
        extra={"instance": incident},
    )
