"""What goes wrong with the services, by number. Tests name the numbers: ``@pytest.mark.pitfall("F3", "F7")``.

`tests/test_pitfalls.py` checks that each number has a test, or a reason below why it has none.
"""

FIRECRAWL = {
    "F1": "while a job runs, `next` names the request that was just answered",
    "F2": "a job that did not complete may name a `next` for ever",
    "F3": "a server may send its first document on every page, count on, and end as if all were well",
    "F4": "`next` may name another scheme or host; the key must not go there",
    "F5": "a completed job may hold fewer documents than addresses were sent, or none, without a word of it",
    "F6": "a page that the site answered with 404 or 500 is a document like any other, and billed",
    "F7": "fewer different documents come than the job counts: the server has lost some",
    "F8": "one document may come twice, and equal addresses give different documents",
    "F9": "a job that is over may read differently later: the first end counts",
    "F10": "a DELETE of a finished job flips it on one server and is refused by another: look first",
    "F11": "a cancel takes its time: pages in work end first, and without a worker the counters never meet",
    "F12": "a cancel may be answered and lost, or refused: verify it and repeat it for a limited time",
    "F13": "some good answers have no `success`, and some failures are `success: false` inside HTTP 200",
    "F14": "a job that has just been started may not be known for a while",
    "F15": "not found, later: the job is gone; a page instead of JSON: the address is wrong",
    "F16": "one kind of server answers 500 for an id that it does not know",
    "F17": "looks may fail for a while although the job runs on, and it is never started again",
    "F18": "too many requests: looks and cancels are refused too, and only the text says for how long",
    "F19": "a start whose answer was lost may have started, and cannot be repeated safely",
    "F20": "an idempotency key is refused, used up or fatal, depending on the server: none is sent",
    "F21": "v2 ignores the key of a batch: a repeated start is a second job",
    "F22": "addresses that the service left out are named in the answer to the start, and never again",
    "F23": "whether bad addresses are left out has another default per version and build: always say it",
    "F24": "a job without a good address succeeds at once, with nothing",
    "F25": "equal addresses are scraped and billed each",
    "F26": '`integration: "airflow"` is refused: the client names itself in `origin`',
    "F27": "unknown keys are refused, and the text may name the wrong API version",
    "F28": "counters may be unknown, zero, late or shrink: they are shown and decide nothing",
    "F29": "all pages may be counted as done while the job still runs: the status alone ends it",
    "F30": "a job may run for ever: a deadline of our own ends it",
    "F31": "pages may wait long for their turn, and the waiting counts against a page's timeout",
    "F32": "a page of results may have 10 MiB, one document more: nothing for an XCom",
    "F33": "results may be gone an hour after the end while the job still counts them",
    "F34": "the list of failed pages lives shortly and may be missing: read it once, and do without it",
    "F35": "pages that robots.txt forbids stand in no counter",
    "F36": "the limit of a crawl may be lowered without a word: always send one, and tell of a short crawl",
    "F37": "a full queue is told after the job was made: starting again makes another one",
    "F38": "webhooks come after a cancel, not after a failure, and only once",
    "F39": "refusals are final: they are not sent again",
    "F40": "a single scrape answers 500 for an address that will never work: the code says which",
    "F41": "extract is shut down: its start and its status answer 410",
    "F42": "a body of more than 10 MB is refused, by some servers with a text that does not say so",
    "F43": "an error may be an object, or quote a whole page",
    "F44": "words and fields that nobody knows yet must do no harm",
    "F45": "documents may lack their text, and their metadata may have any form",
    "F46": "v2 serves pages that are up to two days old unless told otherwise",
    "F47": "no answer names a usable address of the job, for people or for programs",
    "F48": "idle connections are closed after five seconds: a look is repeated, a start has its own connection",
}

DATAFINITI = {
    "DF1": "a download without a number of records takes and bills everything",
    "DF2": "a start cannot be repeated safely: its answer may be lost, and there is no key for it",
    "DF3": "a retry of the task must go on with the job that the first try has paid for",
    "DF4": "a start is answered with 200 or 202",
    "DF5": "an id is a number or a text, and may be called `_id`",
    "DF6": "status words come in three generations, spellings and cases, and new ones may follow",
    "DF7": "a running job may list files already",
    "DF8": "the cost of a job says nothing about its progress",
    "DF9": "no match is told in four different ways",
    "DF10": "fewer records than asked for are a success",
    "DF11": "a result may have several files",
    "DF12": "a file called .txt may hold JSON lines",
    "DF13": "links to files die after seven days",
    "DF14": "files are fetched without the token, and their links are secrets",
    "DF15": "an error may be JSON of two forms, text, a page, or nothing",
    "DF16": "a bad token is told with 401 or 400, as JSON or not, and may become bad while a job runs",
    "DF17": "403 is about money or the plan, and final",
    "DF18": "a cancel keeps charge and partial records, its answer says nothing, and the job may end first",
    "DF19": "there are no webhooks, and the list of downloads has no pages",
    "DF20": "the service's own examples hold errors and are no model",
    "DF21": "dates come in two forms, with three sets of fields",
    "DF22": "`format` is compared without regard to case and sent in lower case",
}

ABSENT: dict[str, str] = {
    "F38": "no part of this package receives or asks for webhooks: the status of a job comes from looks alone",
}
"""Pitfalls that do not concern this package, each with the reason."""

NOT_YET: frozenset[str] = frozenset()
"""Pitfalls whose tests are still to come. To be emptied."""
