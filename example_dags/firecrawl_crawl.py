"""Crawl a site into a folder, without holding a worker while Firecrawl works."""

from airflow.sdk import DAG, Param

from airflow_provider_jobs.operators.firecrawl import FirecrawlCrawlOperator

with DAG(
    dag_id="firecrawl_crawl",
    schedule=None,
    tags=["firecrawl", "example"],
    render_template_as_native_obj=True,
    params={
        "url": Param("https://example.com/", type="string", description="where to begin"),
        "limit": Param(20, type="integer", minimum=1, description="each page is billed"),
        "output_folder": Param("/tmp/firecrawl", type="string", description="or s3://bucket/folder, gs://…"),
    },
) as dag:
    FirecrawlCrawlOperator(
        task_id="crawl",
        url="{{ params.url }}",
        # Without a limit a crawl may take, and bill, up to 10,000 pages.
        limit="{{ params.limit }}",
        options={
            "excludePaths": ["/search.*"],
            # What is said about each page stands one level deeper than in a batch scrape.
            "scrapeOptions": {"formats": ["markdown"], "onlyMainContent": True},
        },
        output_path="{{ params.output_folder }}/{{ run_id }}",
        deferrable=True,
        # A page that the site answers with 404 is data for Firecrawl. Here it counts as failed,
        count_http_errors=True,
        # as do pages that robots.txt forbids. One page in ten may fail; _failed.jsonl says which, and why.
        max_failed=0.1,
        # A site without an end: after two hours the crawl is cancelled and the task fails.
        job_timeout=2 * 3600,
    )
