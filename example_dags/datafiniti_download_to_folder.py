"""Download the records that match a query into a folder, without holding a worker while Datafiniti works."""

from airflow.sdk import DAG, Param

from airflow_provider_jobs.operators.datafiniti import DatafinitiDownloadOperator

with DAG(
    dag_id="datafiniti_download_to_folder",
    schedule=None,
    tags=["datafiniti", "example"],
    params={
        "data_type": Param("businesses", enum=["businesses", "products", "properties", "people"]),
        "query": Param("categories:hotels AND country:US", type="string"),
        "num_records": Param(10, type="integer", minimum=1, description="each record is billed"),
        "file_format": Param("json", enum=["json", "csv"]),
        "output_folder": Param("/tmp/datafiniti", type="string", description="or s3://bucket/folder, gs://…"),
    },
) as dag:
    DatafinitiDownloadOperator(
        task_id="download",
        data_type="{{ params.data_type }}",
        query="{{ params.query }}",
        # The only brake on the bill: without it the service takes everything that matches.
        num_records="{{ params.num_records }}",
        file_format="{{ params.file_format }}",
        # The service's own files, unchanged, in a folder for each run.
        output_path="{{ params.output_folder }}/{{ run_id }}",
        deferrable=True,
        # Every record that the service has counted must arrive.
        max_failed=0,
    )
