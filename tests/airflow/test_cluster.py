"""The test bed itself: a real Airflow starts, defers, survives a restart and tells what it stores."""

import psutil
import pytest

from tests.support.cluster import AirflowCluster
from tests.support.waiting import wait_until

DAG = """
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, dag, task
from datetime import timedelta


class Wait(BaseOperator):
    template_fields = ("word",)

    def __init__(self, *, seconds, word="{{ dag_run.conf['word'] }}", **rest):
        super().__init__(**rest)
        self.seconds, self.word = seconds, word

    def execute(self, context):
        self.log.info("the word is %s", self.word)
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=self.seconds)), method_name="resume")

    def resume(self, context, event=None):
        return {"word": self.word, "numbers": [1, 2]}


@dag(schedule=None)
def cluster_smoke():
    @task
    def fail():
        raise ValueError("as asked")

    Wait(task_id="short", seconds=1)
    Wait(task_id="long", seconds=6000)
    fail()


cluster_smoke()
"""


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory, cluster) -> AirflowCluster:
    dag_file = tmp_path_factory.mktemp("dags") / "cluster_smoke.py"
    dag_file.write_text(DAG)
    running = cluster(dags=[dag_file])
    print(f"Airflow was ready after {running.start_seconds:.1f} s")
    yield running
    running.close()


@pytest.fixture(scope="module")
def run_id(bed: AirflowCluster) -> str:
    return bed.trigger("cluster_smoke", conf={"word": "canary-in-conf"})


def test_deferred_task_delivers(bed: AirflowCluster, run_id: str) -> None:
    bed.wait_for_task("cluster_smoke", run_id, "short", "success")
    assert bed.xcom("cluster_smoke", run_id, "short") == {"word": "canary-in-conf", "numbers": [1, 2]}
    assert bed.rendered_fields("cluster_smoke", run_id, "short") == {"word": "canary-in-conf"}
    log = bed.logs("cluster_smoke", run_id, "short")
    assert "the word is canary-in-conf" in log
    assert "trigger cluster_smoke/" in log, "the triggerer's part is missing"
    assert bed.import_errors() == {}


def test_failure_shows_the_logs(bed: AirflowCluster, run_id: str) -> None:
    assert bed.wait_for_task("cluster_smoke", run_id, "fail", "failed")["try_number"] == 1
    with pytest.raises(AssertionError, match=r"(?s)did not become success.*ValueError.*components/scheduler"):
        bed.wait_for_task("cluster_smoke", run_id, "fail", "success")


def test_dump_decrypts_trigger_arguments(bed: AirflowCluster, run_id: str) -> None:
    bed.wait_for_task("cluster_smoke", run_id, "long", "deferred")
    bed.add_connection("of_the_dump", "http", password="canary-password", extra='{"token": "canary-extra"}')
    dump = list(bed.database_dump())
    assert any(table == "trigger" and column == "kwargs" and "moment" in str(value) for table, column, value in dump)
    assert any(table == "dag_run" and "canary-in-conf" in str(value) for table, _, value in dump)
    assert any(table == "connection" and "canary-extra" in str(value) for table, _, value in dump)
    assert not any("canary-password" in str(value) for _, _, value in dump)
    assert any("canary-password" in str(value) for _, _, value in bed.database_dump(connection_passwords=True))


def test_components_can_be_killed_and_restarted(bed: AirflowCluster, run_id: str) -> None:
    before = bed.pids
    assert set(before) == {"api-server", "scheduler", "dag-processor", "triggerer"}
    bed.kill("triggerer")
    assert "triggerer" not in bed.pids
    bed.start("triggerer")
    bed.restart("api-server")
    assert bed.pids["triggerer"] != before["triggerer"]
    assert bed.pids["api-server"] != before["api-server"]
    assert bed.task("cluster_smoke", run_id, "long")["state"] == "deferred"


def test_marking_and_clearing(bed: AirflowCluster, run_id: str) -> None:
    bed.mark("cluster_smoke", run_id, "long", "failed")
    assert bed.wait_for_run("cluster_smoke", run_id) == "failed"
    bed.clear("cluster_smoke", run_id, "long")
    bed.wait_for_task("cluster_smoke", run_id, "long", "deferred")
    bed.mark("cluster_smoke", run_id, "long", "success")
    wait_until(lambda: not bed.sql("SELECT id FROM trigger"), 30, "the trigger's row to go")


@pytest.mark.airflow
def test_a_killed_scheduler_leaves_no_workers() -> None:
    """The workers of a scheduler that is killed live on, and hide their environment behind a title."""
    with AirflowCluster(database="sqlite") as own:
        workers = wait_until(
            lambda: psutil.Process(own.pids["scheduler"]).children(recursive=True), 30, "the scheduler's workers"
        )
        own.kill("scheduler")
        assert any(worker.is_running() for worker in workers)
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert alive == []
