"""Where requests go and with which credentials: the settings of a connection, checked before the first request."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from airflow_provider_jobs.exceptions import ConnectionSettingsError

LONGEST_NAME, LONGEST_LABEL = 253, 63
"""Letters of a host name and of each part between its dots, by the rules of DNS."""
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")


@dataclass(frozen=True, slots=True)
class Login:
    """E-mail and password that are exchanged for a token."""

    email: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One configured service. The credentials do not appear in the representation.

    :param base_url: scheme, host, port and path prefix, without a slash at the end.
    :param token: sent as ``Authorization: Bearer …``; None sends no such header.
    :param login: used instead of a token.
    :param connect_timeout: seconds to wait for a connection.
    :param read_timeout: seconds without a byte after which an answer is given up.
    :param verify: whether the server's certificate is checked.
    :param ca_bundle: path of a file with the authorities to trust instead of the usual ones.
    :param proxy: address of a proxy; None takes the one of the environment variables, if any.
    :param max_requests_per_minute: what this connection may send from one triggerer.
    """

    conn_id: str
    base_url: str
    token: str | None = field(default=None, repr=False)
    login: Login | None = None
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    verify: bool = True
    ca_bundle: str | None = None
    proxy: str | None = field(default=None, repr=False)
    max_requests_per_minute: float = 60.0

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never appear in a text."""
        return tuple(filter(None, (self.token, self.login.password if self.login else None)))

    @property
    def tls(self) -> bool | str:
        """The ``verify`` argument of requests."""
        return (self.ca_bundle or True) if self.verify else False


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port: what a key belongs to."""
    parts = urlsplit(url)
    scheme = parts.scheme.casefold()
    return scheme, (parts.hostname or "").casefold(), parts.port or {"http": 80, "https": 443}.get(scheme)


def base_url(
    host: str | None,
    *,
    default: str,
    schema: str | None = None,
    port: int | None = None,
    api_versions: tuple[str, ...] = (),
) -> str:
    """Return the base URL that a connection's fields describe.

    :param host: host name or address, optionally with scheme, port and path prefix; empty means ``default``.
    :param schema: the scheme as a separate field; without any scheme, https.
    :param port: the port as a separate field.
    :param api_versions: last path parts that belong to the API and are taken off when they were pasted along.
    :raises ConnectionSettingsError: malformed, or the fields contradict each other.
    """
    given = (host or "").strip() or default
    scheme_field = _scheme((schema or "").strip().rstrip(":/") or None, "Schema")
    if "://" not in given:
        # Airflow takes the brackets off the host of firecrawl://:key@[::1]:3002.
        given = f"{scheme_field or 'https'}://{f'[{given}]' if _is_ipv6(given) else given}"
    try:
        parts = urlsplit(given)
        host_port, name = parts.port, parts.hostname
    except ValueError as error:
        raise ConnectionSettingsError(f"host is not an address: {error}") from None
    scheme = _scheme(parts.scheme, "host")
    if parts.username is not None or parts.password is not None:
        raise ConnectionSettingsError("host must not hold a user name or password; the key belongs into Password")
    if parts.query or parts.fragment:
        raise ConnectionSettingsError("host must not hold a query or a fragment")
    if not name or not _is_host(name) or re.search(r"\s", parts.path):
        raise ConnectionSettingsError(f"host is not an address: {given!r}")
    if scheme_field and scheme_field != scheme:
        raise ConnectionSettingsError(f"host says {scheme}, Schema says {scheme_field}: give one of them")
    for where, number in (("host", host_port), ("Port", port)):
        if number is not None and not 0 < number < 65536:
            raise ConnectionSettingsError(f"{where}: a port is a number from 1 to 65535, not {number}")
    if host_port and port and host_port != port:
        raise ConnectionSettingsError(f"host says port {host_port}, Port says {port}: give one of them")
    path = re.sub(r"/{2,}", "/", parts.path).rstrip("/")
    for version in api_versions:
        path = path.removesuffix(f"/{version}")
    shown = f"[{name}]" if ":" in name else name
    number = host_port or port
    return f"{scheme}://{shown}{f':{number}' if number else ''}{path}"


def proxy_url(value: str | None) -> str | None:
    """Return the address of a proxy, with a scheme.

    :raises ConnectionSettingsError: it is none. It is not shown, because it may hold a password.
    """
    if value is None:
        return None
    given = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(given)
        good = parts.scheme in {"http", "https"} and parts.port != 0 and _is_host(parts.hostname or "")
    except ValueError:
        good = False
    if not good:
        raise ConnectionSettingsError("proxy must be an address such as http://proxy.example:3128")
    return given


def _scheme(value: str | None, where: str) -> str | None:
    if value is None:
        return None
    if value.casefold() not in {"http", "https"}:
        raise ConnectionSettingsError(f"{where} must be http or https, not {value!r}")
    return value.casefold()


def _is_host(name: str) -> bool:
    if _is_ip(name):
        return True
    if name in {"http", "https"} or len(name) > LONGEST_NAME:  # a scheme without "://", or with two
        return False
    labels = name.removesuffix(".").split(".")
    return bool(_HOST_NAME.fullmatch(name)) and all(0 < len(label) <= LONGEST_LABEL for label in labels)


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_ipv6(name: str) -> bool:
    return ":" in name and _is_ip(name)


def check_header_value(value: str, what: str) -> str:
    """Return a credential without the blanks that come along when it is pasted.

    :raises ConnectionSettingsError: it holds characters that no header can carry.
    """
    stripped = value.strip()
    if not stripped.isascii() or not stripped.isprintable() or " " in stripped:
        raise ConnectionSettingsError(f"{what} holds characters that cannot be sent: was it pasted in full?")
    return stripped
