"""The made data set: invented records, the same at every start, and a tiny matcher of queries."""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Callable
from typing import Any

Record = dict[str, Any]

FIRST = ["Amber", "Bram", "Clio", "Dorian", "Élise", "Fenna", "Gustav", "Hedda", "Ilja", "Jonas", "Kira", "Łucja",
         "Milo", "Nadia", "Özlem", "Pavel", "Quinn", "Rosa", "Søren", "Tilda"]  # fmt: skip
LAST = ["Abbot", "Brandt", "Castell", "Dunne", "Eklund", "Farrow", "Grünwald", "Hollis", "Ivers", "Jansen", "Keller",
        "Lindqvist", "Marlow", "Novák", "Ortega", "Peña", "Quist", "Rowan", "Strand", "Thorn"]  # fmt: skip
PLACES = [
    ("Ashford", "TX"), ("Bellmont", "CA"), ("Cedar Point", "NY"), ("Dunmore", "TX"), ("Eastlake", "WA"),
    ("Fairview", "HI"), ("Glenbrook", "CA"), ("Harrow", "MA"), ("Millbrook", "OR"), ("São Vale", "FL"),
]  # fmt: skip
KINDS = ["hotels", "restaurants", "bakeries", "bookshops", "garages", "florists", "cafés", "pharmacies"]
GOODS = ["shoes", "boots", "lamps", "kettles", "notebooks", "backpacks", "chairs", "headphones"]
BRANDS = ["Norvik", "Paloma", "Quill & Co", "Tessera", "Umbra", "Vireo", "Wexley", "Zéphyr"]
HOMES = ["Single Family Dwelling", "Condominium", "Townhouse", "commercial"]
STREETS = ["Alder Street", "Birch Lane", "Canal Road", "Drift Avenue", "Elm Court", "Foundry Way"]


def _date(chance: random.Random) -> str:
    return f"20{chance.randint(18, 25)}-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}T08:15:00Z"


def _place(chance: random.Random) -> Record:
    city, province = chance.choice(PLACES)
    return {
        "address": f"{chance.randint(1, 999)} {chance.choice(STREETS)}",
        "city": city,
        "country": "US",
        "postalCode": f"{chance.randint(10000, 99999)}",
        "province": province,
    }


def _id(kind: str, number: int) -> str:
    return f"SANDBOX{kind}{number:05d}"


def _business(chance: random.Random, number: int) -> Record:
    kind = chance.choice(KINDS)
    name = f"{chance.choice(LAST)} {kind.title()}"
    return {
        "id": _id("B", number),
        "name": name,
        "categories": [kind.title(), chance.choice(["Local", "Family", "Open late"])],
        **_place(chance),
        "phones": [f"555{chance.randint(1000000, 9999999)}"],
        "websites": [f"http://business-{number}.example/"],
        "dateAdded": _date(chance),
    }


def _product(chance: random.Random, number: int) -> Record:
    kind, brand = chance.choice(GOODS), chance.choice(BRANDS)
    price = chance.randint(500, 25000) / 100
    return {
        "id": _id("P", number),
        "name": f"{brand} {kind} {chance.randint(10, 99)}",
        "brand": brand,
        "manufacturer": f"{brand} Ltd",
        "categories": [kind, chance.choice(["women", "men", "home", "outdoor"])],
        # A quote in a cell, which CSV files must bear.
        "size": f'{number % 40 + 1}" wide',
        "upc": f"{chance.randint(10**11, 10**12 - 1)}",
        "prices": [{"amountMin": price, "amountMax": price, "currency": "USD", "isSale": "false"}],
        "dateAdded": _date(chance),
    }


def _property(chance: random.Random, number: int) -> Record:
    return {
        "id": _id("H", number),
        **_place(chance),
        "propertyType": chance.choice(HOMES),
        "numBedroom": chance.randint(1, 6),
        "numBathroom": chance.randint(1, 4),
        "prices": [{"amountMin": chance.randint(80, 900) * 1000, "currency": "USD"}],
        "dateAdded": _date(chance),
    }


def _person(chance: random.Random, number: int) -> Record:
    first, last = chance.choice(FIRST), chance.choice(LAST)
    return {
        "id": _id("N", number),
        "firstName": first,
        "lastName": last,
        **_place(chance),
        "emails": [f"person{number}@people.example"],
        "jobs": [{"title": chance.choice(["Baker", "Surveyor", "Editor", "Pilot"])}],
        "dateAdded": _date(chance),
    }


MAKERS: dict[str, tuple[Callable[[random.Random, int], Record], int]] = {
    "business": (_business, 400),
    "product": (_product, 300),
    "property": (_property, 200),
    "people": (_person, 100),
}


@functools.cache
def records(data_type: str) -> list[Record]:
    """All records of a type."""
    maker, count = MAKERS[data_type]
    chance = random.Random(f"sandbox {data_type}")
    return [maker(chance, number) for number in range(1, count + 1)]


def search(data_type: str, query: str, multiply: int = 1) -> list[Record]:
    """The records that match, each as often as wanted under an id of its own."""
    wanted = _conditions(query)
    found = [record for record in records(data_type) if all(test(record) for test in wanted)]
    if multiply <= 1:
        return found
    return [{**record, "id": f"{record['id']}-{turn}"} for turn in range(multiply) for record in found]


def _conditions(query: str) -> list[Callable[[Record], bool]]:
    """`field:value`, `field:*`, `-field:value` and `*:*`, joined with AND; other text is looked for anywhere."""
    parts = re.split(r"\s+AND\s+", query.strip())
    return [_condition(part.strip()) for part in parts if part.strip()]


def _condition(part: str) -> Callable[[Record], bool]:
    found = re.fullmatch(r"(-?)([A-Za-z_.*]+):(.+)", part, re.DOTALL)
    if found is None:
        text = part.strip('"').lower()
        return lambda record: text in json.dumps(record, ensure_ascii=False).lower()
    minus, field, value = found.groups()
    if field == "*":
        return lambda _: True
    options = [item.strip() for item in re.split(r"\s+OR\s+", value.strip().removeprefix("(").removesuffix(")"))]
    return lambda record: any(_holds(record, field, item) for item in options) != bool(minus)


def _holds(record: Record, field: str, value: str) -> bool:
    texts = _texts(record, field.split("."))
    if not texts or value == "*" or re.match(r"[\[{].* TO ", value):
        return bool(texts)
    wanted = value.replace('\\"', '"').strip('"').lower()
    pattern = r"(?<!\w)" + re.escape(wanted.rstrip("*")) + ("" if wanted.endswith("*") else r"(?!\w)")
    return any(re.search(pattern, text.lower()) for text in texts)


def _texts(value: Any, path: list[str]) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in _texts(item, path)]
    if path:
        return _texts(value[path[0]], path[1:]) if isinstance(value, dict) and path[0] in value else []
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item, [])]
    return [str(value)]
