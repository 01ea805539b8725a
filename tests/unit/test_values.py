"""Models, queries, errors, secrets: values that are safe to print, pickle and compare."""

import copy
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

import otaclient
from otaclient import errors, models
from otaclient.errors import InvalidQueryError, OtaError, PayloadError
from otaclient.models import FrozenMap, LocalizedText
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.secret import Secret

ERRORS = [getattr(errors, name) for name in errors.__all__]


def pickled(value: Any) -> Any:
    """Return a value after a journey through pickle."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_survive_pickling_and_copying(kind: type[OtaError]) -> None:
    """Every field of every public error comes back, and so does its text."""
    error = kind(
        "it broke", operation="jobs.get", backend="enos", attempts=3, status=503, vendor_code="24500", request_id="r-1"
    )
    for twin in (pickled(error), copy.copy(error)):
        assert type(twin) is kind
        assert vars(twin) == vars(error)
        assert str(twin) == str(error) == "enos jobs.get: it broke (HTTP 503, code 24500, request r-1, attempts 3)"
        assert twin.args == error.args


def test_extra_facts_survive_pickling() -> None:
    """The fields that only some errors have come back too."""
    error = PayloadError("odd", problems=tuple("abcd"), excerpt="<html>", status=200)
    assert str(pickled(error)) == "odd (HTTP 200): a; b; c (and 1 more); the body begins '<html>'"
    assert pickled(errors.RateLimitedError("x", retry_after_seconds=4)).retry_after_seconds == 4
    assert pickled(errors.DeadlineExceededError("x", retry_after_seconds=5)).retry_after_seconds == 5


def test_context_is_filled_in_only_where_missing() -> None:
    """What the place of the error knows wins over what the session adds."""
    error = OtaError("x", operation="authenticate").during(operation="jobs.get", backend="b", attempts=2)
    assert (error.operation, error.backend, error.attempts) == ("authenticate", "b", 2)


def example(cls: Any) -> Any:
    """Return an instance of a model with its required fields."""
    required = {
        "status": models.JobStatus.RUNNING,
        "size_bytes": 1,
        "verified": True,
        "count": 2,
        "firmware_ids": ("f",),
    }
    special = {"name": LocalizedText(default="n", translations={"zh_CN": "名"})}
    values = {
        field.name: special.get(field.name, required.get(field.name, "text"))
        for field in attrs.fields(cls)
        if field.default is attrs.NOTHING
    }
    return cls(**values)


MODELS = [getattr(models, name) for name in models.__all__ if attrs.has(getattr(models, name))]


@pytest.mark.parametrize("model", MODELS)
def test_models_are_frozen_pickle_and_hash(model: Any) -> None:
    """A record cannot be changed, goes through pickle, and can be a member of a set."""
    record = example(model)
    assert pickled(record) == record
    assert hash(pickled(record)) == hash(record)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(record, attrs.fields(model)[0].name, None)
    assert not hasattr(record, "__dict__")


def test_localized_text() -> None:
    """A missing translation falls back to the default text."""
    text = LocalizedText(default="pump", translations={"zh_CN": "泵"})
    assert (str(text), text.for_locale("zh_CN"), text.for_locale("fr_FR")) == ("pump", "泵", "pump")


def test_frozen_maps() -> None:
    """A map compares with any mapping, is copied on the way in, and shows its items."""
    plain = {"a": 1}
    frozen = FrozenMap(plain)
    plain["b"] = 2
    assert frozen == {"a": 1}
    assert (len(frozen), list(frozen), repr(frozen)) == (1, ["a"], "FrozenMap({'a': 1})")
    assert FrozenMap() == {}
    assert models.Firmware(backend="b", firmware_id=models.FirmwareId("f"), version="1", tags=frozen).tags is frozen


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DeviceUpgradeQuery(products="BXwU4kMk"), r"products is the bare text 'BXwU4kMk': give a list"),
        (lambda: DeviceUpgradeQuery(products=[]), "products is an empty list"),
        (lambda: DeviceUpgradeQuery(products=3), "products is 3: give a list"),  # type: ignore[arg-type]
        (lambda: DeviceUpgradeQuery(versions=["1.0", ""]), "versions holds ''"),
        (lambda: DeviceUpgradeQuery(versions=[1]), "versions holds 1"),  # type: ignore[list-item]
        (lambda: DeviceUpgradeQuery(upgrading="false"), "upgrading is 'false': give True or False"),  # type: ignore[arg-type]
        (lambda: DeviceUpgradeQuery(registered_after=datetime(2026, 1, 1)), "without a time zone"),  # noqa: DTZ001
        (lambda: DeviceUpgradeQuery(products=[["x"]]), r"products holds \['x'\]"),  # type: ignore[list-item]
        (
            lambda: DeviceUpgradeQuery(registered_after=datetime.min.replace(tzinfo=timezone(timedelta(hours=8)))),
            "outside the years 1 to 9999 in UTC",
        ),
        (lambda: DeviceUpgradeQuery(registered_before="today"), "registered_before is 'today'"),  # type: ignore[arg-type]
        (lambda: DeviceUpgradeQuery(owner_id=""), "owner_id is ''"),
        (
            lambda: FirmwareQuery(kinds=["firmwarePackage"]),
            "kinds is 'firmwarePackage': it must be one of firmware, software, module",
        ),
        (lambda: FirmwareQuery(kinds="firmware"), "kinds is the bare text"),
        (lambda: JobQuery(status="unknown"), "status is 'unknown': it must be one of pending"),
        (lambda: JobQuery(kind="upgrades"), "kind is 'upgrades': it must be one of upgrade, verification"),
        (lambda: DeviceTaskQuery(job_id="", statuses=["failed"]), "job_id is ''"),  # type: ignore[arg-type]
        (lambda: DeviceTaskQuery(job_id="j", statuses=["Fail"]), "statuses is 'Fail'"),  # type: ignore[arg-type]
    ],
)
def test_queries_refuse_what_would_mean_something_else(make: Any, words: str) -> None:
    """A filter that cannot be meant names the field, the rule and the remedy."""
    with pytest.raises(InvalidQueryError, match=words):
        make()


def test_registration_range_must_not_be_empty() -> None:
    """A range that ends before it begins is refused; zones are compared as instants."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with pytest.raises(InvalidQueryError, match="swap them"):
        DeviceUpgradeQuery(registered_after=noon, registered_before=noon)
    later = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=-1)))
    query = DeviceUpgradeQuery(registered_after=noon, registered_before=later)
    assert query.registered_before == noon + timedelta(hours=1)


def test_queries_take_any_collection_and_enum_texts() -> None:
    """Lists, sets and generators become tuples without repeats; texts become enum members."""
    query = FirmwareQuery(products=(p for p in ["a", "b", "a"]), kinds=["software"])
    assert (query.products, query.kinds) == (("a", "b"), (models.FirmwareKind.SOFTWARE,))
    assert pickled(JobQuery(status="running")) == JobQuery(status=models.JobStatus.RUNNING)
    tasks = DeviceTaskQuery(job_id=models.JobId("j"), statuses=["failed"])
    assert tasks.statuses == (models.TaskStatus.FAILED,)


def test_secrets_hide() -> None:
    """A secret shows in no text, cannot be pickled, and is given back only on demand."""
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]} {secret!s:>10}"
    assert (secret.reveal(), secret == Secret("hunter2"), secret != Secret("x"), secret == "hunter2") == (
        "hunter2",
        True,
        True,
        False,
    )
    assert hash(secret) == hash(Secret("hunter2"))
    assert copy.copy(secret) is copy.deepcopy(secret) is Secret.of(secret) is secret
    assert Secret.of_optional(None) is None
    assert Secret.of_optional("a") == Secret("a")
    assert (bool(secret), bool(Secret(""))) == (True, False)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(secret)


def test_the_public_names_exist() -> None:
    """``from otaclient import *`` gives what ``__all__`` promises, and every error is among it."""
    assert all(hasattr(otaclient, name) for name in otaclient.__all__)
    assert set(errors.__all__) <= set(otaclient.__all__)
