"""What the body of a Datafiniti search that starts a download may hold beside the arguments."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from airflow_provider_jobs.services.options import Body
from airflow_provider_jobs.services.schema import Rules


def _true_or_false(value: Any) -> str | None:
    if isinstance(value, str) and value not in ("true", "false"):
        return "expected True or False"
    return None


# The reference calls these two text and shows them as true and false without quotes.
Switch = Annotated[bool | str, Rules(_true_or_false)]


class Download(TypedDict, total=False):
    """Options of a download; ``auto_trace`` and ``only_traceable`` are about properties."""

    auto_trace: Switch
    only_traceable: Switch
    view_name: str
    sort: bool | str


DOWNLOAD = Body("Datafiniti's download", {"v4": Download})
