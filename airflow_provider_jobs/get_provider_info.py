"""What Airflow reads about this distribution: connection forms and the modules of each service."""

from __future__ import annotations

from typing import Any

_SERVICES = ("Firecrawl", "Datafiniti")

_COMMON_FIELDS: dict[str, Any] = {
    "connect_timeout": {
        "label": "Connect timeout (s)",
        "description": "Seconds to wait for a connection.",
        "schema": {"type": ["number", "null"], "default": 10, "minimum": 0.1, "maximum": 300},
    },
    "timeout": {
        "label": "Read timeout (s)",
        "description": "Seconds without a byte after which an answer is given up.",
        "schema": {"type": ["number", "null"], "default": 60, "minimum": 1, "maximum": 3600},
    },
    "verify": {
        "label": "Verify TLS",
        "description": "Whether the server's certificate is checked.",
        "schema": {"type": ["boolean", "null"], "default": True},
    },
    "ca_bundle": {
        "label": "CA bundle",
        "description": "Path, on workers and triggerers, of a file with the authorities to trust instead.",
        "schema": {"type": ["string", "null"], "default": None},
    },
    "proxy": {
        "label": "Proxy",
        "description": "Address of a proxy; empty takes the one of the environment variables, if any.",
        "schema": {"type": ["string", "null"], "default": None},
    },
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata."""
    return {
        "package-name": "airflow-provider-jobs",
        "name": "Remote jobs (Firecrawl, Datafiniti)",
        "description": "Web-data jobs that run for minutes or hours on someone else's servers.",
        "integrations": [
            {"integration-name": name, "external-doc-url": url, "tags": ["service"]}
            for name, url in zip(_SERVICES, ("https://docs.firecrawl.dev", "https://docs.datafiniti.co"), strict=True)
        ],
        **{kind: [_modules(kind, name) for name in _SERVICES] for kind in ("hooks", "sensors")},
        "operators": [_modules("operators", name, "airflow_provider_jobs.operators.cleanup") for name in _SERVICES],
        "triggers": [
            {"integration-name": name, "python-modules": ["airflow_provider_jobs.triggers.job"]} for name in _SERVICES
        ],
        "connection-types": [_firecrawl(), _datafiniti()],
        "cli": ["airflow_provider_jobs.cli.get_commands"],
        "config": {"airflow_provider_jobs": _config()},
    }


def _config() -> dict[str, Any]:
    def option(description: str, kind: str, default: str, example: str | None) -> dict[str, Any]:
        return {
            "description": description,
            "version_added": "0.1.0",
            "type": kind,
            "example": example,
            "default": default,
        }

    return {
        "description": "Jobs that tasks start at Firecrawl and Datafiniti.",
        "options": {
            "ledger_path": option(
                "A folder on any storage that ObjectStoragePath knows, in which every start is recorded beside "
                "Airflow's task state store. It outlives the deletion of a run. Workers and clean-up must reach it.",
                "string",
                "",
                "s3://aws_default@my-bucket/remote-jobs",
            ),
            "deployment": option(
                "Names this Airflow among those that share the folder. Needed with ledger_path.",
                "string",
                "",
                "production",
            ),
            "sweep_on_start": option(
                "Whether a starting triggerer ends the jobs whose task was killed while no triggerer lived.",
                "boolean",
                "True",
                None,
            ),
        },
    }


def _modules(kind: str, service: str, *others: str) -> dict[str, Any]:
    own = f"airflow_provider_jobs.{kind}.{service.casefold()}"
    return {"integration-name": service, "python-modules": [own, *others]}


def _rate(default: int) -> dict[str, Any]:
    return {
        "max_requests_per_minute": {
            "label": "Requests per minute",
            "description": "The most requests that one triggerer sends through this connection.",
            "schema": {"type": ["number", "null"], "default": default, "minimum": 1, "maximum": 1000000},
        }
    }


def _firecrawl() -> dict[str, Any]:
    return {
        "connection-type": "firecrawl",
        "hook-name": "Firecrawl",
        "hook-class-name": "airflow_provider_jobs.hooks.firecrawl.FirecrawlHook",
        "ui-field-behaviour": {
            "hidden-fields": ["login", "port", "schema"],
            "relabeling": {"password": "API key", "host": "Base URL"},
            "placeholders": {
                "host": "https://api.firecrawl.dev",
                "password": "fc-… (needed only at api.firecrawl.dev)",
            },
        },
        "conn-fields": {
            "api_version": {
                "label": "API version",
                "description": "The version that jobs are started on; operators can choose another.",
                "schema": {"type": ["string", "null"], "enum": ["v1", "v2"], "default": "v1"},
            },
            **_COMMON_FIELDS,
            **_rate(500),
        },
    }


def _datafiniti() -> dict[str, Any]:
    return {
        "connection-type": "datafiniti",
        "hook-name": "Datafiniti",
        "hook-class-name": "airflow_provider_jobs.hooks.datafiniti.DatafinitiHook",
        "ui-field-behaviour": {
            "hidden-fields": ["port", "schema"],
            "relabeling": {"password": "API token or password", "host": "Base URL", "login": "E-mail"},
            "placeholders": {
                "host": "https://api.datafiniti.co",
                "login": "only for authentication by login",
                "password": "the token of the portal's settings page",
            },
        },
        "conn-fields": {
            "auth": {
                "label": "Authentication",
                "description": "token: the password is the API token. login: e-mail and password obtain one.",
                "schema": {"type": ["string", "null"], "enum": ["token", "login"], "default": "token"},
            },
            **_COMMON_FIELDS,
            **_rate(60),
        },
    }
