"""The second engine for rows that come by the million: typed JSON straight into models, a whole page at a time.

:mod:`otaclient.structuring` reads any record, strictly and with good errors, but one by one. The engines here are made
from the same declarations, read only pages without a fault, and give the same objects. ``None`` instead of a page means
that the plain engine has to look at it.

What :func:`straight_rows` does is beyond what msgspec promises: it decodes into a subclass of the model that shows the
model's own slots under the vendor's keys, and then turns each object into the model proper. So each such engine
compares itself with the plain one when it is made, and is not used where they differ.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from operator import attrgetter
from types import UnionType
from typing import Any, Generic, Protocol, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import attrs
import msgspec

from otaclient.structuring import wire_name

__all__ = ["Columns", "FastPage", "FastRows", "straight_rows", "twin_rows"]

_T = TypeVar("_T")

_logger = logging.getLogger("otaclient")
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_Rename = Callable[[str], str] | None


@attrs.frozen(kw_only=True)
class Columns(Generic[_T]):
    """How the records of a listing become models, attribute by attribute; ``backend`` is always the backend's label."""

    struct: type[Any]
    """The wire class: its attributes' types say what is accepted."""
    model: type[_T]
    taken: Mapping[str, str]
    """Attributes of the model, and the attribute of the wire class that each is."""
    derived: Mapping[str, tuple[str, Callable[[Any], Any]]] = attrs.field(factory=dict[str, Any])
    """Attributes of the model, and from which other attribute of the model each follows, by which function."""

    def model_from(self, record: Any, *, backend: str) -> _T:
        """Return a structured record as the model."""
        values = {name: getattr(record, source) for name, source in self.taken.items()}
        values |= {name: function(values[source]) for name, (source, function) in self.derived.items()}
        made: Any = self.model
        return cast("_T", made(backend=backend, **values))


@attrs.frozen
class FastPage(Generic[_T]):
    """A page without a fault."""

    rows: Sequence[_T]
    envelope: Any
    """What stands around the rows: a value of the class that was given for it."""


class FastRows(Protocol):
    """Reads whole pages of one kind of record."""

    def __call__(self, body: bytes, model: Callable[..., _T], backend: str, /) -> FastPage[_T] | None:
        """Return a page, or ``None`` for one with anything odd.

        Args:
            body: The page.
            model: What the plain engine makes a model with: called with a structured record and ``backend``.
            backend: The label for the models.
        """
        ...


def straight_rows(
    columns: Columns[_T], *, rows_key: str, envelope: Mapping[str, Any], rename: _Rename = None
) -> FastRows | None:
    """Return the engine that decodes into the model itself; ``None`` where it cannot be trusted here.

    Args:
        columns: What becomes of a record.
        rows_key: The key of the rows in the page.
        envelope: Other keys of the page, with their types; each may be missing or ``null``.
        rename: Maps an attribute of the wire class to the vendor's key; see
            :func:`~otaclient.structuring.wire_converter`.
    """
    try:
        engine = _StraightRows(columns, rows_key, envelope, rename)
        if _agrees(engine, columns, rows_key, rename):
            return engine
    except Exception:
        _logger.debug("The fast engine failed", exc_info=True)
    _logger.info("%s rows are read by the plain engine: the fast one does not fit this msgspec", columns.model.__name__)
    return None


def twin_rows(struct: type[Any], *, rows_key: str, envelope: Mapping[str, Any], rename: _Rename = None) -> FastRows:
    """Return the engine that decodes into a msgspec twin of the wire class, from which the model is made as ever.

    Args:
        struct: The wire class.
        rows_key: The key of the rows in the page.
        envelope: Other keys of the page, with their types; each may be missing or ``null``.
        rename: Maps an attribute of the wire class to the vendor's key.
    """
    decoder = _page_decoder(_twin_of(struct, rename), rows_key, envelope)
    rows_of = attrgetter(rows_key)

    def read(body: bytes, model: Callable[..., _T], backend: str, /) -> FastPage[_T] | None:
        page = _decoded(decoder, body)
        return None if page is None else FastPage([model(record, backend=backend) for record in rows_of(page)], page)

    return read


class _StraightRows:
    def __init__(self, columns: Columns[Any], rows_key: str, envelope: Mapping[str, Any], rename: _Rename) -> None:
        self._model: type[Any] = columns.model
        self._rows_of = attrgetter(rows_key)
        self._decoder = _page_decoder(_shadow_of(columns, rename), rows_key, envelope)
        slots = vars(self._model)
        self._derived = [
            (slots[name].__set__, function, attrgetter(source)) for name, (source, function) in columns.derived.items()
        ]
        untouched = (
            field for field in attrs.fields(self._model) if field.name not in {*columns.taken, *columns.derived}
        )
        self._constant = [(slots[field.name].__set__, field.default) for field in untouched if field.name != "backend"]
        self._label = slots["backend"].__set__

    def __call__(self, body: bytes, _model: Callable[..., Any], backend: str, /) -> FastPage[Any] | None:
        page = _decoded(self._decoder, body)
        if page is None:
            return None
        rows = self._rows_of(page)
        # Each of these runs over all rows inside the interpreter's own code, which is several times as fast as a loop.
        _for_each(self._label, rows, repeat(backend))
        for fill, value in self._constant:
            _for_each(fill, rows, repeat(value))
        for fill, function, source in self._derived:
            _for_each(fill, rows, map(function, map(source, rows)))
        _for_each(object.__setattr__, rows, repeat("__class__"), repeat(self._model))
        return FastPage(rows, page)


def _for_each(function: Callable[..., Any], *arguments: Any) -> None:
    deque(map(function, *arguments), maxlen=0)


def _shadow_of(columns: Columns[Any], rename: _Rename) -> Any:
    """Return a subclass of the model, without slots of its own, that msgspec takes for a class of the vendor's keys."""
    fields = {field.name: field for field in attrs.fields(columns.model)}
    wires = {field.name: field for field in attrs.fields(columns.struct)}
    types = get_type_hints(columns.struct)
    body: dict[str, Any] = {"__slots__": (), "__annotations__": {}}
    shown: list[Any] = []
    for name, source in columns.taken.items():
        key = wire_name(wires[source], rename)
        body["__annotations__"][key] = types[source]
        body[key] = vars(columns.model)[name]  # the slot itself
        shown.append(fields[name].evolve(name=key, alias=key, default=wires[source].default))
    shadow: Any = type(columns.model.__name__, (columns.model,), body)
    shadow.__attrs_attrs__ = tuple(shown)
    return shadow


def _twin_of(struct: type[Any], rename: _Rename) -> type[Any]:
    types = get_type_hints(struct)
    fields: list[Any] = []
    names: dict[str, str] = {}
    for field in attrs.fields(struct):
        kind = _twin_type(types[field.name], rename)
        fields.append((field.name, kind) if field.default is attrs.NOTHING else (field.name, kind, field.default))
        names[field.name] = wire_name(field, rename)
    return msgspec.defstruct(struct.__name__, fields, rename=names, kw_only=True, gc=False)


def _twin_type(kind: Any, rename: _Rename) -> Any:
    """Return a type with the twins of the wire classes in it."""
    if attrs.has(kind):
        return _twin_of(kind, rename)
    origin, inner = get_origin(kind), get_args(kind)
    if not inner:
        return kind
    twins = tuple(_twin_type(one, rename) for one in inner)
    if origin in (Union, UnionType):
        return Union[twins]  # noqa: UP007 - made of a tuple
    return origin[twins]


def _page_decoder(row: type[Any], rows_key: str, envelope: Mapping[str, Any]) -> "msgspec.json.Decoder[Any]":
    around: list[Any] = [(key, kind | None, None) for key, kind in envelope.items()]
    page = msgspec.defstruct("Page", [(rows_key, list.__class_getitem__(row)), *around])
    return msgspec.json.Decoder(page)


def _decoded(decoder: "msgspec.json.Decoder[Any]", body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except _BROKEN:
        return None


# --- the comparison --------------------------------------------------------------------------------------------------


def _agrees(engine: FastRows, columns: Columns[Any], rows_key: str, rename: _Rename) -> bool:
    """Tell whether both engines make the same of records with everything, with nothing, and with ``null``."""
    wires = {field.name: field for field in attrs.fields(columns.struct)}
    types = get_type_hints(columns.struct)
    full = {name: _sample(types[name], name) for name in wires}
    least = {name: value for name, value in full.items() if wires[name].default is attrs.NOTHING}
    empty = {name: least.get(name) for name in wires}
    records = [full, least, empty, full]
    body = msgspec.json.encode(
        {rows_key: [{wire_name(wires[name], rename): value for name, value in one.items()} for one in records]}
    )
    page = engine(body, columns.model_from, "label")
    expected = [columns.model_from(columns.struct(**one), backend="label") for one in records]
    return (
        page is not None
        and list(page.rows) == expected
        and [hash(row) for row in page.rows] == [hash(row) for row in expected]
        and [repr(row) for row in page.rows] == [repr(row) for row in expected]
        and all(type(row) is columns.model for row in page.rows)
    )


def _sample(kind: Any, name: str) -> Any:
    kinds = get_args(kind) or (kind,)
    return f"some {name}" if str in kinds else kinds[0](1)
