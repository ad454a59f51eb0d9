"""Datafiniti's result files: names, formats, and how their records are told apart."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_jobs import exceptions as errors
from airflow_provider_jobs.exceptions import RemoteJobsError
from airflow_provider_jobs.jobs.model import JobRef
from airflow_provider_jobs.services.datafiniti import check_file_reply, file_name, format_of, result_file
from airflow_provider_jobs.services.datafiniti.files import LARGEST_CELL
from tests.services.driving import DOWNLOAD, answer


@pytest.mark.pitfall("DF13", "DF14")
@pytest.mark.parametrize(
    ("status", "expected", "permanent"),
    [
        (403, errors.ResultExpiredError, True),
        (404, errors.ResultExpiredError, True),
        (400, errors.RequestRejectedError, True),
        (500, errors.ServiceUnavailableError, False),
        (503, errors.ServiceUnavailableError, False),
        (429, errors.ServiceUnavailableError, False),
    ],
)
def test_a_file_that_cannot_be_had(status: int, expected: type, permanent: bool) -> None:
    """DF13: links die after seven days; a file host answers in XML. DF14: the link is a secret and is not named."""
    xml = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    with pytest.raises(RemoteJobsError) as caught:
        check_file_reply("7_1.txt", answer(status, xml, headers={"content-type": "application/xml"}))
    assert type(caught.value) is expected
    assert caught.value.permanent is permanent
    assert "result file 7_1.txt" in str(caught.value)
    assert "<" not in str(caught.value)
    if expected is errors.ResultExpiredError:
        assert "seven days" in str(caught.value)
        assert "overages" in str(caught.value)
        assert "Request has expired" in str(caught.value)


def test_a_file_that_can_be_had_raises_nothing() -> None:
    assert check_file_reply("7_1.txt", answer(200, "x")) is None
    assert check_file_reply("7_1.txt", answer(206, "x")) is None


@pytest.mark.pitfall("DF12")
@pytest.mark.parametrize(
    ("link", "name"),
    [
        ("https://f.test/126609/811043_1.csv?X-Amz-Signature=s", "811043_1.csv"),
        ("https://f.test/7_1.txt#x", "7_1.txt"),
        ("https://f.test/", "847070_3.txt"),
        ("https://f.test", "847070_3.txt"),
        ("https://f.test/a/..", "847070_3.txt"),
        ("https://f.test/..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("https://f.test/_manifest.json", "847070_3.txt"),
        ("https://f.test/%2e%2e", "847070_3.txt"),
        ("https://f.test/a%00b", "847070_3.txt"),
        ("https://f.test/" + "a" * 300, "847070_3.txt"),
    ],
)
def test_file_names_are_safe(link: str, name: str) -> None:
    """DF12: the service's own name where it can be used; the signature never gets into it."""
    assert file_name(link, 3, DOWNLOAD, "json") == name


@pytest.mark.pitfall("DF12")
def test_file_names_follow_the_format() -> None:
    """DF12: a file of JSON lines is called .txt."""
    assert file_name("https://f.test/", 1, DOWNLOAD, "csv") == "847070_1.csv"
    assert file_name("https://f.test/", 1, JobRef("datafiniti", "download", "../x", "v4"), "json") == "---x_1.txt"


@pytest.mark.pitfall("DF11")
@given(
    st.lists(st.sampled_from(["1_1.txt", "847070_1.txt", "847070_2.txt", "847070_3.txt", "", "a b", ".."]), max_size=6)
)
def test_no_two_files_of_a_job_have_one_name(given_names: list[str]) -> None:
    """DF11: a file that overwrites another loses paid records."""
    taken: list[str] = []
    for number, given_name in enumerate(given_names, 1):
        taken.append(file_name(f"https://f.test/x/{given_name}", number, DOWNLOAD, "json", taken))
    assert len(set(taken)) == len(given_names)


def count(content: bytes, file_format: str) -> int:
    file = result_file(file_format)
    file.count(io.BytesIO(content))
    assert file.doubt is None
    return file.records


@pytest.mark.pitfall("DF12")
@pytest.mark.parametrize(
    ("content", "records"),
    [(b"", 0), (b"{}\n{}\n", 2), (b"{}\n\n  \n{}", 2), (b'{"a":"\\n"}\n', 1), (b"\r\n{}\r\n", 1)],
)
def test_json_lines_are_counted(content: bytes, records: int) -> None:
    """DF12: one object a line, blank lines skipped, the last line break may be missing."""
    assert count(content, "json") == records


@given(st.lists(st.lists(st.text(alphabet='ab",\n\r ;', max_size=6), min_size=2, max_size=2), max_size=8))
def test_csv_records_are_counted_as_python_s_csv_reads_them(rows: list[list[str]]) -> None:
    """A record goes on while a quote is open; the header is none."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["header", "other"], *rows])
    assert count(text.getvalue().encode(), "csv") == len(rows)


def test_a_csv_file_without_a_row_holds_no_record() -> None:
    assert count(b"a,b\n", "csv") == 0
    assert count(b"", "csv") == 0
    assert count(b'a,b\n1,"x\n\ny"\n\n2,z\n', "csv") == 2


@pytest.mark.pitfall("DF15")
def test_a_page_is_no_record() -> None:
    """DF15: what a file host sends with status 200 is not always the file."""
    for file_format, good in (("json", b'\xef\xbb\xbf{"a": 1}\n'), ("csv", b"\xef\xbb\xbfa,b\n1,2\n")):
        assert count(good, file_format) == 1
        for text in (b"<html>\n", b"<!DOCTYPE html>\n", b"<?xml version='1.0'?>\n"):
            with pytest.raises(errors.UnexpectedReplyError, match="something else than records"):
                count(text, file_format)


def read(*files: bytes) -> tuple[list[dict[str, Any]], list[str | None]]:
    """The records of the CSV files of one download, and what is doubted about each file."""
    found, doubts, header = list[dict[str, Any]](), list[str | None](), None
    for content in files:
        file = result_file("csv", header)
        records = [json.loads(record) for record in file.read(io.BytesIO(content))]
        assert len(records) == file.records
        found, header = found + records, file.header
        doubts.append(file.doubt)
    return found, doubts


def test_rows_of_a_csv_file() -> None:
    found, (doubt,) = read(b'\xef\xbb\xbfname,city\r\n"a\nb",x,extra\r\n\xff,y\r\nz\r\n')
    assert found == [
        {"name": "a\nb", "city": "x", "": ["extra"]},
        {"name": "�", "city": "y"},
        {"name": "z", "city": None},
    ]
    assert doubt == "line 3: a row has 3 cells, the header 2"


def test_columns_of_one_name_do_not_hide_each_other() -> None:
    assert read(b"a,a,a\n1,2,3\n")[0] == [{"a": "1", "a (2)": "2", "a (3)": "3"}]


@pytest.mark.parametrize(
    ("content", "records"),
    [
        (b'name,size\npipe,6" wide\nrod,7"\ncone,8\n', 3),
        (b'name,size\n6" pipe,1\n', 1),
        (b'name,size\n"6"" pipe",1\n', 1),
        (b'name\n6"\n7"\n8"\n', 3),
    ],
)
def test_a_quote_inside_a_cell_without_quotes_is_a_character(content: bytes, records: int) -> None:
    """An odd number of them must not swallow the rows that follow."""
    assert count(content, "csv") == records
    assert len(read(content)[0]) == records


@pytest.mark.parametrize(
    ("content", "doubt"),
    [
        (b'a,b\n1,"open\n2,x\n', "line 3: unexpected end of data"),
        (b'a,b\n"1"x,2\n3,4\n', "line 2: ',' expected after '\"'"),
        (b'a,b\n"6\\" pipe",2\n3,4\n', "line 2: ',' expected after '\"'"),
        (b"a,b\n1,2,3\n", "line 2: a row has 3 cells, the header 2"),
        (b"a,b\n1\n", "line 2: a row has 1 cells, the header 2"),
    ],
)
def test_rows_that_cannot_be_told_apart_are_doubted(content: bytes, doubt: str) -> None:
    file = result_file("csv")
    file.count(io.BytesIO(content))
    assert file.doubt == doubt
    assert file.records == content.count(b"\n") - 1 - (b"open" in content)


def test_a_quote_that_is_never_closed_does_not_gather_the_file() -> None:
    def lines() -> Iterator[bytes]:
        yield b"a\n"
        yield b'"open\n'
        for _ in range(LARGEST_CELL // 10**6 + 2):
            yield b"x" * 10**6 + b"\n"

    file = result_file("csv")
    file.count(lines())
    assert "field larger than field limit" in str(file.doubt)


@pytest.mark.parametrize(
    ("second", "records", "doubted"),
    [
        (b"id,city,name\n3,c,C\n", 3, False),
        (b"3,c,C\n4,d,D\n", 4, False),
        (b"name,id,city\nC,3,c\n", 3, False),
        (b"id,city,name,phone\n3,c,C,5\n", 3, True),
        (b"3,city,C\n", 3, True),
        (b"", 2, False),
        (b",,\n", 3, False),
    ],
)
def test_a_second_csv_file_with_and_without_a_header(second: bytes, records: int, doubted: bool) -> None:
    found, (first, doubt) = read(b"id,city,name\n1,a,A\n2,b,B\n", second)
    assert (len(found), first, doubt is not None) == (records, None, doubted)
    if not doubted and second.startswith((b"3", b"id", b"name")):
        assert found[2] == {"id": "3", "city": "c", "name": "C"}


CELLS = st.text(alphabet='ab"\n\r, ;', max_size=5)
TABLES = st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=12)


@pytest.mark.pitfall("DF11")
@given(TABLES, st.integers(1, 4), st.booleans(), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_a_table_in_several_files_is_read_back(table: Any, size: int, headers: bool, quoting: Any) -> None:
    """DF11: however the rows are spread over files, each arrives once, with the right names."""
    names = ["first", "second", "third"]
    contents = []
    for start in range(0, max(1, len(table)), size):
        text = io.StringIO(newline="")
        top = [names] if headers or start == 0 else []
        csv.writer(text, quoting=quoting).writerows(top + table[start : start + size])
        contents.append(text.getvalue().encode())
    found, doubts = read(*contents)
    assert found == [dict(zip(names, row, strict=True)) for row in table]
    assert set(doubts) == {None}


@pytest.mark.pitfall("DF12", "DF22")
@pytest.mark.parametrize(
    ("told", "links", "expected"),
    [
        ("CSV", ["https://f.test/1.txt"], "csv"),
        (" json ", ["https://f.test/1.csv"], "json"),
        (None, ["https://f.test/7_1.csv?X-Amz=1.txt", "https://f.test/7_2.CSV"], "csv"),
        (None, ["https://f.test/7_1.txt"], "json"),
        ("xml", ["https://f.test/7_1.json", "https://f.test/7_2.txt"], "json"),
        (None, ["https://f.test/7_1.csv.gz"], "csv"),
        (None, [], "json"),
    ],
)
def test_the_format_of_somebody_else_s_download(told: str | None, links: list[str], expected: str) -> None:
    """DF12, DF22: what the service says counts before the endings, in any case of letters."""
    assert format_of(told, links) == expected


@pytest.mark.parametrize("links", [["https://f.test/7_1"], ["https://f.test/1.csv", "https://f.test/2.txt"], ["x"]])
def test_a_format_that_cannot_be_told_is_asked_for(links: list[str]) -> None:
    with pytest.raises(errors.InvalidInputError, match="give file_format"):
        format_of(None, links)
