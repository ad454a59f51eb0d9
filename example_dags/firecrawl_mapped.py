"""One job for each list of pages: mapped tasks with readable names, each with a folder of its own."""

from collections import defaultdict
from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator

with DAG(
    dag_id="firecrawl_mapped",
    schedule=None,
    tags=["firecrawl", "example"],
    params={
        "urls": Param(
            ["https://example.com/", "https://www.iana.org/domains/root", "https://www.iana.org/domains/reserved"],
            type="array",
            items={"type": "string"},
        ),
        "output_folder": Param("/tmp/firecrawl", type="string", description="or s3://bucket/folder, gs://…"),
    },
) as dag:

    @task
    def by_folder(params: dict[str, Any]) -> list[list[str]]:
        """Return one list of addresses for each folder of a site."""
        folders = defaultdict(list)
        for url in params["urls"]:
            folders[url.rpartition("/")[0]].append(url)
        return list(folders.values())

    scrape = FirecrawlBatchScrapeOperator.partial(
        task_id="scrape",
        deferrable=True,
        # So many jobs at a time; deferred tasks count.
        max_active_tis_per_dagrun=8,
        # Without the index, the second task would find the first one's manifest there, and refuse to start.
        output_path="{{ params.output_folder }}/{{ run_id }}/{{ ti.map_index }}",
        # Shown in the UI instead of 0, 1, 2 …: `task` is the mapped task, with its own arguments.
        map_index_template="{{ task.urls[0].rpartition('/')[0] }} ({{ task.urls | length }} pages)",
        max_failed=0.1,
    ).expand(urls=by_folder())

    @task
    def count(summaries: list[dict[str, Any]]) -> dict[str, int]:
        # Without output_path, all documents of all mapped tasks would travel through Airflow's database here.
        return {key: sum(summary[key] for summary in summaries) for key in ("records", "failed", "missing")}

    count(scrape.output)
