"""Let Firecrawl's agent find something, and use its answer in the next task."""

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_jobs.operators.firecrawl import FirecrawlAgentOperator

with DAG(
    dag_id="firecrawl_agent",
    schedule=None,
    tags=["firecrawl", "example"],
    render_template_as_native_obj=True,
    params={
        "prompt": Param("What is this site for, and whom does one write to?", type="string"),
        "urls": Param(["https://example.com/"], type="array", items={"type": "string"}),
        "max_credits": Param(100, type="integer", minimum=20, description="the run fails before it spends more"),
    },
) as dag:
    ask = FirecrawlAgentOperator(
        task_id="ask",
        prompt="{{ params.prompt }}",
        # Where to begin; without it the agent searches the web.
        urls="{{ params.urls }}",
        # The shape of the answer. Without it, that is the agent's choice.
        schema={
            "type": "object",
            "properties": {
                "title": {"type": "string"},
                "description": {"type": "string"},
                "email": {"type": ["string", "null"]},
            },
            "required": ["title"],
        },
        # Firecrawl's own default is 2,500 credits.
        max_credits="{{ params.max_credits }}",
        # A run takes minutes. It exists in API v2 only, whatever version the connection names.
        deferrable=True,
    )

    @task
    def tell(summary: dict[str, Any]) -> str:
        # The answer is one record.
        (answer,) = summary["data"]
        return f"{answer['title']}: {answer.get('description')} ({answer.get('email') or 'no address'})"

    tell(ask.output)
