"""The hook inside tasks of one's own: map a site, scrape some of its pages in mapped tasks, crawl a part of it."""

import time
from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_jobs.exceptions import JobTimeoutError
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook

with DAG(
    dag_id="firecrawl_taskflow",
    schedule=None,
    tags=["firecrawl", "example"],
    params={
        "site": Param("https://example.com/", type="string"),
        "pages": Param(2, type="integer", minimum=1, maximum=50, description="each page is billed"),
    },
) as dag:

    @task
    def find(params: dict[str, Any]) -> list[str]:
        links = FirecrawlHook().map(params["site"], options={"limit": 100})
        return [link["url"] for link in links][: params["pages"]]

    # `task` is the mapped task, and op_kwargs are the arguments of the function: the address is its name in the UI.
    # The hook keeps no record of what it sent: without retries, nothing is scraped and billed twice.
    @task(retries=0, map_index_template="{{ task.op_kwargs['url'] }}")
    def scrape(url: str) -> dict[str, Any]:
        document = FirecrawlHook().scrape(url, options={"formats": ["markdown"], "onlyMainContent": True})
        return {"url": url, "title": document["metadata"].get("title"), "characters": len(document["markdown"])}

    @task(retries=0)
    def crawl(params: dict[str, Any]) -> list[str]:
        hook = FirecrawlHook()
        job = hook.start_crawl(params["site"], limit=params["pages"])
        try:
            status = hook.wait(job, poll_interval=5, deadline=time.time() + 3600)
        except JobTimeoutError:
            # wait() only looks: ending the job is up to this task. A kill of the task does not end it.
            hook.cancel(job.ref)
            raise
        if status.state != "succeeded":
            raise RuntimeError(f"{job.ref} ended as {status.describe()}")
        for failure in hook.page_errors(job.ref) or []:
            print(f"{failure['url']}: {failure['error']}")
        return [document["metadata"]["sourceURL"] for document in hook.documents(job.ref)]

    scrape.expand(url=find())
    crawl()
