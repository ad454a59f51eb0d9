"""What Airflow reads about this distribution."""

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata."""
    return {"package-name": "airflow-provider-jobs", "name": "Jobs", "description": "Web-data jobs."}
