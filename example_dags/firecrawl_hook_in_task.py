"""Use the hook in a task of one's own, where no operator fits: here, a second job that depends on the first."""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook

with DAG(
    dag_id="firecrawl_hook_in_task",
    schedule=None,
    tags=["firecrawl", "example"],
    params={
        "index": Param("https://example.com/", type="string", description="a page with links"),
        "pages": Param(2, type="integer", minimum=1, maximum=50, description="how many of its links to follow"),
    },
) as dag:
    # The hook waits for ever and knows nothing of the task: neither a timeout nor a kill of the task ends the job.
    # Where that matters, use the operators.
    @task(execution_timeout=timedelta(hours=1))
    def follow_links(params: dict[str, Any]) -> dict[str, str]:
        hook = FirecrawlHook()

        def scrape(urls: list[str], formats: list[str]) -> list[dict[str, Any]]:
            job = hook.start_batch_scrape(urls, options={"formats": formats})
            status = hook.wait(job, poll_interval=5)
            # wait() returns when the job is over, whichever way.
            if status.state != "succeeded":
                raise RuntimeError(f"{job.ref} ended as {status.describe()}")
            return list(hook.documents(job.ref))

        links = [link for document in scrape([params["index"]], ["links"]) for link in document.get("links", [])]
        chosen = list(dict.fromkeys(links))[: params["pages"]]
        if not chosen:
            return {}
        return {
            document["metadata"]["sourceURL"]: document["metadata"].get("title", "")
            for document in scrape(chosen, ["markdown"])
        }

    follow_links()
