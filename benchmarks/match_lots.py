"""City lots: events like a land register in GeoJSON, and 16 rule sets, one per kind of operator.

All data is invented. Rules take their values from the first lots or from what lots are drawn from, so how
often each hits is known: from once in a whole city to nearly always.
"""

import random
from collections.abc import Mapping, Sequence

from benchmarks.match_workload import Json, Workload, encode, seeded

LOTS = 200_003
_STRIDE = 77_017
"""Neighbouring events are lots of different blocks; LOTS is prime, so each lot comes once a city."""

_HEADS = ("ALDER", "BELL", "CLARE", "DUN", "EAST", "FAIR", "GLEN", "HARROW", "IRON", "KINGS", "LARK", "MARSH")
_TAILS = ("BURY", "COTE", "DALE", "FIELD", "FORD", "GATE", "HILL", "LEY", "MONT", "RIDGE", "STEAD", "WOOD")
STREETS = tuple(head + tail for tail in _TAILS for head in _HEADS)
_WEIGHTS = tuple(1 / (rank + 5) for rank in range(len(STREETS)))
"""Some streets are long: the first has 6 % of all lots, the last 0.2 %."""

STREET_TYPES = ("ST", "ST", "ST", "ST", "AVE", "AVE", "AVE", "WAY", "DR", "TER", "BLVD", None)
SIDES = ("E", "O")
WEST, EAST, SOUTH, NORTH = -122.52, -122.36, 37.70, 37.83

Rules = Sequence[Json]


def lot(number: int) -> Json:
    """Event `number`."""
    place = number * _STRIDE % LOTS
    chance = seeded("lot", place)
    block, within = divmod(place, 35)
    house = str(chance.randrange(1, 3_000))
    points = [_point(chance) for _ in range(chance.choice((9, 10, 11, 11, 12)))]
    points.append(points[0])
    properties = {
        "MAPBLKLOT": f"{block:04d}{within:03d}",
        "BLKLOT": f"{block:04d}{within:03d}",
        "BLOCK_NUM": f"{block:04d}",
        "LOT_NUM": f"{within:03d}",
        "FROM_ST": house,
        "TO_ST": house,
        "STREET": chance.choices(STREETS, _WEIGHTS)[0],
        "ST_TYPE": chance.choice(STREET_TYPES),
        "ODD_EVEN": chance.choice(SIDES),
    }
    geometry = {
        "type": "MultiPolygon" if chance.random() < 0.004 else "Polygon",
        "coordinates": [points],
        "firstCoordinates": points[0],
    }
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def _point(chance: random.Random) -> Json:
    return {"x": chance.uniform(WEST, EAST), "y": chance.uniform(SOUTH, NORTH), "z": 0}


def _property(name: str, *alternatives: object) -> Json:
    return {"properties": {name: list(alternatives)}}


def _of_lot(number: int, name: str) -> str:
    """What an early lot has, so that at least one event hits."""
    properties = lot(number)["properties"]
    assert isinstance(properties, dict)
    return str(properties[name])


def _exact() -> Rules:
    return [
        _property("MAPBLKLOT", _of_lot(0, "MAPBLKLOT")),
        _property("BLKLOT", _of_lot(1, "BLKLOT"), _of_lot(2, "BLKLOT")),
        _property("BLOCK_NUM", _of_lot(3, "BLOCK_NUM")),
        _property("STREET", STREETS[40]),
        {"properties": {"STREET": [STREETS[3]], "ODD_EVEN": ["O"], "ST_TYPE": ["WAY", "DR"]}},
    ]


def _text(operator: str, *operands: tuple[str, str]) -> Rules:
    return [_property(name, {operator: operand}) for name, operand in operands]


def _text_ignoring_case(operator: str, *operands: tuple[str, str]) -> Rules:
    return [_property(name, {operator: {"equals-ignore-case": operand}}) for name, operand in operands]


def _prefix() -> Rules:
    blocks = (_of_lot(4, "MAPBLKLOT")[:5], _of_lot(5, "BLKLOT")[:3])
    streets = (("STREET", "IRON"), ("STREET", "KINGS"), ("FROM_ST", "27"))
    return _text("prefix", ("MAPBLKLOT", blocks[0]), ("BLKLOT", blocks[1]), *streets)


def _prefix_ignoring_case() -> Rules:
    streets = ("aldeR", "belL", "Dun", "marshst", "LarkWood")
    return _text_ignoring_case("prefix", *(("STREET", street) for street in streets))


def _suffix() -> Rules:
    streets = (("STREET", "RIDGE"), ("STREET", "KWOOD"), ("STREET", "GSTEAD"))
    return _text("suffix", ("MAPBLKLOT", "0017"), *streets, ("FROM_ST", "99"))


def _suffix_ignoring_case() -> Rules:
    streets = ("hilL", "Rfield", "nLEY", "mont", "sGate")
    return _text_ignoring_case("suffix", *(("STREET", street) for street in streets))


def _ignore_case() -> Rules:
    streets = [("STREET", STREETS[rank].capitalize()) for rank in (2, 30, 90, 143)]
    return _text("equals-ignore-case", *streets, ("ST_TYPE", "blvd"))


def _wildcard() -> Rules:
    lots = (("MAPBLKLOT", "1*7"), ("BLKLOT", "0*12*3"), ("MAPBLKLOT", "*0001"))
    return _text("wildcard", *lots, ("STREET", "GLEN*D"), ("STREET", "*ARR*O*"))


def _numeric() -> Rules:
    def first(**bounds: list[object]) -> Json:
        axes = {axis: [{"numeric": bound}] for axis, bound in bounds.items()}
        return {"geometry": {"type": ["Polygon"], "firstCoordinates": axes}}

    geometry = lot(6)["geometry"]
    assert isinstance(geometry, dict)
    return [
        first(x=["=", geometry["firstCoordinates"]["x"]]),
        first(y=["=", 37.75]),
        first(x=["<", -122.43]),
        first(x=[">=", -122.5, "<", -122.41], y=[">", 37.71]),
        first(y=[">", 37.82, "<=", 37.825]),
    ]


def _but(name: str, excluded: object) -> Json:
    return _property(name, {"anything-but": excluded})


def _anything_but() -> Rules:
    return [
        _but("STREET", list(STREETS[:4])),
        _but("MAPBLKLOT", _of_lot(7, "MAPBLKLOT")),
        _but("ST_TYPE", ["ST", "AVE"]),
        {"geometry": {"type": [{"anything-but": "Polygon"}]}},
        _but("FROM_ST", ["0", "1"]),
    ]


def _anything_but_ignore_case() -> Rules:
    excluded = [street.lower() for street in STREETS[:3]]
    return [
        _but("STREET", {"equals-ignore-case": excluded}),
        _but("ST_TYPE", {"equals-ignore-case": ["st", "ave"]}),
        _but("ODD_EVEN", {"equals-ignore-case": "o"}),
        _but("STREET", {"equals-ignore-case": "ironwood"}),
        {"geometry": {"type": [{"anything-but": {"equals-ignore-case": "polygon"}}]}},
    ]


def _anything_but_each(operator: str, *operands: tuple[str, object]) -> Rules:
    return [_but(name, {operator: operand}) for name, operand in operands]


def _anything_but_prefix() -> Rules:
    streets = (("STREET", "FAIR"), ("STREET", "LARKB"))
    return _anything_but_each(
        "prefix", *streets, ("MAPBLKLOT", "0"), ("FROM_ST", "1"), ("ST_TYPE", ["S", "A", "W"])
    )


def _anything_but_suffix() -> Rules:
    streets = (("STREET", "BURY"), ("STREET", ["COTE", "DALE", "FIELD"]))
    return _anything_but_each("suffix", *streets, ("MAPBLKLOT", "1"), ("FROM_ST", "00"), ("ST_TYPE", "T"))


def _anything_but_wildcard() -> Rules:
    streets = (("STREET", "*R*D"), ("STREET", "GLEN*"))
    return _anything_but_each(
        "wildcard", *streets, ("MAPBLKLOT", "0*1*"), ("FROM_ST", "*0"), ("ST_TYPE", ["S*", "*E"])
    )


def _complex_arrays() -> Rules:
    def anywhere(**bounds: list[object]) -> Json:
        axes = {axis: [{"numeric": bound}] for axis, bound in bounds.items()}
        return {"geometry": {"type": ["Polygon"], "coordinates": axes}}

    geometry = lot(8)["geometry"]
    assert isinstance(geometry, dict)
    return [
        anywhere(x=["=", geometry["coordinates"][0][1]["x"]]),
        anywhere(x=["=", -122.4], y=["=", 37.8]),
        anywhere(x=["<", -122.5], y=[">", 37.81]),
        anywhere(x=[">", -122.41, "<=", -122.4]),
        anywhere(y=[">=", 37.75], z=["=", 0]),
    ]


def _shapes() -> Mapping[str, Rules]:
    single = {
        "EXACT": _exact(),
        "PREFIX": _prefix(),
        "PREFIX-IGNORE-CASE": _prefix_ignoring_case(),
        "SUFFIX": _suffix(),
        "SUFFIX-IGNORE-CASE": _suffix_ignoring_case(),
        "EQUALS-IGNORE-CASE": _ignore_case(),
        "WILDCARD": _wildcard(),
        "NUMERIC": _numeric(),
        "ANYTHING-BUT": _anything_but(),
        "ANYTHING-BUT-IGNORE-CASE": _anything_but_ignore_case(),
        "ANYTHING-BUT-PREFIX": _anything_but_prefix(),
        "ANYTHING-BUT-SUFFIX": _anything_but_suffix(),
        "ANYTHING-BUT-WILDCARD": _anything_but_wildcard(),
        "COMPLEX-ARRAYS": _complex_arrays(),
    }
    plain = ("EXACT", "PREFIX", "SUFFIX", "EQUALS-IGNORE-CASE", "WILDCARD", "NUMERIC", "ANYTHING-BUT")
    partial = [rule for name in plain for rule in single[name]]
    combined = [*partial, *single["ANYTHING-BUT-SUFFIX"], *single["COMPLEX-ARRAYS"]]
    return single | {"PARTIAL-COMBO": partial, "COMBO": combined}


def _workload(name: str, rules: Rules) -> Workload:
    texts = [encode(rule).decode() for rule in rules]
    every = range(len(texts))
    return Workload(name, len(texts), texts.__getitem__, lambda number: encode(lot(number)), lambda _: every)


def city_lots() -> list[Workload]:
    """The 16 shapes, of 5, 35 and 45 rules."""
    return [_workload(name, rules) for name, rules in _shapes().items()]


TEXT_SHAPES = (
    "EXACT",
    "PREFIX",
    "PREFIX-IGNORE-CASE",
    "SUFFIX",
    "SUFFIX-IGNORE-CASE",
    "EQUALS-IGNORE-CASE",
    "WILDCARD",
)
NUMBER_AND_BUT_SHAPES = (
    "NUMERIC",
    "ANYTHING-BUT",
    "ANYTHING-BUT-IGNORE-CASE",
    "ANYTHING-BUT-PREFIX",
    "ANYTHING-BUT-SUFFIX",
    "ANYTHING-BUT-WILDCARD",
)
