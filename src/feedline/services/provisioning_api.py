"""The provisioning service: plans, applies, drift and the audit trail over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Collection
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI

from feedline.catalog import load_catalog
from feedline.provisioning.books import Books, default_books
from feedline.provisioning.desired import read_desired
from feedline.provisioning.installation import Installation
from feedline.provisioning.state import Part
from feedline.services import provisioning_routes
from feedline.services.auth import Authenticates
from feedline.services.gate import protect
from feedline.services.limits import Limits
from feedline.services.provisioning_jobs import Jobs
from feedline.services.provisioning_routes import ProvisioningState
from feedline.settings import Settings

# A plan asks the brokers, the registry and the warehouse, so a caller may come less often than elsewhere.
LIMITS = Limits(max_body_bytes=64 * 1024, max_json_depth=10, max_json_values=1000, per_second=5.0, burst=30)


def create_app(
    settings: Settings,
    authenticator: Authenticates,
    limits: Limits | None = None,
    *,
    books: Books | None = None,
    file: Path | None = None,
    docs: bool = True,
) -> FastAPI:
    """The application; nothing is asked of any service yet. books: where plans, jobs, the journal and the audit trail
    are kept; file: the declared state, `provisioning.yaml` beside the catalogue when it is left out."""
    app = FastAPI(
        title="Feedline provisioning",
        description="Declared topics, users, rules, quotas, schemas, tables and account: plans, applies, drift.",
        version=version("feedline"),
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if docs else None,
    )

    def installation(parts: Collection[Part], told: Callable[[str], None]) -> Installation:
        # As the files say now.
        return Installation(settings, read_desired(settings, load_catalog(settings.catalog), file), parts, told=told)

    app.state.provisioning = ProvisioningState(Jobs(books or default_books(), installation), installation)
    protect(app, authenticator, limits or LIMITS)
    app.include_router(provisioning_routes.router)

    @app.get("/health", tags=["service"])
    def health() -> dict[str, str]:
        """Whether the service answers; it says nothing of what it provisions."""
        return {"status": "ok"}

    return app
