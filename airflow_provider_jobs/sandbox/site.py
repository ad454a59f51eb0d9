"""A small website of its own, so that a scrape needs no other network."""

from __future__ import annotations

import asyncio
import random
from html import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from airflow_provider_jobs.sandbox.protocol import CutConnection

ARTICLES = 40

TOPICS = [
    "Tides", "Lighthouses", "Bridges", "Canals", "Harbours", "Clouds", "Glaciers", "Rivers", "Maps", "Clocks",
    "Kites", "Ferries", "Windmills", "Orchards", "Beekeeping", "Bread", "Cheese", "Tea", "Salt", "Pepper",
    "Paper", "Ink", "Bookbinding", "Printing", "Libraries", "Typewriters", "Telescopes", "Lenses", "Prisms",
    "Candles", "Locks", "Knots", "Ropes", "Sails", "Compasses", "Bells", "Organs", "Violins", "Drums", "Echoes",
]  # fmt: skip

OPENINGS = [
    "People have worked with {topic} for longer than anyone has written about them.",
    "Nobody agrees on where {topic} were first described, and three towns claim the honour.",
    "A good description of {topic} begins with what they are not.",
    "Most of what is said about {topic} was first said by someone who had never seen any.",
]
MIDDLES = [
    "Small changes matter: a difference of one part in a hundred is easy to notice and hard to explain.",
    "The usual method has four steps, and the third of them is the one that beginners leave out.",
    "Weather plays a part, although it is blamed more often than it deserves.",
    "Records were kept by hand in long columns, with a total at the foot of every page.",
    "Measured over a whole year the results are steadier than any single week suggests.",
    "Visitors are asked to look, to listen, and to keep their hands behind the rope.",
    "The price of a good one has hardly changed, which surprises everybody but the makers.",
    "It is easier to show than to tell, and easier to tell than to write down.",
]
CLOSINGS = [
    "That is all that can be said with certainty.",
    "The rest is patience.",
    "Later chapters return to this question with better instruments.",
]

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta name="description" content="{description}">
</head>
<body>
<header><p>Sandbox site</p></header>
<nav><a href="/index.html">Start</a> <a href="/about.html">About</a></nav>
<main>
<h1>{title}</h1>
{body}
</main>
<footer><p>This site is part of a stand-in for development and tests.</p></footer>
</body>
</html>
"""


def _page(title: str, body: str, status: int = 200) -> Response:
    return HTMLResponse(
        PAGE.format(title=escape(title), description=escape(f"Description of {title}"), body=body), status
    )


def _paragraphs(seed: str, topic: str, count: int) -> str:
    chance = random.Random(seed)
    parts = []
    for _ in range(count):
        lines = [chance.choice(OPENINGS).format(topic=topic.lower()), *chance.sample(MIDDLES, 4)]
        parts.append(f"<p>{escape(' '.join([*lines, chance.choice(CLOSINGS)]))}</p>")
    return "\n".join(parts)


async def _pause(request: Request, default: float = 0.0) -> None:
    await asyncio.sleep(float(request.query_params.get("ms", default)) / 1000)


async def _index(_: Request) -> Response:
    links = "\n".join(
        f'<li><a href="/articles/{number}.html">{escape(topic)}</a></li>'
        for number, topic in enumerate(TOPICS, start=1)
    )
    intro = "<p>A stand-in website with forty short articles. Nothing here is meant to be learned.</p>"
    hidden = '<p><a href="/private/secret.html">Private</a></p>'
    return _page("Sandbox index", f"{intro}\n<ul>\n{links}\n</ul>\n{hidden}")


async def _about(_: Request) -> Response:
    return _page("About", "<p>This site is served by the sandbox of airflow-provider-jobs. It is a stand-in.</p>")


async def _article(request: Request) -> Response:
    number = int(request.path_params["n"])
    if not 1 <= number <= ARTICLES:
        return _page("Error 404", "<p>An error page.</p>", 404)
    await _pause(request)
    topic = TOPICS[number - 1]
    following = number % ARTICLES + 1
    items = "\n".join(f"<li>{escape(word)}</li>" for word in ("Origin", "Use", "Care"))
    body = (
        f"{_paragraphs(f'article {number}', topic, 4)}\n<h2>In short</h2>\n<ul>\n{items}\n</ul>\n"
        f'<p>Next: <a href="/articles/{following}.html">{escape(TOPICS[following - 1])}</a></p>'
    )
    return _page(topic, body)


async def _numbered(request: Request) -> Response:
    number = int(request.path_params["n"])
    await _pause(request)
    return _page(f"Page {number}", f"<p>Content of page {number}.</p>\n{_paragraphs(f'page {number}', 'Pages', 2)}")


async def _slow(request: Request) -> Response:
    await _pause(request, 1500)
    number = int(request.path_params["n"])
    return _page(f"Slow {number}", f"<p>Slow content {number}.</p>")


async def _slow_index(request: Request) -> Response:
    await _pause(request, 1500)
    links = " ".join(f'<a href="/slow/{number}.html">Slow {number}</a>' for number in range(1, 31))
    return _page("Slow index", f"<p>{links}</p>")


async def _error(request: Request) -> Response:
    status = int(request.path_params["status"])
    return _page(f"Error {status}", "<p>An error page.</p>", status)


async def _drop(_: Request) -> Response:
    raise CutConnection


async def _big(request: Request) -> Response:
    number = int(request.path_params["n"])
    size = int(float(request.query_params.get("mb", 6.5)) * 1_000_000)
    line = f"Line of the big page {number} with nothing to say.\n"
    return _page(f"Big {number}", f"<pre>{line * (size // len(line))}</pre>")


async def _redirect(request: Request) -> Response:
    return RedirectResponse(f"/page{request.path_params['n']}.html", 302)


async def _robots(_: Request) -> Response:
    return PlainTextResponse("User-agent: *\nDisallow: /private/\n")


async def _private(_: Request) -> Response:
    return _page("Secret", "<p>robots.txt asks crawlers to leave this alone.</p>")


async def _missing(_request: Request, _: Exception) -> Response:
    return _page("Error 404", "<p>No such page.</p>", 404)


def build() -> Starlette:
    """The application."""
    routes = [
        Route("/", _index),
        Route("/index.html", _index),
        Route("/about.html", _about),
        Route("/robots.txt", _robots),
        Route("/private/secret.html", _private),
        Route("/articles/{n:int}.html", _article),
        Route("/page{n:int}.html", _numbered),
        Route("/slow/index.html", _slow_index),
        Route("/slow/{n:int}.html", _slow),
        Route("/error/{status:int}.html", _error),
        Route("/drop/{n:int}.html", _drop),
        Route("/big/{n:int}.html", _big),
        Route("/redirect/{n:int}.html", _redirect),
    ]
    return Starlette(routes=routes, exception_handlers={404: _missing})
