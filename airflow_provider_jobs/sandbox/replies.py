"""Answers in the form in which the services send them."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

EXPRESS = {"X-Powered-By": "Express", "Access-Control-Allow-Origin": "*"}
KEEP_ALIVE = {"Connection": "keep-alive", "Keep-Alive": "timeout=5"}
JSON_TYPE = "application/json; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"

CANNOT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Error</title>
</head>
<body>
<pre>Cannot {method} {path}</pre>
</body>
</html>
"""

RATE_TEXT = (
    "Rate limit exceeded. Consumed (req/min): {consumed}, Remaining (req/min): 0. Upgrade your plan at "
    "https://firecrawl.dev/pricing for increased rate limits or please retry after {seconds}s, resets at {at}"
)


@dataclass
class Reply:
    """A whole answer, kept back until it is decided how to send it."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


def dumps(value: Any) -> bytes:
    """JSON as JavaScript writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def express(value: Any, status: int = 200) -> Response:
    """A JSON answer with the headers of Express."""
    body = dumps(value)
    digest = base64.b64encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()[:27]
    headers = {**EXPRESS, "Content-Type": JSON_TYPE, "ETag": f'W/"{len(body):x}-{digest}"', **KEEP_ALIVE}
    return Response(body, status, headers)


def express_404(method: str, path: str) -> Response:
    """The page of Express for a route that does not exist."""
    security = {"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"}
    page = CANNOT.format(method=method, path=path.replace("&", "&amp;").replace("<", "&lt;"))
    return Response(page, 404, {**EXPRESS, **security, "Content-Type": HTML_TYPE, **KEEP_ALIVE})


def unknown_error() -> dict[str, Any]:
    """Firecrawl's body for any exception."""
    text = (
        "An unexpected error occurred. Please contact help@firecrawl.com for help. "
        f"Your exception ID is {uuid.uuid4().hex}"
    )
    return {"success": False, "code": "UNKNOWN_ERROR", "error": text}


def rate_text(consumed: int, seconds: int, reset_at: float) -> str:
    """Firecrawl's text of a 429, the only place where it tells the wait."""
    moment = datetime.datetime.fromtimestamp(reset_at, datetime.UTC)
    at = moment.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)")
    return RATE_TEXT.format(consumed=consumed, seconds=seconds, at=at)


def iso(moment: float, *, whole: bool = False) -> str:
    """ISO-8601 with milliseconds and Z, as JavaScript prints dates."""
    at = datetime.datetime.fromtimestamp(int(moment) if whole else moment, datetime.UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
