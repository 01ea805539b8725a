"""The tables of the pages leave nothing out, and say what is so."""

import inspect
import re
from datetime import UTC, datetime
from itertools import chain
from types import ModuleType
from typing import Any, Final

import attrs
import pytest

import otaclient
import otaclient_enos
import otaclient_enos.failures
import otaclient_enos.wire
import otaclient_iotda
import otaclient_iotda.failures
import otaclient_iotda.wire
from otaclient import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery, OtaError
from otaclient.cli.failures import ExitCode
from otaclient.errors import ApiError
from otaclient.models import JobId
from otaclient.protocols import Capability
from otaclient.transport import statuses
from otaclient_enos import EnosConfig
from otaclient_iotda import IotdaConfig, TokenCredentials
from support.doc_blocks import ROOT

DOCS: Final = ROOT / "docs"
JOB_ID: Final = JobId("5ed0dd4a646542001b3d113f")
INSTANT: Final = datetime(2026, 1, 2, tzinfo=UTC)

CONFIGS: Final = {
    "enos": EnosConfig(endpoint="https://enos.test", org_id="o1", app_key="key", app_secret="secret"),
    "iotda": IotdaConfig(endpoint="https://iotda.test", project_id="p1", credentials=TokenCredentials(token="token")),
}
QUERIES: Final[dict[str, Any]] = {
    "FirmwareQuery.products": FirmwareQuery(products=["p1"]),
    "FirmwareQuery.kinds": FirmwareQuery(kinds=["firmware"]),
    "FirmwareQuery.version": FirmwareQuery(version="1"),
    "FirmwareQuery.verified": FirmwareQuery(verified=True),
    "FirmwareQuery.name_contains": FirmwareQuery(name_contains="x"),
    "FirmwareQuery.locale": FirmwareQuery(name_contains="x", locale="zh_CN"),
    "FirmwareQuery.owner_id": FirmwareQuery(owner_id="o1"),
    "JobQuery.products": JobQuery(products=["p1"]),
    "JobQuery.firmware_ids": JobQuery(firmware_ids=[JOB_ID]),
    "JobQuery.firmware_versions": JobQuery(firmware_versions=["1"]),
    "JobQuery.kind": JobQuery(kind="upgrade"),
    "JobQuery.status": JobQuery(status="running"),
    "JobQuery.name_contains": JobQuery(name_contains="x"),
    "JobQuery.firmware_name_contains": JobQuery(firmware_name_contains="x"),
    "JobQuery.locale": JobQuery(name_contains="x", locale="zh_CN"),
    "JobQuery.owner_id": JobQuery(owner_id="o1"),
    "DeviceTaskQuery.devices": DeviceTaskQuery(job_id=JOB_ID, devices=["d1"]),
    "DeviceTaskQuery.statuses": DeviceTaskQuery(job_id=JOB_ID, statuses=["failed"]),
    "DeviceTaskQuery.from_versions": DeviceTaskQuery(job_id=JOB_ID, from_versions=["1"]),
    "DeviceTaskQuery.to_versions": DeviceTaskQuery(job_id=JOB_ID, to_versions=["1"]),
    "DeviceUpgradeQuery.products": DeviceUpgradeQuery(products=["p1"]),
    "DeviceUpgradeQuery.versions": DeviceUpgradeQuery(versions=["1"]),
    "DeviceUpgradeQuery.upgrading": DeviceUpgradeQuery(upgrading=True),
    "DeviceUpgradeQuery.registered_after": DeviceUpgradeQuery(registered_after=INSTANT),
    "DeviceUpgradeQuery.registered_before": DeviceUpgradeQuery(registered_before=INSTANT),
    "DeviceUpgradeQuery.owner_id": DeviceUpgradeQuery(owner_id="o1"),
}
"""One query for each field that filters."""


def rows(page: str) -> list[list[str]]:
    """Return the cells of all tables of a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    lines = re.findall(r"^\|.*\|$", text, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def told(page: str) -> set[str]:
    """Return the names in the first columns of a page's tables."""
    return set(chain.from_iterable(re.findall(r"`([^`]+)`", row[0]) for row in rows(page)))


def public_errors() -> set[str]:
    """Return the names of all errors that a user can catch."""
    modules: tuple[ModuleType, ...] = (otaclient, otaclient.errors, otaclient_enos, otaclient_iotda)
    found = [value for module in modules for value in vars(module).values()]
    return {value.__name__ for value in found if inspect.isclass(value) and issubclass(value, OtaError)}


def test_every_error_is_in_the_catalogue() -> None:
    """What happened and what to do is said of every error, and of no other."""
    listed = {row[0].strip("`") for row in rows("errors.md") if len(row) == 4 and row[0].endswith("Error`")}
    assert listed == public_errors()
    assert all(all(row) for row in rows("errors.md"))


def test_every_exit_code_is_in_the_catalogue() -> None:
    """The command ends with no other code."""
    listed = {(int(row[0]), row[1]) for row in rows("errors.md") if row[0].isdigit()}
    assert listed == {(code.value, code.name.lower()) for code in ExitCode}


def test_the_codes_of_enos_are_those_that_are_known() -> None:
    """Every documented code has the kind that the page says."""
    failures = otaclient_enos.failures
    known = {code: meaning.error for code, meaning in {**failures._CODES, **failures._TOKEN_CODES}.items()}
    listed = {int(code): row[2] for row in rows("errors.md") if row[0] == "EnOS" for code in row[1].split(", ")}
    assert listed == {code: f"`{kind.__name__}`" for code, kind in known.items()}


def test_the_codes_of_iotda_are_those_that_are_known() -> None:
    """Every code and status that has a kind is there with it."""
    failures = otaclient_iotda.failures
    known: dict[str, type[ApiError]] = dict(failures._BY_CODE)
    known |= {str(status): kind for status, kind in statuses._KINDS.items()}
    known |= dict.fromkeys(failures._THROTTLED, otaclient.RateLimitedError)
    for code, kind in known.items():
        (row,) = [row for row in rows("errors.md") if row[0] == "IoTDA" and re.search(rf"\b{code}\b", row[1])]
        assert row[2] == f"`{kind.__name__}`", code


def test_every_operation_is_in_the_coverage_table() -> None:
    """Whatever a backend may be able to do is named with the vendor's operation behind it."""
    text = (DOCS / "coverage.md").read_text(encoding="utf-8")
    implied = {Capability.FIRMWARE_UPLOAD, Capability.JOBS_HOLD, Capability.DEVICES_UPGRADING}
    missing = [each.value for each in set(Capability) - implied if f"`{each.value}" not in text]
    assert not missing


@pytest.mark.parametrize("vendor", ["enos", "iotda"])
def test_every_field_of_the_wire_is_in_the_coverage_table(vendor: str) -> None:
    """Whatever the wire classes read is told, under the vendor's own name."""
    wire: ModuleType = {"enos": otaclient_enos.wire, "iotda": otaclient_iotda.wire}[vendor]
    text = (DOCS / "coverage.md").read_text(encoding="utf-8")
    part = text.partition("\n## Huawei")[0 if vendor == "enos" else 2]
    names = set(re.findall(r"[A-Za-z]\w*", " ".join(re.findall(r"`([^`]+)`", part))))
    structs = [value for value in vars(wire).values() if inspect.isclass(value) and attrs.has(value)]
    # What wraps an answer or serves a login is no field of a record.
    structs = [each for each in structs if not re.search(r"Answer|^Token|^Created", each.__name__)]
    assert len(structs) > 5
    for struct in structs:
        keys = otaclient_enos.wire.keys_of(struct) if vendor == "enos" else attrs.fields_dict(struct)
        assert not {key for key in keys if key not in names and key != "raw"}, struct


def test_every_filter_is_in_the_table() -> None:
    """The table of queries has a row for each field, and this module a query."""
    fields = {
        f"{query.__name__}.{field.name}"
        for query in (FirmwareQuery, JobQuery, DeviceTaskQuery, DeviceUpgradeQuery)
        for field in attrs.fields(query)
    } - {"DeviceTaskQuery.job_id", "DeviceUpgradeQuery.resolve_upgrading"}
    assert set(QUERIES) == fields
    assert fields <= told("coverage.md")


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("vendor", ["enos", "iotda"])
async def test_filters_are_applied_where_the_table_says(vendor: str, name: str) -> None:
    """By the vendor, here, or not at all."""
    (row,) = [row for row in rows("coverage.md") if row[0] == f"`{name}`"]
    said = re.match(r"\w+", row[1 if vendor == "enos" else 2])
    assert said is not None
    async with otaclient.open_backend(vendor, config=CONFIGS[vendor]) as backend:  # nothing is sent
        try:
            here = backend.reads(QUERIES[name]).filtered_here
        except otaclient.InvalidQueryError:
            assert said[0] == "refused"
        else:
            assert said[0] == ("here" if here else "vendor")
