"""Which certificate authorities are trusted: the same for both transports, as requests finds them."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import requests.utils

from airflow_provider_jobs.exceptions import TlsError
from airflow_provider_jobs.transport.endpoint import Endpoint


def tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    """Return the context for connections to an endpoint. Reads files.

    :raises TlsError: the authorities cannot be read.
    """
    if not endpoint.verify:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    place = Path(_given(endpoint) or requests.utils.DEFAULT_CA_BUNDLE_PATH)
    try:
        if place.is_dir():
            return ssl.create_default_context(capath=place)
        return ssl.create_default_context(cafile=place)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise TlsError(
            f"the certificate authorities in {place} cannot be read ({why}): ca_bundle in the connection must be the "
            "path of a PEM file that workers and triggerers have",
            sent=False,
        ) from None


def check_authorities(endpoint: Endpoint) -> None:
    """Read the authorities that the connection or the environment names, because requests is unclear about errors.

    :raises TlsError: they cannot be read.
    """
    if endpoint.verify and _given(endpoint):
        tls_context(endpoint)


def _given(endpoint: Endpoint) -> str | None:
    return endpoint.ca_bundle or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
