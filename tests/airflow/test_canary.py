"""Keys stay where they belong: everything that Airflow stores, logs or writes is searched for them."""

import base64
import hashlib
import html
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_jobs.sandbox import Sandbox
from tests.airflow.stories import FAST, WAITING, Player, Run, Stage, Telling, Until
from tests.support.cluster import AirflowCluster
from tests.support.waiting import wait_until

EMAIL = "user@example.com"
# Each holds characters that URL-encoding changes; what a user may choose, the password, also what JSON escapes.
FIRECRAWL_KEY = "fc-Kwq7RfLeaked+/Fire=%26&x"
DATAFINITI_TOKEN = "df-Zp4mTnLeaked+/Data=%3D&y"
LOGIN_PASSWORD = 'pw-Hv9sBcLeaked+/Login="%22\\&z'
PROXY_PASSWORD = "px-Jd2kGyLeaked~Proxy-x"
# What the sandbox gives for the password.
OBTAINED = f"df-{hashlib.sha256(f'{EMAIL} {LOGIN_PASSWORD} 0'.encode()).hexdigest()[:32]}"
START = {"firecrawl": "/batch/scrape", "datafiniti": "/search"}
PLANTED = "pl-Xn6cWtLeaked+/Plant=%5C&w"


# -- the search ------------------------------------------------------------------------------------------------------


def forms(secret: str) -> dict[str, bytes]:
    """Every way in which a secret may stand in a text, by name."""
    found = {
        "plain": secret,
        "core": re.findall(r"[A-Za-z0-9]{12,}", secret)[0],  # what no escaping changes
        "url": urllib.parse.quote(secret, safe=""),
        "path": urllib.parse.quote(secret),
        "form": urllib.parse.quote_plus(secret),
        "url lower": re.sub("%..", lambda match: match[0].lower(), urllib.parse.quote(secret, safe="")),
        "json": json.dumps(secret)[1:-1],
        "json twice": json.dumps(json.dumps(secret)[1:-1])[1:-1],
        "repr": repr(secret)[1:-1],
        "html": html.escape(secret),
    }
    for shift in range(3):
        coded = base64.b64encode(b"x" * shift + secret.encode()).decode().rstrip("=")
        # The characters at both ends depend on what stands beside the secret, as in `Basic` user:password.
        inner = coded[(0, 2, 3)[shift] : -1]
        found[f"base64 {shift}"] = inner
        found[f"base64 url {shift}"] = inner.translate(str.maketrans("+/", "-_"))
    return {name: form.encode() for name, form in found.items()}


def texts(airflow: AirflowCluster) -> Iterator[tuple[str, bytes]]:
    """Everything that is kept anywhere: each value of the database, each log and each other file, with its place."""
    for table, column, value in airflow.database_dump():
        yield f"{table}.{column}", value if isinstance(value, bytes) else value.encode()
    files = {path for path in airflow.home.rglob("*") if path.is_file()}
    for path in files | set(airflow.log_files()):
        yield str(path), path.read_bytes()


def search(places: Iterable[tuple[str, bytes]], secrets: Iterable[str]) -> set[tuple[str, str, str]]:
    """Return place, secret and form of everything that is found."""
    wanted = [(secret, name, form) for secret in secrets for name, form in forms(secret).items()]
    return {(place, secret, name) for place, text in places for secret, name, form in wanted if form in text}


# -- what is played --------------------------------------------------------------------------------------------------


def succeeds(stage: Stage, service: str, way: str) -> Telling:
    stage.hold()
    stage.control.settings(
        firecrawl={"page_documents": 2, "next_origin": stage.sandbox.urls["stranger"]}, datafiniti={"file_records": 2}
    )
    folder = stage.airflow.home / "out" / stage.name
    run = stage.start(service, way=way, output_path=str(folder))
    yield from stage.brought_to_its_end(run, WAITING[way])
    yield run.becomes("success")
    assert run.xcom()["records"] == (3 if service == "firecrawl" else 4)


def job_fails(stage: Stage, service: str, way: str) -> Telling:
    stage.hold()
    run = stage.start(service, way=f"{way}_retry")
    for number in (1, 2):
        job = yield from stage.begun(run, WAITING[way], number)
        stage.control.act(job["id"], "fail")
    yield run.becomes("failed")


def is_killed(stage: Stage, service: str, way: str) -> Telling:
    stage.hold()
    stage.control.fault(service, "502_html", method="DELETE")
    run = stage.start(service, way=way)
    yield from stage.begun(run, WAITING[way])
    run.mark("failed")
    yield stage.nothing_runs(FAST)


def key_is_revoked(stage: "CanaryStage", service: str, way: str) -> Telling:
    """After looks that fail in several ways; the server repeats the key that it does not accept."""
    stage.hold()
    run = stage.start(service, way=f"{way}_retry")
    job = yield from stage.begun(run, WAITING[way])
    told = f"Unknown key {stage.keys[service]} given"
    stage.control.fault(service, "reset", path_contains=job["id"])
    stage.control.fault(service, "error_object", path_contains=job["id"], status=503, text=told)
    stage.control.fault(service, "error_text", times=None, path_contains=job["id"], status=401, text=told)
    yield run.becomes("failed")
    assert "Unknown key" in run.log()


def is_redirected(stage: Stage, service: str, way: str) -> Telling:
    """In the middle of the wait, to a host that would answer anything: not followed, and no end of a healthy job."""
    stage.hold()
    run = stage.start(service, way=way)
    job = yield from stage.begun(run, WAITING[way])
    place = f"{stage.sandbox.urls['stranger']}/v1/batch/scrape/{job['id']}"
    stage.control.fault(service, "redirect", method="GET", path_contains=job["id"], to=place)
    yield stage.polled(job["id"], 2)
    stage.finish(job["id"])
    yield run.becomes("success")
    assert "redirected" in run.log()


def start_is_redirected(stage: Stage, service: str, way: str) -> Telling:
    to = stage.sandbox.urls["stranger"] + "/"
    stage.control.fault(service, "redirect", method="POST", times=None, to=to, status=307)
    run = stage.start(service, way=way)
    yield run.becomes("failed")
    assert "redirected" in run.log()


def start_is_refused(stage: "CanaryStage", service: str, way: str) -> Telling:
    told = f"Unknown key {stage.keys[service]} given"
    path = START[service]
    for status, shape in ((401, "error_list"), (400, "error_object"), (402, "error_text")):
        stage.control.clear_faults()
        stage.control.fault(service, shape, method="POST", path_contains=path, times=None, status=status, text=told)
        run = stage.start(service, way=f"{way}_retry")
        yield run.becomes("failed")
        assert "Unknown key" in run.log()


def login_is_refused(stage: "CanaryStage", service: str, way: str) -> Telling:
    """The server repeats the password."""
    for shape in ("error_list", "error_text"):
        stage.control.clear_faults()
        told = f"Wrong password {LOGIN_PASSWORD} given"
        stage.control.fault(service, shape, path_contains="/v4/auth", times=None, status=401, text=told)
        run = stage.start(service, way=f"{way}_retry")
        yield run.becomes("failed")
        assert "Wrong password" in run.log()


def answer_to_the_start_is_lost(stage: Stage, service: str, way: str) -> Telling:
    """Seen in a list, and not: the request and the search are told."""
    stage.control.fault(service, "lost_reply", method="POST", path_contains=START[service])
    run = stage.start(service, way=f"{way}_retry")
    yield run.becomes("failed")
    assert "fits, but without a ledger folder" in run.log()
    stage.list_nothing()
    for fault in ("lost_reply", "server_error_after_start"):
        stage.control.fault(service, fault, method="POST", path_contains=START[service])
        run = stage.start(service, way=f"{way}_retry")
        yield run.becomes("failed")
        assert "may be running" in run.log()


def result_cannot_be_delivered(stage: Stage, service: str, way: str) -> Telling:
    """A folder of another run, and a result that is too large or withheld."""
    folder = str(stage.airflow.home / "out" / stage.name)
    first = stage.start(service, way=way, output_path=folder)
    yield first.becomes("success")
    second = stage.start(service, way=way, output_path=folder)
    yield second.becomes("failed")
    if service == "firecrawl":
        run = stage.start(service, way=way, urls=[f"{stage.sandbox.urls['site']}/big/1.html?mb=1.5"])
    else:
        stage.control.fault(service, "broken_link", method="GET", times=None)
        run = stage.start(service, way=way)
    yield run.becomes("failed")


def proxy_is_away(stage: Stage, service: str, way: str) -> Telling:
    """The address of a proxy may hold a password."""
    run = stage.start(service, way=way, **{service: f"{service}_proxied"})
    yield run.becomes("failed")
    job_id = "3b1f0f2e-0000-4000-8000-000000000000" if service == "firecrawl" else "123456"
    run = stage.run(f"{service}_sensor_deferred_short", job_id=job_id, **{service: f"{service}_proxied"})
    yield run.becomes("failed")
    yield Until("the triggerer's part", lambda: run.was_deferred())
    assert stage.control.requests(host=service) == []


PLAYED: list[tuple[Callable[..., Telling], tuple[str, ...]]] = [
    (succeeds, ("sync", "deferred")),
    (job_fails, ("sync", "deferred")),
    (is_killed, ("sync", "deferred")),
    (key_is_revoked, ("sync", "deferred")),
    (is_redirected, ("sync", "deferred")),
    (start_is_redirected, ("sync",)),
    (start_is_refused, ("deferred",)),
    (answer_to_the_start_is_lost, ("sync",)),
    (result_cannot_be_delivered, ("sync", "deferred")),
    (proxy_is_away, ("sync",)),
]
STORIES = [(tell, service, way) for tell, ways in PLAYED for way in ways for service in ("firecrawl", "datafiniti")]
LOGIN = (login_is_refused, "datafiniti", "sync")


class CanaryStage(Stage):
    """A stage that knows which keys its connections send."""

    keys: dict[str, str]


@dataclass(frozen=True)
class Place:
    """A sandbox and two connections to it."""

    number: int
    sandbox: Sandbox

    @property
    def stored(self) -> bool:
        """Whether the connections are in the database; the others are in the environment."""
        return self.number % 2 == 1

    @property
    def names(self) -> dict[str, str]:
        return {service: f"{service}_{self.number}" for service in ("firecrawl", "datafiniti")}

    def fields(self) -> dict[str, dict[str, Any]]:
        """The connections' fields, by service. Those in the database log in with a password."""
        urls = self.sandbox.urls
        firecrawl = {"host": urls["firecrawl"], "password": FIRECRAWL_KEY}
        if not self.stored:
            return {"firecrawl": firecrawl, "datafiniti": {"host": urls["datafiniti"], "password": DATAFINITI_TOKEN}}
        login = {"login": EMAIL, "password": LOGIN_PASSWORD, "extra": json.dumps({"auth": "login"})}
        return {"firecrawl": firecrawl, "datafiniti": {"host": urls["datafiniti"], **login}}


@dataclass
class Played:
    """An Airflow and the sandboxes of all that has happened in it."""

    airflow: AirflowCluster
    places: list[Place]

    def stage(self, name: str, place: Place) -> CanaryStage:
        made = CanaryStage(self.airflow, name, place.sandbox, dict(place.names))
        made.keys = {"firecrawl": FIRECRAWL_KEY, "datafiniti": OBTAINED if place.stored else DATAFINITI_TOKEN}
        return made

    def play(self) -> None:
        """Play all stories, each at a place of its own."""
        free = {stored: [place for place in self.places[:-2] if place.stored == stored] for stored in (True, False)}
        # Each service has both ways of keeping a connection; only those in the database log in.
        scenes = {
            f"{tell.__name__}-{way}-{service}": (
                tell,
                service,
                way,
                free[(tell, service, way) == LOGIN or n % 4 in (1, 2)].pop(),
            )
            for n, (tell, service, way) in enumerate([*STORIES, LOGIN])
        }
        player = Player(lambda name: self.stage(name, scenes[name][3]))
        player.play(
            [(name, tell, {"service": service, "way": way}) for name, (tell, service, way, _) in scenes.items()]
        )
        print(*player.notes, sep="\n")
        if player.failures:
            raise ExceptionGroup("stories that went otherwise", list(player.failures.values()))

    def leave(self) -> list[tuple[CanaryStage, str, Run]]:
        """Start tasks that stay deferred while the stories are played."""
        left = []
        for place in self.places[-2:]:
            stage = self.stage("left", place)
            stage.hold()
            for service in ("firecrawl", "datafiniti"):
                left += [(stage, service, stage.start(service, way="deferred")) for _ in range(3)]
        return left

    def freeze(self, left: list[tuple[CanaryStage, str, Run]]) -> None:
        """Stop the scheduler, so that what triggers hand to their tasks stays in the database."""
        for stage, _, run in left:
            self.airflow.wait_for_task(run.dag_id, run.run_id, "job", "deferred")
            polled = stage.polled(run.xcom("job_id"))
            wait_until(polled.check, 60, polled.what)
        self.airflow.kill("scheduler")
        for number, (stage, service, run) in enumerate(left):
            job_id = run.xcom("job_id")
            if number % 3 == 1:
                stage.finish(job_id)
            elif number % 3 == 2:
                told = f"Unknown key {stage.keys[service]} given"
                stage.control.fault(service, "error_text", times=None, path_contains=job_id, status=401, text=told)
        wait_until(lambda: len(self.events()) == len(left) * 2 // 3, 60, "the triggers to have fired")

    def events(self) -> list[str]:
        """The events that tasks have not read yet."""
        kept = self.airflow.sql("SELECT next_kwargs FROM task_instance WHERE next_kwargs IS NOT NULL")
        return [text for (value,) in kept if "outcome" in (text := json.dumps(value))]

    def secrets(self) -> set[str]:
        """The keys, the tokens that were obtained for the password, and the signatures of result links."""
        found = {FIRECRAWL_KEY, DATAFINITI_TOKEN, LOGIN_PASSWORD, OBTAINED, PROXY_PASSWORD}
        for place in self.places:
            token = OBTAINED if place.stored else DATAFINITI_TOKEN
            address = f"{place.sandbox.urls['datafiniti']}/v4/downloads"
            answer = requests.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=30)
            found |= set(re.findall("X-Amz-Signature=([0-9a-f]{64})", answer.text))
        return found


@pytest.fixture(scope="module")
def played(cluster: Callable[..., AirflowCluster]) -> Iterator[Played]:
    """An Airflow in which everything has happened that could bring a key somewhere."""
    with ExitStack() as running:
        places = [Place(number, running.enter_context(Sandbox(page_seconds=0.0))) for number in range(len(STORIES) + 4)]
        env = {}
        for place in places:
            users = {"tokens": [DATAFINITI_TOKEN], "users": {EMAIL: LOGIN_PASSWORD}}
            place.sandbox.control.settings(datafiniti=users)
            for service, fields in place.fields().items():
                env[f"AIRFLOW_CONN_{place.names[service].upper()}"] = json.dumps({"conn_type": service, **fields})
        for service, fields in places[0].fields().items():
            proxied = {**fields, "extra": {"proxy": f"http://somebody:{PROXY_PASSWORD}@127.0.0.1:9"}}
            env[f"AIRFLOW_CONN_{service.upper()}_PROXIED"] = json.dumps({"conn_type": service, **proxied})
        stored = [place for place in places if place.stored]
        for name in (name.upper() for place in stored for name in place.names.values()):
            del env[f"AIRFLOW_CONN_{name}"]
        airflow = cluster(dags=[Path(__file__).parent / "dags"], env=env)
        running.callback(airflow.close)
        for place in stored:
            for service, fields in place.fields().items():
                airflow.add_connection(place.names[service], service, **fields)
        played = Played(airflow, places)
        left = played.leave()
        played.play()
        plant(airflow)
        played.freeze(left)
        yield played


def plant(airflow: AirflowCluster) -> None:
    """Put a secret where the search must find it: one XCom for each form, and a line in a task's log."""
    run_id = airflow.trigger("firecrawl_sync", conf={"urls": []})
    airflow.wait_for_task("firecrawl_sync", run_id, "job", "failed")
    path = f"/dags/firecrawl_sync/dagRuns/{run_id}/taskInstances/job/xcomEntries"
    for name, form in forms(PLANTED).items():
        airflow.api("POST", path, {"key": name, "value": f"before {form.decode()} after", "map_index": -1})
    airflow.api("POST", path, {"key": "basic", "value": base64.b64encode(f"u:{PLANTED}".encode()).decode()})
    folder = airflow.home / "logs" / "dag_id=firecrawl_sync" / f"run_id={run_id}" / "task_id=job"
    (folder / "attempt=9.log").write_text(json.dumps({"event": f"key {PLANTED}"}))


def test_the_search_finds_what_is_there(played: Played) -> None:
    found = search(texts(played.airflow), [PLANTED])
    assert {name for place, _, name in found if place == "xcom.value"} == set(forms(PLANTED))
    assert any(place.endswith("attempt=9.log") for place, _, _ in found)


def test_the_search_finds_a_key_in_credentials_of_any_alignment() -> None:
    for before in ("", "u:", "us:", "usr:"):
        for after in ("", ":", "::", ":::"):
            coded = base64.b64encode(f"{before}{PLANTED}{after}".encode())
            assert any(name.startswith("base64") for _, _, name in search([("", coded)], [PLANTED])), (before, after)
    assert search([("", base64.b64encode(b"something else entirely, and long enough"))], [PLANTED]) == set()


def test_the_keys_were_used(played: Played) -> None:
    """Nothing is found of a key that was never there."""
    sent: dict[str, set[str]] = {}
    for place in played.places:
        for seen in place.sandbox.control.requests():
            sent.setdefault(seen["host"], set()).add(seen["headers"].get("authorization", ""))
    assert sent["firecrawl"] == {f"Bearer {FIRECRAWL_KEY}"}
    assert sent["datafiniti"] == {f"Bearer {DATAFINITI_TOKEN}", f"Bearer {OBTAINED}", ""}, "and none to log in"
    assert sent["files"] == {""}, "result links carry no key"
    assert len([secret for secret in played.secrets() if re.fullmatch("[0-9a-f]{64}", secret)]) >= 4, "no result links"
    # The search meets what it is about, also what does not last.
    kept = {place for place, _ in texts(played.airflow)}
    assert kept >= {"trigger.kwargs", "task_instance.next_kwargs", "xcom.value", "log.extra", "connection.extra"}
    assert kept >= {"rendered_task_instance_fields.rendered_fields", "dag_run.conf"}
    outcomes = " ".join(played.events())
    assert "gave_up" in outcomes
    assert "over" in outcomes


def test_other_hosts_get_no_key(played: Played) -> None:
    """Redirects and `next` name a host that would take anything."""
    asked = [seen for place in played.places for seen in place.sandbox.control.requests(host="stranger")]
    assert [seen for seen in asked if "authorization" in seen["headers"]] == []
    assert asked == [], "it was asked at all"
    redirects = [f for place in played.places for f in place.sandbox.control.faults() if f["name"] == "redirect"]
    assert redirects
    assert all(fault["applied"] for fault in redirects)


def test_no_key_is_kept_anywhere(played: Played) -> None:
    found = search(texts(played.airflow), played.secrets())
    where = {re.sub(r".*/(logs|components|out)/|run_id=[^/]*/", "", place): secret for place, secret, _ in found}
    assert not found, "\n".join(f"{secret} in {place}" for place, secret in sorted(where.items()))
