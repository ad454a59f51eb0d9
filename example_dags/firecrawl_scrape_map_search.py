"""Firecrawl's calls, which answer at once: map a site and scrape a part of it; search, and read the best hit."""

from typing import Any

from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_jobs.operators.firecrawl import (
    FirecrawlBatchScrapeOperator,
    FirecrawlMapOperator,
    FirecrawlScrapeOperator,
    FirecrawlSearchOperator,
)

with DAG(
    dag_id="firecrawl_scrape_map_search",
    schedule=None,
    tags=["firecrawl", "example"],
    params={
        "site": Param("https://www.iana.org/", type="string"),
        "word": Param("domains", type="string", description="only addresses that hold it are scraped"),
        "pages": Param(
            3, type="integer", minimum=1, maximum=50, description="the most pages to scrape; each is billed"
        ),
        "query": Param("reserved example domains", type="string"),
        "output_folder": Param("/tmp/firecrawl", type="string", description="or s3://bucket/folder, gs://…"),
    },
) as dag:
    # One credit for the addresses of a whole site, and no page is scraped for it.
    addresses = FirecrawlMapOperator(task_id="map", url="{{ params.site }}", options={"limit": 500})

    @task
    def choose(found: dict[str, Any], params: dict[str, Any]) -> list[str]:
        chosen = [link["url"] for link in found["data"] if params["word"] in link["url"]]
        if not chosen:
            raise AirflowSkipException(f"none of {found['records']} addresses holds {params['word']!r}")
        return chosen[: params["pages"]]

    # Several pages are a job, with everything that jobs have: a retry goes on with it, a kill cancels it.
    FirecrawlBatchScrapeOperator(
        task_id="scrape_chosen",
        urls=choose(addresses.output),
        output_path="{{ params.output_folder }}/{{ run_id }}/chosen",
    )

    search = FirecrawlSearchOperator(task_id="search", query="{{ params.query }}", options={"limit": 5})

    @task
    def best(found: dict[str, Any]) -> str:
        # A search without a result is a success with no record.
        if not found["data"]:
            raise AirflowSkipException("nothing was found")
        return str(found["data"][0]["url"])

    # One page is a call: nothing can be cancelled, and when its answer is lost the task fails without a retry, because
    # the page may have been billed. retry_billed=True would send it again, and perhaps pay twice.
    FirecrawlScrapeOperator(
        task_id="read_best",
        url=best(search.output),
        options={"formats": ["markdown", "links"], "onlyMainContent": True},
        output_path="{{ params.output_folder }}/{{ run_id }}/best",
    )
