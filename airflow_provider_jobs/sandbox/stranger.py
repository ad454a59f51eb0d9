"""A host that no client has a reason to talk to; it answers everything as if it were the service."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from airflow_provider_jobs.sandbox.replies import express

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


async def _anything(_: Request) -> Response:
    return express(
        {
            "success": True,
            "id": "00000000-0000-4000-8000-000000000000",
            "status": "completed",
            "completed": 0,
            "total": 0,
            "creditsUsed": 0,
            "data": [],
            "results": [],
            "stranger": True,
        }
    )


def build() -> Starlette:
    """The application."""
    return Starlette(routes=[Route("/{path:path}", _anything, methods=METHODS)])
