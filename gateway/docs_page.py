"""`/docs`: the API's document as a page, without asking any other server for anything."""

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

ASSETS = "docs/assets"
"""Relative to the page, so that a proxy may put a path before it."""


def add_docs_page(app: FastAPI) -> None:
    """Serves Swagger UI out of the package fastapi-swagger."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=f"{app.title} API",
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon-32x32.png",
            swagger_ui_parameters={
                "displayRequestDuration": True,
                "docExpansion": "list",
                "filter": True,
                "persistAuthorization": True,
                "defaultModelsExpandDepth": 0,
            },
        )

    app.mount(f"/{ASSETS}", StaticFiles(packages=[("fastapi_swagger", "resources")]), name="docs-assets")
