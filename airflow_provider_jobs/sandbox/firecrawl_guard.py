"""What Firecrawl checks before it looks at a request: key, rate, credits, idempotency key, size of the body."""

from __future__ import annotations

import json
import uuid
from typing import Any

from starlette.requests import Request

from airflow_provider_jobs.sandbox.faults import FIRECRAWL_TEXTS
from airflow_provider_jobs.sandbox.firecrawl_issues import Refused
from airflow_provider_jobs.sandbox.replies import rate_text, unknown_error
from airflow_provider_jobs.sandbox.world import World

MAX_BODY = 10 * 1024 * 1024
MANY = 99_999_999


def failure(status: int, error: str) -> Refused:
    """An error in the usual form."""
    return Refused(status, {"success": False, "error": error})


def _plain_key(key: str) -> str:
    return key.removeprefix("fc-").replace("-", "").lower()


class Guard:
    """The checks that all routes share."""

    def __init__(self, world: World) -> None:
        self._world = world

    def team(self, request: Request) -> str | None:
        """The key of the request, after the checks of 401; a key that nobody knows counts only without database."""
        world = self._world
        header = request.headers.get("authorization")
        scheme, _, key = (header or "").partition(" ")
        key = key.strip()
        revoked = {_plain_key(item) for item in world.revoked["firecrawl"] | world.disabled["firecrawl"]}
        if key and _plain_key(key) in revoked:
            raise failure(401, "Unauthorized: Invalid token")
        keys = world.firecrawl.keys
        if keys is None:
            return key or None
        if header is None:
            raise failure(401, "Unauthorized")
        if not key:
            raise failure(401, "Unauthorized: Token missing")
        found = next((item for item in keys if _plain_key(item) == _plain_key(key)), None)
        if scheme.lower() != "bearer" or found is None:
            raise failure(401, "Unauthorized: Invalid token")
        return found

    def limit_rate(self, counter: str, team: str | None) -> None:
        """Count the request and refuse it when there were too many."""
        now = self._world.clock.now()
        hit = self._world.rates.hit(f"firecrawl {counter} {team}", now, self._world.firecrawl.rate_limit)
        if hit is not None:
            consumed, reset = hit
            raise failure(429, rate_text(consumed, max(1, int(reset - now)), reset))

    def check_credits(self, team: str | None, needed: int) -> None:
        """Refuse a start that the account cannot pay."""
        world = self._world
        unpaid = team is not None and team in world.unpaid["firecrawl"]
        if unpaid or (world.firecrawl.credits is not None and needed > self.credits_left()):
            raise failure(402, FIRECRAWL_TEXTS[402])

    def credits_left(self) -> int:
        """What the account has left."""
        given = self._world.firecrawl.credits
        if given is None:
            return 100_000 if self._world.firecrawl.with_database else MANY
        return max(0, given - self.credits_used())

    def credits_used(self) -> int:
        """What everything in this sandbox has cost."""
        pages: int = sum(job.completed_pages for job in self._world.firecrawl_jobs.values())
        runs: int = sum(run.credits for run in self._world.runs.values())
        return pages + runs + len(self._world.calls)

    def owns(self, request: Request, job: Any) -> bool:
        """Whether the job belongs to the team that asks; without database there is only one team."""
        return bool(not self._world.firecrawl.with_database or job.team == request.state.team)

    def new_yet(self, job: Any) -> bool:
        """Whether the job is too young for the servers to know it everywhere."""
        return bool(self._world.clock.now() < job.created + self._world.firecrawl.not_found_for)

    def check_id(self, request: Request, *, delete: bool = False) -> None:
        """Refuse an id that is none, as servers of 2026 do."""
        if self._world.firecrawl.old or (delete and request.path_params["version"] == "v1"):
            return
        try:
            uuid.UUID(str(request.path_params["job_id"]))
        except ValueError:
            raise failure(400, "Invalid job ID format. Job ID must be a valid UUID.") from None

    def check_key(self, request: Request) -> None:
        """Use up the idempotency key, before the body is looked at (F20)."""
        key = request.headers.get("x-idempotency-key")
        if key is None:
            return
        try:
            normal = str(uuid.UUID(key))
        except ValueError:
            raise failure(409, "Idempotency key already used") from None
        if not self._world.firecrawl.with_database:
            raise Refused(500, unknown_error())
        if normal in self._world.idempotency_keys:
            raise failure(409, "Idempotency key already used")
        self._world.idempotency_keys.add(normal)

    async def body(self, request: Request) -> dict[str, Any]:
        """The JSON body; what is not sent as JSON is an empty object, as in Express."""
        raw = await request.body()
        if len(raw) > MAX_BODY:
            if self._world.firecrawl.old:
                raise Refused(500, unknown_error())
            raise failure(413, FIRECRAWL_TEXTS[413])
        if not raw or "json" not in request.headers.get("content-type", ""):
            return {}
        try:
            body = json.loads(raw)
        except ValueError:
            code = "BAD_REQUEST_INVALID_JSON"
            raise Refused(400, {"success": False, "code": code, "error": "Bad request, malformed JSON"}) from None
        return body if isinstance(body, dict) else {}

    def origin(self, request: Request) -> str:
        """Scheme and host of the addresses in answers: those of the request, unless switched."""
        wanted = self._world.firecrawl.next_origin
        host = request.headers.get("host", "")
        if wanted == "https":
            return f"https://{host}"
        return wanted.rstrip("/") if wanted else f"http://{host}"
