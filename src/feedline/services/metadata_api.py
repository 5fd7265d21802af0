"""The metadata service: feeds, schemas and models over HTTP, and the pages that show them."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from feedline.metadata.registry_errors import SchemaRefusedError
from feedline.services import (
    catalogue_routes,
    discovery_routes,
    evolution_routes,
    new_feed_routes,
    registry_routes,
)
from feedline.services.auth import Authenticates
from feedline.services.gate import OPEN_PATHS, protect
from feedline.services.limits import MIB, Limits
from feedline.services.metadata_state import MetadataState
from feedline.services.problems import problem_response
from feedline.settings import Settings

PAGES = Path(__file__).parent / "pages"
# The pages themselves hold no data: what they show they ask for, with the key that the user gives them.
PAGES_PATH = "/ui/"
MAX_SAMPLE_BYTES = 64 * MIB


def create_app(
    settings: Settings, authenticator: Authenticates, limits: Limits | None = None, *, docs: bool = True
) -> FastAPI:
    """The application; nothing is asked of any service yet. authenticator: who callers are; docs: OpenAPI document.

    Raises ConfigurationError for settings that cannot be used.
    """
    app = FastAPI(
        title="Feedline metadata",
        description="Feeds, schemas, logical models; Confluent's registry API with metadata and rule sets kept.",
        version=version("feedline"),
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if docs else None,
    )
    app.state.metadata = MetadataState(settings)
    bounds = limits or Limits()
    protect(
        app,
        authenticator,
        replace(bounds, uploads={"/discovery": MAX_SAMPLE_BYTES, **bounds.uploads}),
        open_paths={*OPEN_PATHS, PAGES_PATH},
    )
    app.add_exception_handler(SchemaRefusedError, _refused)
    app.include_router(catalogue_routes.router)
    app.include_router(evolution_routes.router)
    app.include_router(discovery_routes.router)
    app.include_router(new_feed_routes.router)
    app.include_router(registry_routes.router)

    @app.get("/health", tags=["service"])
    def health() -> dict[str, str]:
        """Whether the service answers; it says nothing of the registry, which may be away."""
        return {"status": "ok"}

    app.mount("/ui", _Pages(directory=PAGES, html=True), name="pages")
    return app


class _Pages(StaticFiles):
    """The pages' files, with a policy under which a browser runs and fetches only what is ours."""

    def file_response(self, *args: Any, **kwargs: Any) -> Any:
        response = super().file_response(*args, **kwargs)
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
            "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
        )
        response.headers["Cache-Control"] = "no-cache"
        return response


def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SchemaRefusedError)
    extra = {"plan": error.details} if error.details else None
    return problem_response(error.status, str(error), error_code=error.code, extra=extra)
