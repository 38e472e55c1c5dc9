"""The pattern engine against the oracle, on as many pairs of a pattern and an event as there is patience for.

    python -m benchmarks.match_agreement [--pairs 1000000] [--seed 1]

Sets of random patterns are matched against random events made of the same few names and values, so that
verdicts of both kinds are common: whole and in parts, before and after there is a program, kept by text or
with no value remembered, with patterns that come and go in between. It ends at the first disagreement.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from unittest.mock import patch

from partnerbus.patterns import (
    PatternError,
    PatternIndex,
    event_fields,
    group,
    parse_pattern,
    path_test,
    program,
    terms,
)
from partnerbus.testing.pattern_oracle import oracle_matches

NAMES = ("a", "b", "c", "é", "detail", "source", "detail-type")
DOTTED = (*NAMES, "a.b", "detail.a")
TEXTS = (
    "",
    "x",
    "xy",
    "XY",
    "xyz",
    "a*b",
    "straße",
    "STRASSE",
    "10.0.0.1",
    "10.0.0.01",
    "::1",
    "😀x",
    "abcxy",
)
NUMBERS = (
    *("0", "1", "1.0", "10e-1", "0.1", "2", "-1", "2", "1.5") * 3,
    *("-0.0", "9007199254740992", "9007199254740993", "1e400"),
)
LITERALS = ("true", "false", "null")
SIZES, EVENTS = (2, 6, 24), 150
OPERATORS, OPERATORS_USED = 14, (1, 3, 14)
"""How many patterns, events and kinds of `matcher` a set has. Where they are few, most paths are asked for
one kind of thing only, as on most buses, and take the short cuts that are for it."""

BY_TEXT = ((group, "SMALL_GROUP", 0), (group, "TEXTS_TO_TELL_APART", 1))
NOT_COMPARED = tuple((terms, name, -1) for name in ("EQUAL_TEXTS", "COMPARED_TEXTS", "TEXTS_BEFORE_MEMO"))
VARIED = ((path_test.PathTest, "is_varied", True),)
IN_GENERAL = ((program, "NOT_PLAIN_AT_MOST", 0),)
TUNINGS = (
    (),
    BY_TEXT,
    (*BY_TEXT, *NOT_COMPARED),
    (*VARIED, *NOT_COMPARED),
    (*BY_TEXT, *IN_GENERAL),
    (*VARIED, *IN_GENERAL),
)
"""How small sets of patterns are kept like large ones are, and plain events matched like others."""


def value(chance: random.Random, names: Sequence[str], depth: int) -> str:
    """JSON: mostly a scalar, else an object or array."""
    kind = chance.random()
    if depth == 0 or kind < 0.6:
        text = json.dumps(chance.choice(TEXTS))
        return chance.choice((text, chance.choice(NUMBERS), chance.choice(LITERALS)))
    if kind < 0.7:
        return in_array([value(chance, names, depth - 1) for _ in range(chance.randrange(4))])
    return event(chance, names, depth - 1)


def in_array(items: Sequence[str]) -> str:
    return f"[{','.join(items)}]"


def in_object(members: Sequence[tuple[str, str]]) -> str:
    return f"{{{','.join(f'{json.dumps(name)}:{text}' for name, text in members)}}}"


def event(chance: random.Random, names: Sequence[str], depth: int = 3) -> str:
    """An object of a few members."""
    some = chance.sample(names, chance.randrange(1, 5))
    members = [(name, value(chance, names, depth)) for name in some]
    if chance.random() < 0.7:
        members.append(("source", json.dumps(chance.choice(TEXTS[:4]))))
    return in_object(members)


def pattern(chance: random.Random, names: Sequence[str], kinds: Sequence[int], depth: int = 2) -> str:
    """A pattern of one or two fields, some of them in objects or in an `$or`."""
    members = []
    for name in chance.sample(names, chance.choice((1, 1, 2))):
        if depth and chance.random() < 0.4:
            members.append((name, pattern(chance, names, kinds, depth - 1)))
        else:
            matchers = [matcher(chance, kinds) for _ in range(chance.choice((1, 1, 2, 3)))]
            members.append((name, in_array(matchers)))
    if depth and chance.random() < 0.15:
        branches = [pattern(chance, names, kinds, 0) for _ in range(2)]
        members.insert(chance.randrange(len(members) + 1), ("$or", in_array(branches)))
    return in_object(members)


def matcher(chance: random.Random, kinds: Sequence[int]) -> str:
    """One alternative of a field, of one of the `kinds`."""
    text, number = chance.choice(TEXTS), chance.choice(NUMBERS)
    every = (
        json.dumps(text),
        json.dumps(text),
        number,
        chance.choice(LITERALS),
        json.dumps({chance.choice(("prefix", "suffix", "equals-ignore-case")): text}),
        json.dumps({chance.choice(("prefix", "suffix")): {"equals-ignore-case": text}}),
        json.dumps({"wildcard": chance.choice(("*", "x*", "*y", "x*y", "*x*", "a\\*b", "*x*y", "a*c*y"))}),
        json.dumps({"exists": chance.random() < 0.5}),
        json.dumps({"cidr": chance.choice(("10.0.0.0/8", "::/0", "11.0.0.0/8"))}),
        f'{{"numeric":[{json.dumps(chance.choice(("=", "<", "<=", ">", ">=")))},{number}]}}',
        f'{{"numeric":[">",-1,"<=",{number}]}}',
        json.dumps({"anything-but": chance.sample(TEXTS, 2)}),
        f'{{"anything-but":{number}}}',
        json.dumps({"anything-but": {chance.choice(("prefix", "suffix", "wildcard")): ["x", "ab"]}}),
    )
    return every[chance.choice(kinds)]


def accepted(chance: random.Random, names: Sequence[str], kinds: Sequence[int]) -> str:
    """A pattern that is not refused."""
    while True:
        text = pattern(chance, names, kinds)
        try:
            parse_pattern(text)
        except PatternError:
            continue
        return text


def check_set(chance: random.Random, names: Sequence[str]) -> Sequence[int]:
    """Match events against a set of patterns; the pairs, those that matched, and the events taken slowly."""
    size, kinds = chance.choice(SIZES), chance.sample(range(OPERATORS), chance.choice(OPERATORS_USED))
    texts = {key: accepted(chance, names, kinds) for key in range(size)}
    index = PatternIndex[int](compile_after=chance.randrange(4))
    for key, text in texts.items():
        index.add(key, parse_pattern(text))
    pairs = hits = 0
    for number in range(EVENTS):
        found = event(chance, names)
        wanted = [key for key, text in texts.items() if oracle_matches(text, found.encode())]
        for told in (index.match_json(found.encode()), index.match(event_fields(found.encode()))):
            if sorted(told) != wanted:
                disagree = sorted({*told} ^ {*wanted})
                sys.exit(f"event {found}\n" + "\n".join(f"pattern {texts[key]}" for key in disagree))
        pairs, hits = pairs + len(texts), hits + len(wanted)
        if chance.random() < 0.1:
            gone, new = chance.choice(list(texts)), size + number
            del texts[gone]
            index.remove(gone)
            texts[new] = accepted(chance, names, kinds)
            index.add(new, parse_pattern(texts[new]))
    return pairs, hits, index.slow_matches


def main(wanted: int, seed: int) -> None:
    """Check sets until there were enough pairs."""
    started, pairs, hits, slow, events = time.monotonic(), 0, 0, 0, 0
    chance = random.Random(seed)
    while pairs < wanted:
        with ExitStack() as stack:
            for module, name, setting in chance.choice(TUNINGS):
                stack.enter_context(patch.object(module, name, setting))
            more = check_set(chance, chance.choice((NAMES, NAMES, DOTTED)))
        pairs, hits, slow, events = pairs + more[0], hits + more[1], slow + more[2], events + EVENTS
    print(
        f"{pairs:,} pairs, {hits / pairs:.1%} of them match, no disagreement; "
        f"{1 - slow / (2 * events):.0%} of the matches by programs; {time.monotonic() - started:.0f} s"
    )


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--pairs", type=int, default=1_000_000)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    main(options.pairs, options.seed)
