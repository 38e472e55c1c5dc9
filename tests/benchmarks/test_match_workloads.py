"""The matching benchmark measures what it says: sizes, rule counts, hit rates, and the right answers."""

from collections import Counter
from statistics import mean

import pytest
from benchmarks.match_check import WrongAnswer, build, check, matcher, rule_name
from benchmarks.match_lots import LOTS, NUMBER_AND_BUT_SHAPES, TEXT_SHAPES, city_lots
from benchmarks.match_mixed import SOURCES, heterogeneous
from benchmarks.match_workload import RULES_PER_TENANT, Workload, partner, partner_ranges

from partnerbus.patterns import PatternIndex, event_fields, parse_pattern
from partnerbus.testing.pattern_oracle import oracle_matches

EVENTS = 120

LOT_SHAPES = {workload.name: workload for workload in city_lots()}
SMALL = (*LOT_SHAPES.values(), partner(100), partner_ranges(100), heterogeneous(500))


def index_of(workload: Workload) -> PatternIndex[int]:
    index = PatternIndex[int]()
    for number in range(workload.rules):
        index.add(number, parse_pattern(workload.rule(number)))
    return index


def hits(workload: Workload, events: int) -> Counter[int]:
    """How many of the first events each rule matches."""
    index = index_of(workload)
    found = (index.match(event_fields(workload.event(number))) for number in range(events))
    return Counter(key for keys in found for key in keys)


def test_there_are_sixteen_shapes_of_city_lots() -> None:
    assert len(LOT_SHAPES) == 16
    assert {*TEXT_SHAPES, *NUMBER_AND_BUT_SHAPES} < LOT_SHAPES.keys()
    sizes = Counter(workload.rules for workload in LOT_SHAPES.values())
    assert sizes == {5: 14, 35: 1, 45: 1}


@pytest.mark.parametrize("workload", SMALL, ids=lambda workload: workload.name)
def test_an_event_is_about_900_bytes(workload: Workload) -> None:
    sizes = [len(workload.event(number)) for number in range(EVENTS)]
    wanted = 940 if workload.name in LOT_SHAPES else 870
    assert mean(sizes) == pytest.approx(wanted, abs=15)
    assert max(sizes) < 1_100


@pytest.mark.parametrize("workload", SMALL, ids=lambda workload: workload.name)
def test_a_number_always_gives_the_same_event_and_no_two_the_same(workload: Workload) -> None:
    events = [workload.event(number) for number in range(EVENTS)]
    assert events == [workload.event(number) for number in range(EVENTS)]
    assert len(set(events)) == EVENTS
    assert workload.rule(3) == workload.rule(3)


@pytest.mark.parametrize("workload", SMALL, ids=lambda workload: workload.name)
def test_only_the_near_rules_match_and_the_oracle_says_so_too(workload: Workload) -> None:
    index = index_of(workload)
    for number in (*range(5), 1_000_000):
        event = workload.event(number)
        wanted = [rule for rule in range(workload.rules) if oracle_matches(workload.rule(rule), event)]
        assert list(index.match(event_fields(event))) == wanted
        assert set(wanted) <= set(workload.near(number))


@pytest.mark.parametrize(
    ("shape", "least", "most"),
    [
        ("EXACT", 0.005, 0.1),
        ("PREFIX", 0.05, 0.4),
        ("PREFIX-IGNORE-CASE", 0.1, 0.6),
        ("SUFFIX", 0.01, 0.2),
        ("SUFFIX-IGNORE-CASE", 0.02, 0.2),
        ("EQUALS-IGNORE-CASE", 0.05, 0.3),
        ("WILDCARD", 0.05, 0.3),
        ("NUMERIC", 0.8, 1.5),
        *((shape, 2.0, 4.5) for shape in NUMBER_AND_BUT_SHAPES[1:]),
        ("COMPLEX-ARRAYS", 1.2, 2.2),
        ("PARTIAL-COMBO", 4.0, 6.0),
        ("COMBO", 9.0, 12.0),
    ],
)
def test_a_lot_hits_as_many_rules_as_its_shape_is_for(shape: str, least: float, most: float) -> None:
    assert least <= hits(LOT_SHAPES[shape], EVENTS).total() / EVENTS <= most


def test_exact_rules_find_the_lots_that_they_were_made_from() -> None:
    found = hits(LOT_SHAPES["EXACT"], 4)
    assert found[0] == 1
    assert found[1] == 2
    assert found[2] == 1


def test_a_lot_comes_once_a_city() -> None:
    exact = LOT_SHAPES["EXACT"]
    assert exact.event(0) == exact.event(LOTS)
    assert len({exact.event(number) for number in range(2_000)}) == 2_000


@pytest.mark.parametrize("make", [partner, partner_ranges])
def test_every_second_event_of_a_tenant_is_wanted_by_one_of_its_ten_rules(make) -> None:
    workload = make(100)
    assert len(workload.near(5)) == RULES_PER_TENANT
    assert 0.3 <= hits(workload, EVENTS).total() / EVENTS <= 1.0


def test_a_million_partner_rules_need_no_list() -> None:
    workload = partner(1_000_000)
    parse_pattern(workload.rule(999_999))
    near = workload.near(7)
    assert workload.rule(near[0]).count("tnt_") == 1
    tenant = workload.rule(near[0]).partition("tnt_")[2][:12]
    assert f"tnt_{tenant}".encode() in workload.event(7)


def test_one_in_twenty_rules_of_its_source_matches_on_the_heterogeneous_bus() -> None:
    workload = heterogeneous(2_000)
    of_one_source = len(workload.near(0))
    assert of_one_source == 2_000 // SOURCES
    assert 0.02 <= hits(workload, EVENTS).total() / EVENTS / of_one_source <= 0.08


def test_an_index_that_misses_a_rule_or_gives_one_too_many_is_found_out() -> None:
    workload = LOT_SHAPES["COMBO"]
    index = build(workload)
    check(workload, matcher(index), sample=12)
    index.remove(rule_name(32))
    with pytest.raises(WrongAnswer):
        check(workload, matcher(index), sample=12)
    index.add(rule_name(32), parse_pattern('{"type":["Feature"]}'))
    with pytest.raises(WrongAnswer):
        check(workload, matcher(index), sample=12)
