"""Which key goes with a request, and how one is obtained. No I/O; may be shared between threads."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from urllib.parse import quote

from airflow_provider_jobs.exceptions import RateLimitedError, RedirectRefusedError, ServiceError, TransportError
from airflow_provider_jobs.services.base import Reply, Request, Service
from airflow_provider_jobs.services.errors import error_for
from airflow_provider_jobs.transport.endpoint import Endpoint
from airflow_provider_jobs.transport.policy import is_transient

SHORTEST_SECRET = 4
"""Anything shorter is part of ordinary words and cannot be taken out of a text."""
SHORTEST_KEY = 12
"""Anything shorter may be part of a successful answer's own words."""


class Credentials:
    """The key of an endpoint: given, or exchanged for login and password when it is first needed.

    :param service: whose key it is.
    :param on_new_key: told of a key that was obtained, so that logs can mask it.
    """

    def __init__(
        self, endpoint: Endpoint, service: Service, *, on_new_key: Callable[[str], None] | None = None
    ) -> None:
        self._endpoint = endpoint
        self._service = service
        self._on_new_key = on_new_key
        self._lock = threading.Lock()
        self._token = endpoint.token

    @property
    def current(self) -> str | None:
        """The key to send, or None to send none."""
        return self._token

    def login_request(self) -> Request | None:
        """Return the request that obtains a key, or None when there is one or none is needed."""
        login = self._endpoint.login
        if login is None or self._token is not None:
            return None
        return self._service.login(login.email, login.password)

    def accept(self, login: Request, reply: Reply) -> None:
        """Read the answer to :meth:`login_request`.

        :raises AuthenticationError: the login was not accepted.
        :raises RateLimitedError: there were too many requests.
        :raises TransportError: the service failed; what waits for the token was not sent.
        """
        if is_transient(reply):
            error = self.service_error(login, reply)
            raise error if isinstance(error, RateLimitedError) else TransportError(str(error), sent=False)
        token = self._service.read_login(reply)
        if self._on_new_key is not None:
            self._on_new_key(token)
        with self._lock:
            self._token = token

    def renew_after(self, reply: Reply, token: str | None) -> bool:
        """Whether a request that met this answer should be sent once more with a new key.

        :param token: the key that it was sent with; it is forgotten, unless another one has taken its place.
        """
        if self._endpoint.login is None or not self._service.refuses_key(reply):
            return False
        with self._lock:
            if self._token == token:
                self._token = None
        return True

    def redact(self, body: bytes, *, success: bool) -> bytes:
        """Take every secret out of what a server sent back, because parts of it may be shown.

        :param success: the body is data rather than an error: only the key is taken out, if it is no common word.
        """
        given = (self._token,) if success else (self._token, *self._endpoint.secrets)
        for secret in given:
            if secret and len(secret) >= (SHORTEST_KEY if success else SHORTEST_SECRET):
                for form in _forms(secret):
                    body = body.replace(form.encode(), b"***")
        return body

    def service_error(self, request: Request, reply: Reply) -> ServiceError | RedirectRefusedError:
        """Return the error that a reply without success means."""
        try:
            # The service may know more of it than its HTTP status tells.
            self._service.check_error(request, reply)
        except (ServiceError, RedirectRefusedError) as error:
            return error
        return error_for(self._service.label, request, reply)


def not_sent(error: TransportError) -> TransportError:
    """Return the error of a login as that of the request that waits for it."""
    return TransportError(str(error), sent=False) if error.sent else error


def _forms(secret: str) -> Iterator[str]:
    """Give a secret as it may stand in a text: as it is, in an address, in JSON, and in JSON quoted in JSON."""
    found = {secret, quote(secret, safe="")}
    for _ in range(2):
        found |= {json.dumps(form, ensure_ascii=ascii)[1:-1] for form in found for ascii in (True, False)}
    yield from sorted(found, key=len, reverse=True)
