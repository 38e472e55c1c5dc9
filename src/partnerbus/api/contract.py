"""The contract of the wire: botocore's own service model, read as data.

What stands here is a typed copy of the model (57 operations of `events` 2015-10-07) that knows the shapes
of inputs and outputs, their constraints and each operation's documented errors. `validation.py` checks
against it, `violations.py` explains against it.

The model's patterns are Java's. They are translated once: `.` excludes every Java line terminator,
classes like `\\w` are ASCII, and matching is always of the whole value.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias, TypeGuard

import msgspec
from botocore.loaders import Loader
from botocore.model import ListShape as ModelList
from botocore.model import MapShape as ModelMap
from botocore.model import OperationModel, ServiceModel
from botocore.model import Shape as ModelShape
from botocore.model import StructureShape as ModelStructure

from partnerbus.kernel.errors import ConfigurationError

SERVICE = "events"
API_VERSION = "2015-10-07"
TARGET_PREFIX = "AWSEvents"
"""What stands before the operation in `X-Amz-Target`."""


class TextShape(msgspec.Struct, frozen=True, kw_only=True):
    """A string. Lengths count Unicode characters (assumed); `pattern` is the text that answers print."""

    name: str
    minimum: int | None = None
    maximum: int | None = None
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    sensitive: bool = False


class NumberShape(msgspec.Struct, frozen=True, kw_only=True):
    """A whole number of so many bits, signed."""

    name: str
    bits: int
    minimum: int | None = None
    maximum: int | None = None


class TruthShape(msgspec.Struct, frozen=True, kw_only=True):
    """A boolean."""

    name: str


class InstantShape(msgspec.Struct, frozen=True, kw_only=True):
    """An instant: on the wire a number of seconds since 1970."""

    name: str


class ListShape(msgspec.Struct, frozen=True, kw_only=True):
    """A list; the limits count elements."""

    name: str
    element: "Shape"
    minimum: int | None = None
    maximum: int | None = None
    sensitive: bool = False


class MapShape(msgspec.Struct, frozen=True, kw_only=True):
    """A map from text; the limits count keys."""

    name: str
    key: TextShape
    value: "Shape"
    minimum: int | None = None
    maximum: int | None = None
    sensitive: bool = False


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a structure: its wire name is the key it stands under, `path` is how answers name it."""

    path: str
    shape: "Shape"
    required: bool = False


class StructureShape(msgspec.Struct, frozen=True, kw_only=True):
    """A structure. `unwritten` names members that answers print although the public model lacks them."""

    name: str
    members: Mapping[str, Member]
    unwritten: tuple[str, ...] = ()
    sensitive: bool = False


Shape: TypeAlias = TextShape | NumberShape | TruthShape | InstantShape | ListShape | MapShape | StructureShape


class OperationContract(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. `output` None means an answer without a body; a structure without members, `{}`."""

    name: str
    input: StructureShape
    output: StructureShape | None
    errors: frozenset[str]


Contract: TypeAlias = Mapping[str, OperationContract]

EARLIEST_SECONDS = -62_135_596_800
LATEST_SECONDS = 253_402_300_799
"""The years 1 to 9999: the instants that Python can hold. Others are refused (assumed)."""


def is_instant(value: object) -> TypeGuard[float]:
    """Whether a JSON value can be an instant."""
    return (type(value) is int or type(value) is float) and EARLIEST_SECONDS <= value <= LATEST_SECONDS


# -- where the service differs from its public model -----------------------------------------------------

_ENUM_ORDER = {
    # Recorded; the model has the same words in another order.
    "ApiDestinationHttpMethod": ("HEAD", "POST", "PATCH", "DELETE", "PUT", "GET", "OPTIONS"),
}

_UNWRITTEN = {
    # Recorded: what the service prints of an entry has two members that callers do not know.
    "PutEventsRequestEntry": ("kmsKeyIdentifier", "internalMetadata"),
}

_JAVA_DOT = r"[^\n\r\x85\u2028\u2029]"
_HEADER_VALUE = r"^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$"
_AUTH_PARAMETER = r"^[ \t]*[^\x00-\x1F:\x7F]+([ \t]+[^\x00-\x1F:\x7F]+)*[ \t]*$"
_TAG_LIKE = r"^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$"
_LATTICE = r"^arn:[a-z0-9\\-]+:vpc-lattice:[a-zA-Z0-9\\-]+:\\d{12}:servicenetworkresourceassociation/"

_BUS_ARN = r"^arn:aws([a-z]|\-)*:events:([a-z]|\d|\-)*:([0-9]{12})?:"

_REWRITTEN = {
    # The same language without the nested repeats, which take exponential time on a value that fails, and
    # without the two that can share it in as many ways as there are slashes.
    _HEADER_VALUE: r"\t*[\x20-\x7E][\t\x20-\x7E]*",
    _AUTH_PARAMETER: r"\t*[^\x00-\x1F:\x7F][^\x00-\x08\x0A-\x1F:\x7F]*",
    _BUS_ARN + r".+\/.+$": _BUS_ARN + rf"{_JAVA_DOT}[^/\n\r\x85\u2028\u2029]*/{_JAVA_DOT}+",
    # The model doubles its backslashes here, so that no real ARN would match.
    _LATTICE + "snra-[0-9a-z]{17}$": r"arn:[a-z0-9\-]+:vpc-lattice:[a-zA-Z0-9\-]+:\d{12}:"
    r"servicenetworkresourceassociation/snra-[0-9a-z]{17}",
    # Python's `re` has no \p: letters and digits are \w without ASCII, separators are spelled out.
    _TAG_LIKE: r"(?u:[\w\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000.:/=+\-@]*)",
}

_PIECE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of the model for Python's `re`; use it with `fullmatch`."""
    translated = _REWRITTEN.get(pattern) or "".join(_pieces(pattern))
    unicode = translated.startswith("(?u:")
    return re.compile(translated, 0 if unicode else re.ASCII)


def _pieces(pattern: str) -> Iterator[str]:
    for found in _PIECE.finditer(pattern):
        yield _JAVA_DOT if found.group() == "." else found.group()


# -- reading the model -----------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def load_contract() -> Contract:
    """Every operation of the service by name. Reads botocore's data once per process; it never changes."""
    model = ServiceModel(Loader().load_service_model(SERVICE, "service-2", API_VERSION), SERVICE)
    reader = _Reader()
    return {name: reader.operation(model.operation_model(name)) for name in model.operation_names}


class _Traits(msgspec.Struct, frozen=True):
    """The constraints that the model writes on any shape."""

    min: int | None = None
    max: int | None = None
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    sensitive: bool = False


def _traits(model: ModelShape) -> _Traits:
    return msgspec.convert(dict(model.metadata), _Traits)


class _Reader:
    """Turns botocore's shapes into ours, each once. No shape of this service contains itself."""

    def __init__(self) -> None:
        self._shapes: dict[str, Shape] = {}

    def operation(self, model: OperationModel) -> OperationContract:
        given, gives = model.input_shape, model.output_shape
        return OperationContract(
            name=model.name,
            input=self._structure(given) if given is not None else StructureShape(name="Unit", members={}),
            output=self._structure(gives) if gives is not None else None,
            errors=frozenset(shape.name for shape in model.error_shapes),
        )

    def _shape(self, model: ModelShape) -> Shape:
        if model.name not in self._shapes:
            self._shapes[model.name] = self._read(model)
        return self._shapes[model.name]

    def _read(self, model: ModelShape) -> Shape:
        if isinstance(model, ModelStructure):
            return self._structure(model)
        if isinstance(model, ModelList):
            return self._list(model)
        if isinstance(model, ModelMap):
            return self._map(model)
        return _scalar(model)

    def _structure(self, model: ModelStructure) -> StructureShape:
        members = {
            name: Member(
                path=name[0].lower() + name[1:],
                shape=self._shape(shape),
                required=name in model.required_members,
            )
            for name, shape in model.members.items()
        }
        return StructureShape(
            name=model.name,
            members=members,
            unwritten=_UNWRITTEN.get(model.name, ()),
            sensitive=_traits(model).sensitive,
        )

    def _list(self, model: ModelList) -> ListShape:
        traits = _traits(model)
        return ListShape(
            name=model.name,
            element=self._shape(model.member),
            minimum=traits.min,
            maximum=traits.max,
            sensitive=traits.sensitive,
        )

    def _map(self, model: ModelMap) -> MapShape:
        traits = _traits(model)
        return MapShape(
            name=model.name,
            key=_text(model.key),
            value=self._shape(model.value),
            minimum=traits.min,
            maximum=traits.max,
            sensitive=traits.sensitive,
        )


def _scalar(model: ModelShape) -> Shape:
    match model.type_name:
        case "string":
            return _text(model)
        case "integer" | "long":
            traits, bits = _traits(model), 32 if model.type_name == "integer" else 64
            return NumberShape(name=model.name, bits=bits, minimum=traits.min, maximum=traits.max)
        case "boolean":
            return TruthShape(name=model.name)
        case "timestamp":
            return InstantShape(name=model.name)
    raise ConfigurationError(f"this version of botocore has a shape of type {model.type_name}: {model.name}")


def _text(model: ModelShape) -> TextShape:
    traits = _traits(model)
    return TextShape(
        name=model.name,
        minimum=traits.min,
        maximum=traits.max,
        pattern=traits.pattern,
        enum=_ENUM_ORDER.get(model.name, traits.enum),
        sensitive=traits.sensitive,
    )
