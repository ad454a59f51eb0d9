"""The hook of Datafiniti."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_jobs.exceptions import ConnectionSettingsError, InvalidInputError
from airflow_provider_jobs.hooks.base import TEST_ATTEMPTS, RemoteJobsHook, read_key
from airflow_provider_jobs.jobs.model import JobRef, JobStatus, StartedJob
from airflow_provider_jobs.services.datafiniti import HOSTED, DatafinitiService, check_file_reply
from airflow_provider_jobs.transport import settings
from airflow_provider_jobs.transport.endpoint import Login
from airflow_provider_jobs.transport.files import FileTransport

if TYPE_CHECKING:
    from airflow.sdk import Connection


class DatafinitiHook(RemoteJobsHook):
    """Talks to Datafiniti.

    In a task of one's own::

        hook = DatafinitiHook()
        job = hook.start_download("businesses", "categories:hotels AND country:US", num_records=50)
        status = hook.wait(job)

    :param datafiniti_conn_id: the Airflow connection: API token in Password, or with the extra ``auth`` = ``login``
        the account's e-mail in Login and its password in Password; Host defaults to https://api.datafiniti.co.
    """

    conn_name_attr: ClassVar[str] = "datafiniti_conn_id"
    default_conn_name: ClassVar[str] = "datafiniti_default"
    conn_type: ClassVar[str] = "datafiniti"
    hook_name: ClassVar[str] = "Datafiniti"
    hosted: ClassVar[str] = HOSTED
    api_versions: ClassVar[tuple[str, ...]] = ("v4",)
    default_rate: ClassVar[float] = 60.0

    def __init__(self, datafiniti_conn_id: str = default_conn_name) -> None:
        super().__init__(datafiniti_conn_id)
        self.service: DatafinitiService = DatafinitiService()

    def _read_credentials(self, connection: Connection, extra: dict[str, Any], address: str) -> dict[str, Any]:
        if settings.choice(extra, "auth", ("token", "login"), "token") == "token":
            token = read_key(connection, "Password (the API token)")
            if token is None:
                raise ConnectionSettingsError("an API token is needed; put it into Password")
            return {"token": token}
        if not connection.login or not connection.password:
            raise ConnectionSettingsError("auth = login needs the account's e-mail in Login and its password")
        return {"login": Login(connection.login, connection.password)}

    def start_download(
        self,
        data_type: str,
        query: str,
        num_records: int | None = None,
        *,
        file_format: str = "json",
        view: str | list[Any] | None = None,
        allow_all_records: bool = False,
        options: dict[str, Any] | None = None,
        check_options: bool = True,
    ) -> StartedJob:
        """Start a download.

        :param data_type: ``businesses``, ``products``, ``properties`` or ``people``.
        :param num_records: the most records to download and pay for.
        :param allow_all_records: download and pay for all that match, when ``num_records`` is not given.
        :raises InvalidInputError: the input would be refused or bill without a limit; nothing was sent.
        :raises StartUncertainError: the answer was lost; a job may be running.
        """
        spec = self.service.download(
            data_type,
            query,
            num_records,
            file_format=file_format,
            view=view,
            allow_all_records=allow_all_records,
            options=options,
            check_names=check_options,
        )
        return self.start(spec)

    def job(self, download_id: str | int) -> JobRef:
        """Name a download that something else has started.

        :raises InvalidInputError: no id.
        """
        return job_ref(download_id)

    def downloads(self) -> list[tuple[str, JobStatus]]:
        """Return every download the account has ever started; the service does not page the list."""
        found: list[tuple[str, JobStatus]] = self.run(self.service.listing())
        return found

    def file_conn(self) -> FileTransport:
        """Return the transport of result files, which carries no token: ``with hook.file_conn() as files``."""
        return FileTransport(self.endpoint, check_file_reply)

    def lines(self, link: str, name: str) -> Iterator[bytes]:
        """Read a result file line by line; lines keep their end."""
        with self.file_conn() as files:
            yield from files.lines(link, name)

    def _test(self) -> str:
        return f"{self.endpoint.base_url}: {self.run(self.service.account(), attempts=TEST_ATTEMPTS)}"


def job_ref(download_id: Any) -> JobRef:
    """Return the name of a Datafiniti download.

    :raises InvalidInputError: no id.
    """
    # "None" is what a template makes of an XCom that is not there: to cancel it would find nothing to do.
    is_id = isinstance(download_id, str | int) and not isinstance(download_id, bool)
    if not is_id or str(download_id).strip() in {"", "None"}:
        raise InvalidInputError(f"download_id must be a download's id, not {download_id!r}")
    return JobRef("datafiniti", "download", str(download_id).strip(), "v4")
