"""The routes of the Datafiniti stand-in and of the host that serves its result files."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from airflow_provider_jobs.sandbox.datafiniti_data import search
from airflow_provider_jobs.sandbox.datafiniti_jobs import LINK_SECONDS, TERMINAL, Download, account_object, wire_object
from airflow_provider_jobs.sandbox.faults import datafiniti_error
from airflow_provider_jobs.sandbox.replies import JSON_TYPE, dumps
from airflow_provider_jobs.sandbox.world import World

Handler = Callable[[Request], Awaitable[Response]]
TYPES = {"businesses": "business", "products": "product", "properties": "property", "people": "people"}
FIRST_ID = 847_070
MISSING_HEADER = (
    "Please provide your token in the Authorization header using the following format: "
    "Bearer << replace all of this with your token >>"
)
PAYMENT = "There was a problem with this customer's payment information."
NO_QUERY = "please provide a request body containing an object with the following fields: query"
BAD_COUNT = "invalid value for num_records. Valid values are any number between 1 - 10"
NOTHING = '{ "No result found within the params of your query" }'


class Refused(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, *texts: str) -> None:
        super().__init__(*texts)
        self.status, self.texts = status, list(texts)


def _json(value: Any, status: int = 200) -> Response:
    return Response(dumps(value), status, {"Content-Type": JSON_TYPE})


class DatafinitiApp:
    """Answers as Datafiniti does; `build()` gives the application, `build_files()` the host of the files."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ids = itertools.count(FIRST_ID)

    # -- who asks ----------------------------------------------------------------------------------

    def token_of(self, email: str, password: str) -> str:
        """The token of a user: another one after a change of the password, and after each revocation."""
        for turn in itertools.count():
            digest = hashlib.sha256(f"{email} {password} {turn}".encode()).hexdigest()
            if f"df-{digest[:32]}" not in self._world.revoked["datafiniti"]:
                return f"df-{digest[:32]}"
        raise AssertionError

    def _account(self, request: Request) -> tuple[str, str]:
        """Account and token of the request, after the checks in the order of the service."""
        world = self._world
        settings = world.datafiniti
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Refused(401, MISSING_HEADER)
        accounts = {item: item for item in settings.tokens}
        accounts |= {self.token_of(email, secret): email for email, secret in settings.users.items()}
        if token not in accounts or token in world.revoked["datafiniti"]:
            if settings.bad_token_status == 400:
                raise Refused(400, "An invalid user token was provided.")
            raise Refused(401, "Invalid token.")
        if token in world.disabled["datafiniti"]:
            raise Refused(400, "An inactive user token was provided.")
        if token in world.unpaid["datafiniti"]:
            raise Refused(403, PAYMENT)
        return accounts[token], token

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            try:
                request.state.account, request.state.token = self._account(request)
                self._limit_rate(request.state.account)
                return await handler(request)
            except Refused as refused:
                family = self._world.datafiniti.error_family
                reply = datafiniti_error(refused.status, refused.texts, family)
                return Response(reply.body, reply.status, dict(reply.headers))

        return guarded

    def _limit_rate(self, account: str) -> None:
        world = self._world
        limit = world.datafiniti.rate_limit
        if world.rates.hit(f"datafiniti {account}", world.clock.now(), limit) is not None:
            raise Refused(429, "You have exceeded the maximum concurrent requests.")

    async def auth(self, request: Request) -> Response:
        """POST /v4/auth."""
        try:
            body = json.loads(await request.body())
        except ValueError:
            body = None
        email, password = (body.get("email"), body.get("password")) if isinstance(body, dict) else (None, None)
        if self._world.datafiniti.users.get(str(email)) != password or password is None:
            return _json({"errors": ["Invalid email or password."]}, 401)
        return _json({"token": self.token_of(str(email), str(password))})

    # -- starts ------------------------------------------------------------------------------------

    async def search(self, request: Request) -> Response:
        """POST /v4/{type}/search: a plain search, or the start of a download."""
        settings = self._world.datafiniti
        plural = str(request.path_params["data_type"])
        if plural not in TYPES:
            raise Refused(404, f"{plural} is not a valid data-type")
        body = await self._search_body(request)
        view = self._view(body.get("view"))
        matches = search(TYPES[plural], str(body["query"]), settings.multiply)
        if body.get("download") is not True:
            return self._plain_search(matches, body)
        if not matches and settings.zero_match == "400":
            raise Refused(400, "numRequested cannot be <= 0")
        if not matches and settings.zero_match == "404_nonjson":
            return Response(NOTHING, 404, {"Content-Type": "text/html; charset=utf-8"})
        job = Download(
            self._world,
            number=next(self._ids),
            account=request.state.account,
            token=request.state.token,
            data_type=TYPES[plural],
            body=body,
            matches=matches,
            view=view,
        )
        self._world.downloads[job.id] = job
        return _json(wire_object(job, settings.wire, start=True), settings.start_status)

    def _view(self, view: Any) -> list[str] | None:
        """The fields of a view: a saved one, or a list of names or objects; None for all fields."""
        if view is None or view == "default":
            return None
        if isinstance(view, list):
            return [str(item.get("name") if isinstance(item, dict) else item) for item in view]
        fields: list[str] | None = self._world.datafiniti.views.get(str(view))
        if fields is None:
            raise Refused(404, "View not found.")
        return fields

    async def _search_body(self, request: Request) -> dict[str, Any]:
        try:
            body = json.loads(await request.body())
        except ValueError:
            raise Refused(400, "request body is invalid json") from None
        if not isinstance(body, dict) or not isinstance(body.get("query"), str) or not body["query"]:
            raise Refused(400, NO_QUERY)
        if str(body.get("format") or "json").lower() not in ("json", "csv"):
            raise Refused(400, "invalid value for format. Valid values are json, csv")
        count = body.get("num_records")
        if count is not None and (isinstance(count, bool) or not isinstance(count, int)):
            raise Refused(400, BAD_COUNT)
        if body.get("download") is True and count is not None and count <= 0:
            raise Refused(400, "numRequested cannot be <= 0")
        if body.get("download") is not True and count is not None and not 0 <= count <= 10:
            raise Refused(400, BAD_COUNT)
        return body

    def _plain_search(self, matches: list[dict[str, Any]], body: dict[str, Any]) -> Response:
        count = body.get("num_records")
        found = matches[: 10 if count is None else count]
        return _json({"num_found": len(matches), "total_cost": len(found), "records": found})

    # -- one download ------------------------------------------------------------------------------

    def _find(self, request: Request) -> Download:
        job_id = str(request.path_params["job_id"])
        if not job_id.isdigit():
            raise Refused(400, "ID must be a number.")
        job: Download | None = self._world.downloads.get(job_id)
        if job is None or job.gone or job.account != request.state.account:
            raise Refused(404, "Download not found.")
        return job

    async def status(self, request: Request) -> Response:
        """GET /v4/downloads/{id}."""
        return _json(wire_object(self._find(request), self._world.datafiniti.wire))

    async def cancel(self, request: Request) -> Response:
        """DELETE /v4/downloads/{id}."""
        settings = self._world.datafiniti
        job = self._find(request)
        job.deletes += 1
        if job.state in TERMINAL:
            if settings.delete_terminal == "400":
                raise Refused(400, f"Download is already {job.state}.")
        else:
            job.cancel(by_delete=True)
        if settings.cancel_body == "empty":
            return Response(b"", 200)
        if settings.cancel_body == "message" or settings.wire == "w3":
            return _json({"message": "Download cancelled successfully"})
        return _json(wire_object(job, settings.wire))

    async def listing(self, request: Request) -> Response:
        """GET /v4/downloads: everything that was ever started, newest first."""
        wire = self._world.datafiniti.wire
        mine = [job for job in self._world.downloads.values() if job.account == request.state.account]
        shown = [wire_object(job, wire) for job in reversed(mine) if not job.gone]
        return _json(shown if wire == "w3" else {"num_found": len(shown), "records": shown})

    async def account(self, request: Request) -> Response:
        """GET /v4/account."""
        spent = dict.fromkeys(("product", "people", "property", "business"), 0)
        for job in self._world.downloads.values():
            if job.account == request.state.account:
                spent[job.data_type] += job.credits
        number = 126_609 + (self._world.secret_index(request.state.account) or 0)
        return _json(account_object(self._world.datafiniti, spent, number))

    def build(self) -> Starlette:
        """The application."""
        routes = [
            Route("/v4/auth", self.auth, methods=["POST"]),
            Route("/v4/health", _health, methods=["GET"]),
            Route("/v4/account", self._guarded(self.account), methods=["GET"]),
            Route("/v4/downloads", self._guarded(self.listing), methods=["GET"]),
            Route("/v4/downloads/{job_id}", self._guarded(self.status), methods=["GET"]),
            Route("/v4/downloads/{job_id}", self._guarded(self.cancel), methods=["DELETE"]),
            Route("/v4/{data_type}/search", self._guarded(self.search), methods=["POST"]),
        ]
        app = Starlette(routes=routes, exception_handlers={404: _no_route, 405: _no_route})
        app.router.redirect_slashes = False
        return app

    # -- result files ------------------------------------------------------------------------------

    async def file(self, request: Request) -> Response:
        """GET of a result file, as a storage service serves a signed link."""
        world = self._world
        if "authorization" in request.headers:
            text = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query "
            return _xml(400, "InvalidArgument", text + "string parameter or the Authorization header should be given")
        path = request.url.path
        for job in list(world.downloads.values()):
            for file in job.files:
                address = file.link.removeprefix(world.urls["files"])
                if address.partition("?")[0] != path:
                    continue
                if address.partition("?")[2] != request.url.query:
                    return _xml(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
                if world.clock.now() > file.signed_at + LINK_SECONDS:
                    return _xml(403, "AccessDenied", "Request has expired")
                if world.datafiniti.overage:
                    return _xml(403, "AccessDenied", "Access Denied")
                return self._content(job.content(file), path)
        return _xml(404, "NoSuchKey", "The specified key does not exist.")

    def _content(self, content: bytes, path: str) -> Response:
        kind = "text/csv" if path.endswith(".csv") else "text/plain"
        headers = {"Content-Type": kind, "Server": "AmazonS3", "Accept-Ranges": "bytes"}
        if self._world.datafiniti.gzip_files:
            return Response(gzip.compress(content), 200, {**headers, "Content-Encoding": "gzip"})
        return Response(content, 200, headers)

    def build_files(self) -> Starlette:
        """The application of the file host."""
        return Starlette(routes=[Route("/{path:path}", self.file, methods=["GET", "HEAD"])])


def _xml(status: int, code: str, text: str) -> Response:
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{text}</Message>'
        "<RequestId>SANDBOX</RequestId></Error>"
    )
    return Response(body, status, {"Content-Type": "application/xml"})


async def _health(_: Request) -> Response:
    return Response("OK", 200, {"Content-Type": "text/plain; charset=utf-8"})


async def _no_route(request: Request, _: Exception) -> Response:
    page = f"<!DOCTYPE html><html><body><pre>Cannot {request.method} {request.url.path}</pre></body></html>"
    return Response(page, 404, {"Content-Type": "text/html; charset=utf-8"})
