"""What a pattern asks for at a path, for policies that say what the rules of others may ask for."""

from partnerbus.patterns import Pattern
from partnerbus.patterns.parser import conjunctions
from partnerbus.patterns.syntax import Exactly, Text


def exact_values(pattern: Pattern, path: str) -> tuple[str, ...] | None:
    """The strings that a match must have one of at `path`: empty if the pattern says nothing of it.

    None if it may match others too: by a prefix and the like, or in a branch of `$or` that leaves it open.
    """
    clauses = [conjunction.get(path) for conjunction in conjunctions(pattern.group)]
    if not any(clauses):
        return ()
    matchers = [matcher for clause in clauses if clause is not None for matcher in clause.matchers]
    texts = [matcher.text for matcher in matchers if isinstance(matcher, Text | Exactly)]
    return tuple(dict.fromkeys(texts)) if all(clauses) and len(texts) == len(matchers) else None
