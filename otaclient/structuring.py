"""JSON to wire classes, strictly: a ``null``, ``"false"`` or ``7`` never turns silently into a text, boolean or number.

Everything is read by msgspec and structured by cattrs converters that come from :func:`wire_converter`, so that no
converter with cattrs' lenient defaults can slip in.
"""

from collections.abc import Callable, Iterable
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin

import attrs
import cattrs
import cattrs.gen
import msgspec
from cattrs.gen import make_dict_structure_fn, override

from otaclient.errors import OtaError, PayloadError
from otaclient.models import FrozenMap
from otaclient.secret import Revealed
from otaclient.transport.http import HttpRequest, HttpResponse, excerpt_of

__all__ = [
    "camel_case",
    "decode_json",
    "encode_json",
    "frozen_json",
    "keep_raw",
    "shallow",
    "structure",
    "structure_rows",
    "wire_converter",
]

_T = TypeVar("_T")
# What is kept as it came is frozen, compared, printed and pickled later on, level by level: the interpreter's own limit
# would then strike anywhere. No vendor's record has more than a handful of levels.
_DEEPEST = 64
_PRIMITIVES = (str, int, float, bool, type(None))
_JSON_NAMES: dict[type, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    type(None): "null",
    dict: "object",
    list: "array",
}


def camel_case(name: str) -> str:
    """Return ``firmware_version`` as ``firmwareVersion``."""
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def encode_json(value: Any) -> bytes:
    """Return compact JSON as UTF-8 bytes, to be signed and sent as they are."""
    return msgspec.json.encode(value, enc_hook=_plain_text)


def _plain_text(value: Any) -> str:
    # A secret text is one of a class of its own, and in a request's body as good as any other.
    if isinstance(value, Revealed):
        return str(value)
    raise TypeError(f"a {type(value).__name__} is no JSON value")


def decode_json(request: HttpRequest, response: HttpResponse) -> Any:
    """Return the JSON value of a response's body.

    Raises:
        PayloadError: The body is not JSON; carries the status and an excerpt.
    """
    try:
        return msgspec.json.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadError(
            f"the answer is not JSON ({error}): check endpoint",
            operation=request.operation,
            status=response.status,
            excerpt=excerpt_of(response.body),
        ) from error


def wire_converter(*, rename: Callable[[str], str] | None = None) -> cattrs.Converter:
    """Return a converter that takes JSON primitives only as themselves and ignores unknown keys.

    Args:
        rename: Maps an attribute's name to the vendor's key; without it they are the same. An attribute can override it
            with ``metadata={"wire": "key"}``.
    """
    converter = cattrs.Converter(detailed_validation=True)
    for primitive in _PRIMITIVES[:-1]:
        # Registered for the class: cattrs asks its own lenient hooks for these four before any predicate. That such a
        # hook also catches every subclass, as StrEnum, does no harm: wire classes hold primitives only.
        converter.register_structure_hook(primitive, _exactly)

    def structure_class(cls: Any) -> Any:
        names: dict[str, Any] = {field.name: override(rename=wire_name(field, rename)) for field in attrs.fields(cls)}
        return _only_from(dict, make_dict_structure_fn(cls, converter, _cattrs_detailed_validation=True, **names))

    def structure_array(cls: Any) -> Any:
        items = converter.get_structure_hook(list.__class_getitem__(get_args(cls)[0]))
        return _only_from(list, lambda value, target: tuple(items(value, target)))

    def structure_mapping(cls: Any) -> Any:
        return _only_from(dict, cast("Any", cattrs.gen).mapping_structure_factory(cls, converter))

    converter.register_structure_hook_factory(attrs.has, structure_class)
    converter.register_structure_hook_factory(lambda cls: _made_of(cls, tuple), structure_array)
    converter.register_structure_hook_factory(lambda cls: _made_of(cls, dict), structure_mapping)
    converter.register_structure_hook_factory(_is_primitive_union, _one_of)
    return converter


def wire_name(field: "attrs.Attribute[Any]", rename: Callable[[str], str] | None) -> str:
    """Return the vendor's key for an attribute of a wire class."""
    return str(field.metadata.get("wire") or (rename(field.name) if rename else field.name))


def structure(
    converter: cattrs.Converter, value: Any, cls: type[_T], *, request: HttpRequest, response: HttpResponse
) -> _T:
    """Return ``value`` as an instance of a wire class.

    Raises:
        PayloadError: A required key is missing or a value has another type; names every fault with its path.
    """
    try:
        return converter.structure(value, cls)
    except Exception as error:
        raise PayloadError(
            f"the answer does not fit {cls.__name__}",
            problems=problems_of(error),
            operation=request.operation,
            status=response.status,
        ) from error


def structure_rows(
    converter: cattrs.Converter,
    values: Iterable[Any],
    cls: type[_T],
    *,
    path: str,
    request: HttpRequest,
    response: HttpResponse,
) -> tuple[list[_T], list[PayloadError]]:
    """Return the good rows, and an error for each bad one: one broken record does not lose the others."""
    rows: list[_T] = []
    errors: list[PayloadError] = []
    for number, value in enumerate(values):
        try:
            rows.append(converter.structure(value, cls))
        except Exception as error:  # noqa: BLE001 - cattrs raises what the faulty value raised
            fault = PayloadError(
                f"row {number} does not fit {cls.__name__}",
                problems=problems_of(error, f"{path}[{number}]"),
                operation=request.operation,
                status=response.status,
            )
            fault.__cause__ = error
            errors.append(fault)
    return rows, errors


def keep_raw(converter: cattrs.Converter, *classes: type[Any]) -> None:
    """Let objects of some wire classes keep in ``raw`` what they were made from, for the fields that nobody knows yet.

    Args:
        converter: One of :func:`wire_converter`, which is changed.
        classes: The wire classes; each has an attribute ``raw`` with a default.
    """
    for cls in classes:
        converter.register_structure_hook(cls, _with_raw(converter.get_structure_hook(cls)))


def _with_raw(plain: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda value, target: attrs.evolve(plain(value, target), raw=shallow(value))


def shallow(value: Any) -> Any:
    """Return a JSON value that is to be kept as it came.

    Raises:
        ValueError: It is nested deeper than any record.
    """
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return value
    raise ValueError(f"it is nested deeper than {_DEEPEST} levels")


def frozen_json(value: Any) -> Any:
    """Return a JSON value whose objects and arrays cannot be changed, so that the model that holds it cannot be."""
    if isinstance(value, dict):
        return FrozenMap({key: frozen_json(item) for key, item in value.items()})  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return tuple(frozen_json(item) for item in value)  # pyright: ignore[reportUnknownVariableType]
    return value


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return value if isinstance(value, list) else ()  # pyright: ignore[reportUnknownVariableType]


def problems_of(error: Exception, path: str = "$") -> tuple[str, ...]:
    """Return one line for each fault that cattrs found, with its path in the payload."""
    return tuple(cattrs.transform_error(error, path=path, format_exception=_in_words))


def _in_words(error: BaseException, _type: type | None) -> str:
    if isinstance(error, KeyError):
        return f"key {error.args[0]!r} is missing"
    if isinstance(error, OtaError):
        return error.message
    return str(error) or type(error).__name__


def _exactly(value: Any, expected: Any) -> Any:
    if type(value) is expected or (expected is float and type(value) is int):
        return value
    raise TypeError(f"expected {_JSON_NAMES[expected]}, got {_kind(value)}")


def _kind(value: Any) -> str:
    kind = cast("type[object]", type(value))
    return _JSON_NAMES.get(kind, kind.__name__)


def _only_from(container: type, hook: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Guard a hook against what it would take apart silently: a text is iterable too."""

    def guarded(value: Any, target: Any) -> Any:
        if type(value) is not container:
            raise TypeError(f"expected {_JSON_NAMES[container]}, got {_kind(value)}")
        return hook(value, target)

    return guarded


def _made_of(cls: Any, container: Any) -> bool:
    origin: Any = get_origin(cls)
    return origin is container


def _is_primitive_union(cls: Any) -> bool:
    """Tell a union such as ``int | str | None``, for keys that vendors send in several types."""
    members = get_args(cls)
    return get_origin(cls) in (Union, UnionType) and len(members) > 1 and all(m in _PRIMITIVES for m in members)


def _one_of(union: Any) -> Callable[[Any, Any], Any]:
    members = get_args(union)
    accepted = (*members, int) if float in members else members
    names = " or ".join(_JSON_NAMES[member] for member in members)

    def structure_primitive(value: Any, _: Any) -> Any:
        if type(value) in accepted:
            return value
        raise TypeError(f"expected {names}, got {_kind(value)}")

    return structure_primitive
