"""What the EnOS client writes, the emulator's own parser reads: no value can turn into part of an expression."""

import json
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.emulator import Fleet
from otaclient.errors import InvalidQueryError
from otaclient.models import JobKind, JobStatus
from otaclient.queries import DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.testing import HandClock
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient_enos import EnosBackend, EnosConfig
from otaclient_enos.emulator import EnosEmulator
from otaclient_enos.emulator.filters import (
    DEVICE_FIELDS,
    FIRMWARE_FIELDS,
    JOB_FIELDS,
    Both,
    Comparison,
    Fields,
    Node,
    parse,
)
from support.network import ScriptedTransport, session_over

ANY_TEXT = st.text(min_size=1, max_size=12)
MEAN = st.sampled_from(
    [
        "'",
        '"',
        "' or '1'='1",
        "x' and status = 'stopped",
        '") or ("',
        "\\'",
        "a,b",
        "(",
        "%",
        "\u2018x\u2019",
        "in",
        " ",
    ]
)
VALUES = st.lists(ANY_TEXT | MEAN, min_size=1, max_size=5, unique=True)
CONFIG = EnosConfig(endpoint="https://apim.example", org_id="o1", app_key="k", app_secret="s")


def sent(query: Any, fields: Fields) -> Node | None:
    """Return what the emulator's parser reads in the first request of a search, or ``None`` where that was refused."""
    seen: list[HttpRequest] = []

    def answer(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return HttpResponse(status=200, body=b'{"code":0,"data":[],"pagination":null}')

    backend = EnosBackend(CONFIG, session_over(ScriptedTransport([answer]), HandClock()))
    repositories: dict[type, Any] = {
        FirmwareQuery: backend.firmware,
        JobQuery: backend.jobs,
        DeviceUpgradeQuery: backend.devices,
    }
    try:
        anyio.run(repositories[type(query)].search(query).first, 1)
    except InvalidQueryError:
        assert not seen, "a value is refused before any request"
        return None
    return parse(json.loads(seen[0].body).get("expression", ""), fields)


def compared(node: Node | None) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Return the comparisons of a conjunction by field and operator."""
    parts = node.parts if isinstance(node, Both) else () if node is None else (node,)
    assert all(isinstance(part, Comparison) for part in parts), "no value can add an 'or'"
    return {(part.field, part.operator): part.values for part in parts if isinstance(part, Comparison)}


def membership(field: str, values: list[str]) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Return how a list is compared."""
    return {(field, "=" if len(values) == 1 else "in"): tuple(values)}


@given(products=VALUES, versions=VALUES, upgrading=st.booleans())
def test_device_filters_round_trip(products: list[str], versions: list[str], upgrading: bool) -> None:
    """Every product and version arrives as it is, whatever its characters, or the query is refused."""
    node = sent(DeviceUpgradeQuery(products=products, versions=versions, upgrading=upgrading), DEVICE_FIELDS)
    if node is not None:
        wanted = {**membership("productKey", products), **membership("firmwareVersion", versions)}
        assert compared(node) == {**wanted, ("isUpgrading", "="): (upgrading,)}


@given(
    products=VALUES,
    firmware=VALUES,
    name=ANY_TEXT | MEAN,
    status=st.sampled_from([JobStatus.RUNNING, JobStatus.STOPPED]),
)
def test_job_filters_round_trip(products: list[str], firmware: list[str], name: str, status: JobStatus) -> None:
    """All filters of a job search arrive together."""
    query = JobQuery(
        products=products,
        firmware_ids=firmware,
        name_contains=name,
        status=status,
        kind=JobKind.UPGRADE,
        locale="zh_CN",
    )
    node = sent(query, JOB_FIELDS)
    if node is not None:
        assert compared(node) == {
            **membership("productKey", products),
            **membership("firmwareId", firmware),
            ("name.zh_CN", "like"): (name,),
            ("status", "="): ("started" if status is JobStatus.RUNNING else "stopped",),
            ("type", "="): ("upgrade",),
        }


@given(products=VALUES, name=ANY_TEXT | MEAN, verified=st.booleans())
def test_firmware_filters_round_trip(products: list[str], name: str, verified: bool) -> None:
    """The default name is spelt as this operation spells it."""
    node = sent(
        FirmwareQuery(products=products, name_contains=name, verified=verified, locale="default"), FIRMWARE_FIELDS
    )
    if node is not None:
        assert compared(node) == {
            **membership("productKey", products),
            ("name.default", "like"): (name,),
            ("isVerified", "="): (verified,),
        }


@pytest.mark.parametrize("count", [100, 101, 250])
async def test_long_lists_are_split_and_lose_nothing(count: int) -> None:
    """A list beyond what one expression takes becomes several walks that find the same devices."""
    fleet = Fleet.generate(devices=400)
    known = [product.product_id for product in fleet.products]
    async with EnosEmulator(fleet) as emulator, EnosBackend.open(emulator.config()) as enos:
        query = DeviceUpgradeQuery(products=[*(f"none{number}" for number in range(count - len(known))), *known])
        found = {device.device_id for device in await enos.devices.search(query).collect(1000)}
        versions = [*(f"none{number}" for number in range(count)), *{fleet.devices.firmware_version(0) or ""}]
        matching = await enos.devices.search(DeviceUpgradeQuery(versions=versions)).collect(1000)
    assert found == {fleet.devices.serial(row) for row in range(400)}
    assert {device.device_id for device in matching} == {
        fleet.devices.serial(row)
        for row in range(400)
        if fleet.devices.firmware_version(row) == fleet.devices.firmware_version(0)
    }
