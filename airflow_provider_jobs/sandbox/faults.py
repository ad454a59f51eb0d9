"""The faults that can be switched on: what is answered instead of, or done to, the real answer."""

from __future__ import annotations

import email.utils
import json
from typing import Any

from airflow_provider_jobs.sandbox.replies import (
    EXPRESS,
    HTML_TYPE,
    JSON_TYPE,
    Reply,
    dumps,
    express_404,
    rate_text,
    unknown_error,
)
from airflow_provider_jobs.sandbox.world import Fault, World

LATE = {"lost_reply", "slow", "slow_body", "server_error_after_start", "truncated_json"}
REWRITES = {"status_word", "results_null", "id_only_underscore", "broken_link", "lost_link"}

HTML_ERROR = (
    "<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n<center><h1>{status} {reason}</h1>"
    "</center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><p>Please sign in.</p></body></html>"
REASONS = {404: "Not Found", 502: "Bad Gateway", 503: "Service Temporarily Unavailable"}

FIRECRAWL_TEXTS = {
    401: "Unauthorized: Invalid token",
    402: (
        "Insufficient credits to perform this request. For more credits, you can upgrade your plan at "
        "https://firecrawl.dev/pricing or try changing the request limit to a lower value."
    ),
    403: "This website is no longer supported, please reach out to help@firecrawl.com for more info.",
    404: "Job not found",
    409: "Idempotency key already used",
    410: "This endpoint is no longer available.",
    413: "Request body is too large",
    429: "Rate limit exceeded.",
}
DATAFINITI_TEXTS = {
    400: "An invalid user token was provided.",
    401: "Invalid token.",
    402: "You do not have enough scrape credits to cover the urls provided",
    403: "There was a problem with this customer's payment information.",
    404: "Download not found.",
    409: "Conflict",
    410: "Gone",
    413: "Request entity too large",
    429: "You have exceeded the maximum concurrent requests.",
    500: "This is an issue on our end. please contact customer support.",
}
E2_NAMES = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 500: "Internal Server Error"}
STATUS_FAULTS = {
    "401": 401, "402": 402, "403": 403, "409": 409, "410": 410, "413": 413, "500": 500,
    "400_token": 400, "json_404": 404,
}  # fmt: skip
SHAPES = {"error_list", "error_object", "error_text", "error_empty"}
WAITS = {"429_seconds", "429_date", "429_text", "429_bare"}
OTHERS = {"502_html", "503", "504_empty", "html_404", "html_200", "redirect", "ok_with_errors"}
NAMES = LATE | REWRITES | set(STATUS_FAULTS) | SHAPES | WAITS | OTHERS | {"reset"}


def datafiniti_error(status: int, texts: list[str], family: str) -> Reply:
    """An error of Datafiniti in one of its families."""
    if family == "nonjson":
        text = "{ " + (E2_NAMES.get(status) or texts[0]) + " }"
        return Reply(status, [("Content-Type", "text/plain; charset=utf-8")], text.encode())
    if family == "e2":
        name = E2_NAMES.get(status, "Error")
        body: dict[str, Any] = {"error": name, "message": "; ".join(texts) or name, "code": status}
    else:
        body = {"errors": texts}
    return Reply(status, [("Content-Type", JSON_TYPE)], dumps(body))


def plain_error(world: World, service: str, status: int, text: str | None = None) -> Reply:
    """An error with the text that the service has for this status."""
    if service == "datafiniti":
        told = text or DATAFINITI_TEXTS.get(status, "Error")
        return datafiniti_error(status, [told], world.datafiniti.error_family)
    if status == 500 and text is None:
        return Reply(500, [*EXPRESS.items(), ("Content-Type", JSON_TYPE)], dumps(unknown_error()))
    body = {"success": False, "error": text or FIRECRAWL_TEXTS.get(status, "Error")}
    return Reply(status, [*EXPRESS.items(), ("Content-Type", JSON_TYPE)], dumps(body))


def html_error(status: int) -> Reply:
    """The error page of a proxy."""
    page = HTML_ERROR.format(status=status, reason=REASONS[status])
    return Reply(status, [("Content-Type", "text/html")], page.encode())


def early(world: World, fault: Fault, method: str, path: str) -> Reply | None:
    """The answer of a fault that keeps the request from being acted upon; None for all others."""
    name, params = fault.name, fault.params
    if name in LATE or name in REWRITES:
        return None
    if name in WAITS:
        return _too_many(world, fault)
    if name in STATUS_FAULTS:
        return plain_error(world, fault.service, STATUS_FAULTS[name], params.get("text"))
    if name in SHAPES:
        return _shaped(fault)
    if name == "redirect":
        return Reply(int(params.get("status", 302)), [("Location", str(params.get("to", "/")))])
    if name == "ok_with_errors":
        body = {"errors": [params.get("text", "something went wrong")]}
        return Reply(200, [("Content-Type", JSON_TYPE)], dumps(body))
    if name == "html_404" and fault.service == "firecrawl":
        page = express_404(method, path)
        return Reply(404, [("Content-Type", HTML_TYPE)], bytes(page.body))
    if name == "html_200":
        return Reply(200, [("Content-Type", HTML_TYPE)], LOGIN_PAGE.encode())
    if name == "504_empty":
        return Reply(504)
    return html_error({"html_404": 404, "502_html": 502, "503": 503}[name])


def _too_many(world: World, fault: Fault) -> Reply:
    seconds = int(fault.params.get("seconds", 1))
    now = world.clock.now()
    text = None
    if fault.name == "429_text" and fault.service == "firecrawl":
        text = rate_text(101, seconds, now + seconds)
    reply = plain_error(world, fault.service, 429, text or fault.params.get("text"))
    if fault.name == "429_seconds":
        reply.headers.append(("Retry-After", str(seconds)))
    if fault.name == "429_date":
        reply.headers.append(("Retry-After", email.utils.formatdate(now + seconds, usegmt=True)))
    return reply


def _shaped(fault: Fault) -> Reply:
    status = int(fault.params.get("status", 400))
    text = str(fault.params.get("text", "something went wrong"))
    headers = [("Content-Type", JSON_TYPE)]
    if fault.name == "error_empty":
        return Reply(status)
    if fault.name == "error_text":
        return Reply(status, [("Content-Type", "text/plain; charset=utf-8")], text.encode())
    if fault.name == "error_list":
        key = "details" if fault.service == "firecrawl" else "errors"
        return Reply(status, headers, dumps({key: [text, {"message": f"{text} again", "code": "other"}]}))
    # A real server has sent an object of several KB that quotes the page (F43).
    detail = {"name": "AI_RetryError", "reason": text, "requestBodyValues": {"prompt": "page text " * 600}}
    if fault.service == "firecrawl":
        return Reply(status, headers, dumps({"success": False, "error": detail}))
    return Reply(status, headers, dumps({"error": detail, "message": text, "code": status}))


def rewrite(fault: Fault, reply: Reply) -> Reply:
    """The real answer, changed in one detail."""
    try:
        body = json.loads(reply.body)
    except ValueError:
        return reply
    if not isinstance(body, dict):
        return reply
    if fault.name == "status_word":
        if fault.params.get("word") is None:
            body.pop("status", None)
        else:
            body["status"] = fault.params["word"]
    elif fault.name == "results_null":
        body["results" if "results" in body else "data"] = None
    elif fault.name == "id_only_underscore":
        if "id" in body:
            body["_id"] = body.pop("id")
    elif fault.name == "lost_link" and body.get("results"):
        del body["results"][int(fault.params.get("index", 0))]
    elif body.get("results"):
        body["results"][int(fault.params.get("index", 0))] = _broken(body["results"][0])
    return Reply(reply.status, reply.headers, dumps(body))


def _broken(link: Any) -> Any:
    if isinstance(link, dict):
        return {"url": _broken(link["url"])}
    path, _, query = str(link).partition("?")
    stem, _, suffix = path.rpartition(".")
    return f"{stem}-gone.{suffix}?{query}"
