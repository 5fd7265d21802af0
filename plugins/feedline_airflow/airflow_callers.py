"""Who calls Feedline's pages below Airflow: the user that Airflow's own auth manager knows, whichever that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import get_user
from anyio import to_thread
from fastapi import HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials

from feedline.services.problems import ProblemError
from feedline.services.roles import Identity, Role

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# A browser lets no page of another site set it without asking us first, which is never allowed.
PAGE_HEADER = "x-feedline"
SIGN_IN = "../api/v2/auth/login"


class AirflowCallers:
    """Takes the caller from Airflow's cookie or bearer token, and the role from what Airflow lets the user do:

    whoever may change connections is an operator here, whoever may change Dags an engineer, whoever may see Dags a
    viewer.
    """

    async def identify(self, connection: HTTPConnection) -> Identity | None:
        """None for a user who may not even see Dags. Raises ProblemError 401 with where to sign in, 403 for a change
        that a page of another site could have sent."""
        _refuse_other_sites(connection)
        try:
            user = await get_user(Request(connection.scope), None, _bearer(connection))
        except HTTPException as error:
            raise ProblemError(401, f"sign in to Airflow first: {error.detail}", extra={"signIn": SIGN_IN}) from error
        role = await to_thread.run_sync(role_of, user)
        return Identity(f"airflow:{user.get_name()}", role) if role else None

    def knows(self, connection: HTTPConnection) -> bool:  # noqa: ARG002 - a sign-in is looked at each time
        return False


def role_of(user: BaseUser) -> Role | None:
    """The role of a user of Airflow; None for one who has none here."""
    manager = get_auth_manager()
    if manager.is_authorized_connection(method="PUT", user=user):
        return Role.OPERATOR
    if manager.is_authorized_dag(method="PUT", user=user):
        return Role.ENGINEER
    return Role.VIEWER if manager.is_authorized_dag(method="GET", user=user) else None


def _bearer(connection: HTTPConnection) -> HTTPAuthorizationCredentials | None:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    return HTTPAuthorizationCredentials(scheme=scheme, credentials=token.strip())


def _refuse_other_sites(connection: HTTPConnection) -> None:
    """The cookie comes with whatever a browser sends, so a change must show that one of our own pages sent it."""
    if connection.scope["method"] in SAFE_METHODS:
        return
    site = connection.headers.get("sec-fetch-site", "same-origin")
    if site != "same-origin" or PAGE_HEADER not in connection.headers:
        raise ProblemError(403, f"changes come from Feedline's own pages, or with a header {PAGE_HEADER} from programs")
