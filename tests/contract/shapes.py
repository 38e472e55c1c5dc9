"""Values made from the shapes of the model: ones that fit, and ones that break one constraint."""

from collections.abc import Iterator

from hypothesis import strategies as st

from partnerbus.api.contract import (
    InstantShape,
    ListShape,
    MapShape,
    NumberShape,
    Shape,
    StructureShape,
    TextShape,
    TruthShape,
    compiled,
    load_contract,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def every_shape() -> dict[str, Shape]:
    """Every shape that any input or output uses, by name."""
    found: dict[str, Shape] = {}

    def walk(shape: Shape) -> None:
        found[shape.name] = shape
        match shape:
            case StructureShape():
                for member in shape.members.values():
                    walk(member.shape)
            case ListShape():
                walk(shape.element)
            case MapShape():
                walk(shape.key)
                walk(shape.value)

    for operation in load_contract().values():
        walk(operation.input)
        if operation.output is not None:
            walk(operation.output)
    return found


def fitting(shape: Shape) -> st.SearchStrategy[object]:
    """Values that fit `shape`."""
    match shape:
        case TextShape():
            return _texts(shape)
        case NumberShape():
            bound = 2 ** (shape.bits - 1)
            least = -bound if shape.minimum is None else shape.minimum
            return st.integers(least, bound - 1 if shape.maximum is None else shape.maximum)
        case TruthShape():
            return st.booleans()
        case InstantShape():
            return st.integers(0, 4 * 10**9) | st.floats(0, 4e9)
        case ListShape():
            least = shape.minimum or 0
            return st.lists(fitting(shape.element), min_size=least, max_size=max(least, 2))
        case MapShape():
            return st.dictionaries(fitting(shape.key), fitting(shape.value), max_size=2)
        case StructureShape():
            return _structures(shape)


def _texts(shape: TextShape) -> st.SearchStrategy[object]:
    if shape.enum:
        return st.sampled_from(shape.enum)
    least, most = shape.minimum or 0, shape.maximum if shape.maximum is not None else 2_000
    if shape.pattern is None:
        return st.text(min_size=least, max_size=max(least, min(most, 20)))
    return st.from_regex(compiled(shape.pattern), fullmatch=True).filter(
        lambda text: least <= len(text) <= most
    )


def _structures(shape: StructureShape) -> st.SearchStrategy[object]:
    required = {name: fitting(member.shape) for name, member in shape.members.items() if member.required}
    optional = {name: fitting(member.shape) for name, member in shape.members.items() if not member.required}
    return st.fixed_dictionaries(required, optional=optional)


def example(shape: Shape) -> object:
    """One value that fits, with required members only; the same one every time."""
    match shape:
        case TextShape():
            return _example_text(shape)
        case NumberShape():
            return shape.minimum or 0
        case TruthShape():
            return True
        case InstantShape():
            return 1_767_225_600
        case ListShape():
            return [example(shape.element)] * (shape.minimum or 0)
        case MapShape():
            return {}
        case StructureShape():
            return {name: example(m.shape) for name, m in shape.members.items() if m.required}


_EXAMPLES = (
    "a",
    "a" * 12,
    "a" * 20,
    "123456789012",
    "events:PutEvents",
    "aws.partner/example.com/x",
    "abc.def",
    "arn:aws:events:us-east-1:123456789012:event-bus/a",
    "arn:aws:events:us-east-1:123456789012:connection/a/b",
    "arn:aws:events:us-east-1:123456789012:api-destination/a/b",
    "arn:aws:iam::123456789012:role/a",
    "arn:aws:route53:::healthcheck/a",
    "arn:aws:secretsmanager:us-east-1:123456789012:secret:a",
    "arn:aws:vpc-lattice:us-east-1:123456789012:resourceconfiguration/rcfg-0123456789abcdefg",
)


def _example_text(shape: TextShape) -> str:
    if shape.enum:
        return shape.enum[0]
    for candidate in _EXAMPLES:
        if len(candidate) < (shape.minimum or 0) or len(candidate) > (shape.maximum or 10_000):
            continue
        if shape.pattern is None or compiled(shape.pattern).fullmatch(candidate):
            return candidate
    raise AssertionError(f"no example for {shape.name}: {shape.pattern}")


def breaking(shape: Shape) -> Iterator[tuple[object, str]]:
    """Values that break a constraint of `shape` itself, each with what must be said."""
    match shape:
        case TextShape(enum=(_, *_)):
            yield "NoSuchWord", f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
        case TextShape():
            yield from _breaking_text(shape)
        case NumberShape():
            if shape.maximum is not None:
                yield shape.maximum + 1, f"Member must have value less than or equal to {shape.maximum}"
            if shape.minimum is not None:
                yield shape.minimum - 1, f"Member must have value greater than or equal to {shape.minimum}"
        case ListShape():
            if shape.maximum is not None:
                value = [example(shape.element)] * (shape.maximum + 1)
                yield value, f"Member must have length less than or equal to {shape.maximum}"
            if shape.minimum:
                yield [], f"Member must have length greater than or equal to {shape.minimum}"


def _breaking_text(shape: TextShape) -> Iterator[tuple[object, str]]:
    if shape.maximum is not None:
        yield "a" * (shape.maximum + 1), f"Member must have length less than or equal to {shape.maximum}"
    if shape.minimum:
        yield "", f"Member must have length greater than or equal to {shape.minimum}"
    for candidate in ("\n", "é\n", " ;\x00", "\\", "a;b"):
        if shape.pattern is not None and not compiled(shape.pattern).fullmatch(candidate):
            yield candidate, f"Member must satisfy regular expression pattern: {shape.pattern}"
            return
