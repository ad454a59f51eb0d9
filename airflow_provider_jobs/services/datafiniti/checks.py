"""What Datafiniti accepts, checked before anything is billed."""

from __future__ import annotations

from typing import Any

from airflow_provider_jobs.exceptions import InvalidInputError

DATA_TYPES = ("businesses", "products", "properties", "people")
FILE_FORMATS = ("json", "csv")


def check_data_type(value: Any) -> str:
    """Return a data type as it stands in the address.

    :raises InvalidInputError: there is no such type; singular names get a hint.
    """
    if value in DATA_TYPES:
        return str(value)
    singular = {"business": "businesses", "product": "products", "property": "properties", "person": "people"}
    hint = f"; did you mean {singular[value]!r}?" if isinstance(value, str) and value in singular else ""
    raise InvalidInputError(f"data_type must be one of {', '.join(DATA_TYPES)}, not {value!r}{hint}")


def check_query(value: Any) -> str:
    """Return a query.

    :raises InvalidInputError: it is empty or no text.
    """
    if isinstance(value, str) and value.strip():
        return value
    raise InvalidInputError("query must be a text such as 'categories:hotels AND country:US'")


def check_view(value: Any) -> str | list[Any]:
    """Return the name of a view, or a view made up for one download: a list of fields.

    The fields are names, or objects with a ``name`` as saved views have them. That a list may be sent is not shown by
    the documentation.

    :raises InvalidInputError: it is neither.
    """
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, list) and value and all(map(_is_field, value)):
        return value
    raise InvalidInputError(
        "view must be the name of a view, or a list of fields such as 'name' or {'name': 'reviews', 'flatten': True}, "
        f"not {value!r}"
    )


def _is_field(value: Any) -> bool:
    name = value.get("name") if isinstance(value, dict) else value
    return isinstance(name, str) and bool(name.strip())


def check_file_format(value: Any) -> str:
    """Return a file format in lower case.

    :raises InvalidInputError: there is no such format.
    """
    if isinstance(value, str) and value.casefold() in FILE_FORMATS:
        return value.casefold()
    raise InvalidInputError(f"file_format must be json or csv, not {value!r}")


def check_num_records(num_records: Any, *, allow_all_records: bool) -> int | None:
    """Return the number of records to ask for; a rendered template may give it as text.

    :raises InvalidInputError: no positive whole number, or none at all without ``allow_all_records``.
    """
    if num_records is None:
        if allow_all_records:
            return None
        raise InvalidInputError(
            "num_records is missing: Datafiniti would download and bill every record that matches. "
            "Give a number, or allow_all_records=True"
        )
    if isinstance(num_records, str) and num_records.strip().isdecimal():
        num_records = int(num_records)
    if not isinstance(num_records, int) or isinstance(num_records, bool) or num_records < 1:
        raise InvalidInputError(f"num_records must be a whole number of at least 1, not {num_records!r}")
    return num_records
