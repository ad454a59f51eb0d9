"""The record of starts, as it stands in Airflow's database."""

import json

from tests.airflow.stories import Stage, Telling, story


@story
def test_the_record_holds_no_secret(stage: Stage) -> Telling:
    run = stage.start("firecrawl", way="sync")
    yield run.ends("success")
    rows = stage.airflow.sql("SELECT value FROM task_state_store WHERE key = 'airflow_provider_jobs'")
    record = json.dumps([json.loads(value) for (value,) in rows])
    assert "delivered" in record
    assert "key-of" not in record
