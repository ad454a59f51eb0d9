"""`make demo`: example DAGs of both services in a real Airflow, and a kill that cancels its job.

Everything runs on this machine, against the sandbox: a stand-in for both services that really fetches the pages it is
asked for. With LIVE=1, the services whose key is set are the real ones. The last line on stdout is JSON.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from airflow_provider_jobs.sandbox.client import ControlClient
from tests.support.cluster import AirflowCluster
from tests.support.leash import leashed
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
DAGS = [ROOT / "example_dags", ROOT / "tests" / "examples" / "dags" / "demo_long_job.py"]
KEYS = {"firecrawl": "FIRECRAWL_API_KEY", "datafiniti": "DATAFINITI_API_TOKEN"}
LABELS = {"firecrawl": "Firecrawl", "datafiniti": "Datafiniti"}
TASKS = {
    "firecrawl": ("firecrawl_batch_to_folder", "scrape"),
    "datafiniti": ("datafiniti_download_to_folder", "download"),
}
SANDBOX_KEYS = {"firecrawl": "fc-key-of-the-demo", "datafiniti": "sandbox-token"}  # the sandbox knows no other token

LIVE_PAGES = (
    "https://example.com/",
    "https://example.org/",
    "https://www.iana.org/help/example-domains",
    "https://www.rfc-editor.org/rfc/rfc2606.html",
    "https://airflow.apache.org/",
)
LIVE_RECORDS = 5
SECONDS_TO_STOP = 5
SANDBOX_PAGES, SANDBOX_RECORDS, LONG_PAGES = 12, 30, 400
CRAWLED = 20

JOB_TIMEOUT, LIVE_TIMEOUT, CANCEL_TIMEOUT = 90.0, 900.0, 25.0


CANCEL_WORDS = ("Cancelled because", "The task was killed: asked", "Ended because")  # in the logs of tasks and triggers


class DemoError(Exception):
    """The demo cannot go on; the text is for the user."""


class Stopped(BaseException):
    """A signal asked the demo to stop."""


# --- what will be done ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """Which services are real ones, and what they are asked for.

    :param keys: the keys of the real services; empty without LIVE=1.
    :param addresses: where the real services are, if elsewhere than their connections have it by default.
    """

    live: bool = False
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    addresses: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    @property
    def services(self) -> list[str]:
        """The services that are shown."""
        return [service for service in KEYS if not self.live or service in self.keys]

    def introduction(self) -> list[str]:
        """What has to be said before anything happens."""
        if not self.live:
            names = " and ".join(self.ignored)
            return [f"{names} set, but ignored: only `make demo LIVE=1` uses the real services."] if names else []
        costs = {
            "firecrawl": f"Firecrawl: {len(LIVE_PAGES)} pages as Markdown, at most {len(LIVE_PAGES)} credits.",
            "datafiniti": f"Datafiniti: {LIVE_RECORDS} business records, at most {LIVE_RECORDS} credits.",
        }
        lines = ["LIVE: this uses the real service and your account, and costs at most:"]
        lines += [f"  {costs[service]}" for service in self.services]
        lines += [f"  {LABELS[s]}: skipped, {KEYS[s]} is not set." for s in KEYS if s not in self.keys]
        return [*lines, "  The kill is shown on the local sandbox and costs nothing."]

    def connections(self, urls: Mapping[str, str]) -> dict[str, str]:
        """The environment variables with Airflow's connections."""
        found = {"AIRFLOW_CONN_DEMO_SANDBOX": _connection("firecrawl", urls["firecrawl"], SANDBOX_KEYS["firecrawl"])}
        for service in self.services:
            host = self.addresses.get(service) if self.live else urls[service]
            key = self.keys[service] if self.live else SANDBOX_KEYS[service]
            found[f"AIRFLOW_CONN_{service.upper()}_DEFAULT"] = _connection(service, host, key)
        return found

    def conf(self, service: str, urls: Mapping[str, str], folder: Path) -> dict[str, Any]:
        """What a service's example DAG is triggered with."""
        output = {"output_folder": str(folder / service)}
        if service == "datafiniti":
            return output | {"num_records": LIVE_RECORDS if self.live else SANDBOX_RECORDS}
        site = self.addresses.get("site")
        if self.live:
            pages = [f"{site}/articles/{n}.html" for n in range(1, len(LIVE_PAGES) + 1)] if site else list(LIVE_PAGES)
        else:
            pages = [f"{urls['site']}/articles/{number}.html" for number in range(1, SANDBOX_PAGES + 1)]
        return output | {"urls": pages}


def make_plan(env: MutableMapping[str, str]) -> Plan:
    """Read the plan from the environment, and take the keys out of it: no other process needs them.

    :raises DemoError: LIVE=1 without a key.
    """
    keys = {service: key for service, name in KEYS.items() if (key := env.pop(name, "").strip())}
    # For the tests of this file: the addresses of a sandbox that plays the real services.
    addresses = json.loads(env.pop("DEMO_LIVE_ADDRESSES", "{}"))
    if env.get("LIVE", "").strip().casefold() not in {"1", "true", "yes"}:
        return Plan(ignored=tuple(KEYS[service] for service in keys))
    if not keys:
        raise DemoError(f"LIVE=1 needs {' or '.join(KEYS.values())} (or both) in the environment; neither is set.")
    return Plan(live=True, keys=keys, addresses=addresses)


def _connection(conn_type: str, host: str | None, password: str) -> str:
    return json.dumps({"conn_type": conn_type, "password": password} | ({"host": host} if host else {}))


# --- what is started --------------------------------------------------------------------------------------------------


@contextmanager
def sandbox() -> Iterator[dict[str, str]]:
    """Run the sandbox as a process of its own and give its addresses."""
    with tempfile.TemporaryDirectory(prefix="jobs-demo-") as folder:
        ready, log = Path(folder) / "ready.json", Path(folder) / "log"
        command = [sys.executable, "-m", "airflow_provider_jobs.sandbox", "--ready-file", str(ready)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                leashed([*command, "--page-seconds", "1.0"], signal.SIGTERM),
                env={**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is ours alone, and we end it
            )

        def listening() -> bool:
            if process.poll() is not None:
                raise DemoError(f"the sandbox ended at once:\n{log.read_text(errors='replace')}")
            return ready.exists()

        try:
            wait_until(listening, 30, "the sandbox")
            yield json.loads(ready.read_text())
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# --- what is shown ----------------------------------------------------------------------------------------------------


class Stage:
    """Prints with the time that has passed."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def say(self, text: str = "", who: str = "") -> None:
        """Print a line, or several."""
        head = f"{self.seconds:6.1f} s  " + (f"{who:<11}" if who else "")
        for number, line in enumerate(text.splitlines() or [""]):
            print((head if number == 0 else " " * len(head)) + line, flush=True)

    def title(self, text: str) -> None:
        """Begin a part."""
        print(f"\n--- {text}", flush=True)


class Follower:
    """Tells what changes while a task waits for its job: the task, the job at the service, the task's log."""

    def __init__(
        self,
        stage: Stage,
        airflow: AirflowCluster,
        control: ControlClient | None,
        who: str,
        place: tuple[str, str, str],
    ) -> None:
        self._stage, self._airflow, self._control, self._who = stage, airflow, control, who
        self.place = self._dag_id, self._run_id, self._task_id = place
        self._state, self._word, self._completed = "", "", 0
        self._told: set[str] = set()
        self.job_id: str | None = None

    @property
    def told_cancel(self) -> bool:
        """Whether the task's log says that the job was cancelled."""
        return any(event.startswith(CANCEL_WORDS) for event in self._told)

    @property
    def is_over(self) -> bool:
        """Whether the task has ended."""
        return self._state in {"success", "failed"}

    def tick(self) -> str:
        """Print what is new and return the task's state."""
        state = str(self._airflow.task(self._dag_id, self._run_id, self._task_id)["state"])
        if state != self._state and state != "None":
            self._state = state
            self._stage.say(f"task {self._task_id} is {state}", self._who)
        self._tell_log()
        self._tell_job()
        return state

    def _tell_log(self) -> None:
        for line in self._airflow.logs(self._dag_id, self._run_id, self._task_id).splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            event = str(entry.get("event", ""))
            ours = event.startswith(("Started ", "Delivered ", *CANCEL_WORDS)) or " is over: " in event
            failed = str(entry.get("level")) in {"error", "critical"}
            if (ours or failed) and event not in self._told:
                self._told.add(event)
                self._stage.say(f"log: {event}", self._who)

    def _tell_job(self) -> None:
        if self.job_id is None:
            entries = self._airflow.xcoms(self._dag_id, self._run_id)
            if any((entry["task_id"], entry["key"]) == (self._task_id, "job_id") for entry in entries):
                self.job_id = str(self._airflow.xcom(self._dag_id, self._run_id, self._task_id, "job_id"))
        if self.job_id is None or self._control is None:
            return
        job = self._control.job(self.job_id)
        step = max(1, job["total"] // 6)
        if job["state"] != self._word or job["completed"] - self._completed >= step:
            self._word, self._completed = job["state"], job["completed"]
            progress = f"{job['state']} {job['completed']}/{job['total']}"
            self._stage.say(f"job {self.job_id[:8]} at the service: {progress}", self._who)


@dataclass
class Delivered:
    """What one service delivered."""

    summary: dict[str, Any]
    files: list[Path]

    def show(self, stage: Stage, service: str) -> None:
        """Print the counts, the files and the beginning of what is in them."""
        told = self.summary
        spent = "unknown" if told["credits_used"] is None else f"{told['credits_used']:g}"
        counts = f"{told['records']} records, {told['failed']} failed, {told['missing']} missing, credits: {spent}"
        stage.title(f"{LABELS[service]} delivered {counts}")
        records = [json.loads(line) for path in self.files for line in path.read_text().splitlines() if line.strip()]
        for record in records[:3]:
            print(_first_lines(record) if service == "firecrawl" else _in_short(record))
        if len(records) > 3:
            print(f"  … and {len(records) - 3} more")
        for path in self.files:
            print(f"  file {path.relative_to(Path.cwd())} ({path.stat().st_size:,} bytes)", flush=True)


def _first_lines(document: Mapping[str, Any]) -> str:
    text = [line.strip() for line in str(document.get("markdown", "")).splitlines()]
    shown = [line for line in text if line and not set(line) <= {"=", "-"}][:2]
    shown = [line if len(line) <= 100 else line[:99] + "…" for line in shown]
    return "\n".join([f"  {document['metadata'].get('sourceURL')}", *(f"    | {line}" for line in shown)])


def _in_short(record: Mapping[str, Any]) -> str:
    words = [str(record[key]) for key in ("name", "address", "city", "province", "country") if record.get(key)]
    return f"  {', '.join(words)}"


# --- the two parts ----------------------------------------------------------------------------------------------------


def run_examples(
    stage: Stage, airflow: AirflowCluster, control: ControlClient, plan: Plan, urls: Mapping[str, str], folder: Path
) -> dict[str, Delivered]:
    """Run the example of each service, all at once, and show what they deliver."""
    stage.title("Two example DAGs, deferrable" if len(plan.services) > 1 else "An example DAG, deferrable")
    # Slow enough to watch.
    control.settings(firecrawl={"concurrency": 2, "page_seconds": 1.0}, datafiniti={"rate": 4.0, "t_queue": 2.0})
    followers: dict[str, Follower] = {}
    for service in plan.services:
        dag_id, task_id = TASKS[service]
        conf = plan.conf(service, urls, folder)
        run_id = airflow.trigger(dag_id, conf)
        asked = f"{len(conf['urls'])} pages" if "urls" in conf else f"{conf['num_records']} records"
        stage.say(f"DAG {dag_id} is triggered for {asked}", service)
        watched = None if plan.live else control
        followers[service] = Follower(stage, airflow, watched, service, (dag_id, run_id, task_id))
    try:
        states = _follow(followers, LIVE_TIMEOUT if plan.live else JOB_TIMEOUT)
    except BaseException:
        if plan.live:
            _end_jobs(stage, airflow, followers)
        raise
    delivered = {}
    for service, follower in followers.items():
        dag_id, run_id, task_id = follower.place
        if states[service] != "success":
            raise DemoError(f"the task {task_id} of {dag_id} is {states[service]}; its log says why (see above)")
        summary = airflow.xcom(dag_id, run_id, task_id)
        delivered[service] = Delivered(summary, [Path(name.removeprefix("file://")) for name in summary["output"]])
    return delivered


def _end_jobs(stage: Stage, airflow: AirflowCluster, followers: Mapping[str, Follower]) -> None:
    """Jobs at a real service do not end with Airflow: end their tasks first, and let those cancel them."""
    open_ones = {service: follower for service, follower in followers.items() if not follower.is_over}
    for service, follower in open_ones.items():
        stage.say("ending the task, so that its job is cancelled", service)
        airflow.mark(*follower.place, "failed")
    end = time.monotonic() + CANCEL_TIMEOUT
    while time.monotonic() < end and not all(follower.told_cancel for follower in open_ones.values()):
        for follower in open_ones.values():
            follower.tick()
        time.sleep(0.3)
    for service, follower in open_ones.items():
        if follower.job_id is not None and not follower.told_cancel:
            stage.say(f"job {follower.job_id} may still run at {LABELS[service]}: it was not seen to end", service)


def _follow(followers: Mapping[str, Follower], timeout: float) -> dict[str, str]:
    states = dict.fromkeys(followers, "")

    def all_over() -> bool:
        for service, follower in followers.items():
            if states[service] not in {"success", "failed"}:
                states[service] = follower.tick()
        return all(state in {"success", "failed"} for state in states.values())

    wait_until(all_over, timeout, "the example DAGs", interval=0.3)
    return states


def other_examples(site: str, folder: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """The other ways to use Firecrawl: DAG, the task whose return value is shown, what the DAG is triggered with."""
    output = {"output_folder": str(folder / "firecrawl")}
    articles = [f"{site}/articles/{number}.html" for number in range(1, 4)]
    return {
        "firecrawl_crawl": ("crawl", {"url": f"{site}/index.html", "limit": CRAWLED, **output}),
        "firecrawl_agent": ("tell", {"urls": [f"{site}/about.html"]}),
        "firecrawl_scrape_map_search": (
            "read_best", {"site": f"{site}/index.html", "word": "/articles/", "query": "Tides", **output}
        ),
        "firecrawl_fetch_results": ("fetch", {"url": articles[0], **output}),
        "firecrawl_mapped": ("count", {"urls": [f"{site}/about.html", *articles], **output}),
        "firecrawl_taskflow": ("crawl", {"site": f"{site}/index.html"}),
    }  # fmt: skip


def run_others(
    stage: Stage, airflow: AirflowCluster, control: ControlClient, urls: Mapping[str, str], folder: Path
) -> None:
    """Run the other examples of Firecrawl beside each other, on the sandbox, and show what each returns."""
    examples = other_examples(urls["site"], folder)
    stage.title(f"{len(examples)} more example DAGs: crawl, agent, calls, fetching by id, mapped tasks, hooks in tasks")
    control.settings(firecrawl={"concurrency": 8, "page_seconds": 0.2})
    runs = {dag_id: airflow.trigger(dag_id, conf) for dag_id, (_, conf) in examples.items()}

    def all_over() -> bool:
        for dag_id, run_id in list(runs.items()):
            state = airflow.run(dag_id, run_id)["state"]
            if state == "failed":
                raise DemoError(f"the DAG {dag_id} failed\n{airflow.explain(dag_id, run_id)}")
            if state == "success":
                del runs[dag_id]
                stage.say(f"{dag_id}: {_told(airflow.xcom(dag_id, run_id, examples[dag_id][0]))}", "firecrawl")
        return not runs

    wait_until(all_over, JOB_TIMEOUT, "the other example DAGs", interval=0.3)


def _told(value: Any) -> str:
    if isinstance(value, dict) and "records" in value:
        told = f"{value['records']} records, {value['failed']} failed, {value['missing']} missing"
        return told + "".join(f"\n  file {Path(name).relative_to(Path.cwd())}" for name in _paths(value))
    return str(value) if not isinstance(value, list) else f"{len(value)} pages: {value[0]} …"


def _paths(summary: Mapping[str, Any]) -> list[str]:
    return [name.removeprefix("file://") for name in summary.get("output", ())]


def run_kill(stage: Stage, airflow: AirflowCluster, control: ControlClient, urls: Mapping[str, str]) -> str:
    """Start a long job on the sandbox, end its task as a user would, and show that the job ends with it."""
    stage.title("A kill: a task is marked as failed while its job runs")
    control.settings(firecrawl={"concurrency": 1, "page_seconds": 2.0})
    pages = [f"{urls['site']}/page{number}.html" for number in range(1, LONG_PAGES + 1)]
    run_id = airflow.trigger("demo_long_job", {"urls": pages})
    stage.say(f"DAG demo_long_job is triggered for {LONG_PAGES} pages, on the sandbox", "kill")
    follower = Follower(stage, airflow, control, "kill", ("demo_long_job", run_id, "scrape"))

    def waits() -> bool:
        state = follower.tick()
        if state in {"success", "failed"}:
            raise DemoError(f"the task that should wait for its job is {state}")
        return state == "deferred" and follower.job_id is not None and control.job(follower.job_id)["completed"] > 0

    wait_until(waits, JOB_TIMEOUT, "the task to be deferred", interval=0.3)
    job_id = str(follower.job_id)
    airflow.mark("demo_long_job", run_id, "scrape", "failed")
    marked = time.monotonic()
    stage.say("marked as failed through Airflow's REST API, as the UI does", "kill")

    def cancelled() -> bool:
        follower.tick()
        job = control.job(job_id)
        return job["state"] == "cancelled" and not job["in_work"]  # a page in work runs to its end

    wait_until(cancelled, JOB_TIMEOUT, "the service to say that the job is cancelled", interval=0.3)
    job = control.job(job_id)
    if not job["cancelled_by_delete"]:
        raise DemoError(f"job {job_id} is cancelled, but not by a request of ours")
    took = time.monotonic() - marked
    stage.say(f"the service says: {job['state']}, {took:.1f} s after the kill", "kill")
    stage.say(f"of {LONG_PAGES} pages {job['completed']} were scraped, the others never will be", "kill")
    return job_id


def play(plan: Plan, stage: Stage, folder: Path) -> dict[str, Any]:
    """Start everything, show it, stop everything; return what the last line says."""
    with ExitStack() as running:
        stage.say("The sandbox is starting …")
        urls = running.enter_context(sandbox())
        stage.say("The sandbox runs: a local stand-in for Firecrawl and Datafiniti, with a small site to scrape")
        control = ControlClient(urls["control"])
        stage.say("Airflow is starting: API server, scheduler, DAG processor, triggerer, PostgreSQL …")
        airflow = running.enter_context(AirflowCluster(dags=DAGS, env=plan.connections(urls)))
        stage.say(f"Airflow runs at {airflow.url} until the demo ends")
        delivered = run_examples(stage, airflow, control, plan, urls, folder)
        for service, result in delivered.items():
            result.show(stage, service)
        if not plan.live:
            run_others(stage, airflow, control, urls, folder)
        job_id = run_kill(stage, airflow, control, urls)
        stage.title("The end")
        stage.say("Stopping Airflow and the sandbox …")
    stage.say(f"All stopped. The results are in {folder.relative_to(Path.cwd())}")
    counts = {
        f"{service}_records": delivered[service].summary["records"] if service in delivered else None
        for service in KEYS
    }
    files = [str(path) for result in delivered.values() for path in result.files]
    return {**counts, "output": files, "cancelled_job_id": job_id, "seconds": round(stage.seconds, 1)}


def _on_signal(number: int, _: FrameType | None) -> None:
    # From here on everything is taken down, and nothing may interrupt that.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped(number)


def main() -> int:
    """Play the demo; return the exit code."""
    signal.signal(signal.SIGINT, _on_signal)
    signal.signal(signal.SIGTERM, _on_signal)
    try:
        plan = make_plan(os.environ)
        for line in plan.introduction():
            print(line, flush=True)
        if plan.live:
            print(f"Ctrl-C within {SECONDS_TO_STOP} seconds stops here, before anything is asked for.", flush=True)
            time.sleep(SECONDS_TO_STOP)
        stage = Stage()
        folder = Path.cwd() / "build" / "demo" / time.strftime("%Y%m%d-%H%M%S")
        print(json.dumps(play(plan, stage, folder)), flush=True)
    except Stopped as stop:
        print("\nStopped; nothing is left running.", file=sys.stderr, flush=True)
        return 128 + int(stop.args[0])
    except (DemoError, AssertionError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
