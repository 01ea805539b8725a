"""Plans against both vendors: what a scan says it will take is what it takes, over real HTTP."""

from typing import Any

import pytest

import otaclient
from otaclient import DeviceUpgradeQuery, Verdict
from otaclient.fleet.scan import plan
from otaclient.testing import Service


@pytest.mark.parametrize("certify", [True, False])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("concurrency", [1, 16])
async def test_the_counted_requests_are_those_of_the_plan(
    service: Service, certify: bool, narrow: bool, concurrency: int
) -> None:
    """Without drift, to the last request, for the whole fleet and for single products."""
    known = dict.fromkeys(device.product_id or "" for device in service.devices)
    products: Any = [*known, "NoSuchProduct"] if narrow else None
    query = DeviceUpgradeQuery(products=products)
    options: Any = {"certify": certify, "concurrency": concurrency}
    made = plan(service.backend, query, **options)
    async with otaclient.scan([(service.backend, query)], **options) as scan:
        words = await scan.explain(probe=True)
        walks = len(made.partitions)
        assert service.requests == walks
        found = [device async for device in scan]
    assert len(found) == len(service.devices)
    sizes = [sum(device.product_id == product for device in found) for product in products or ()]
    totals = sizes if walks > 1 else [len(found)]
    expected = made.expected_requests(totals)
    assert service.requests - walks == scan.certificate.requests == expected
    assert scan.certificate.verdict is (Verdict.CERTIFIED if certify else Verdict.UNPROVED)
    assert f"in all: {expected} requests for {len(found)} rows" in words


async def test_plans_send_nothing(service: Service) -> None:
    """The vendor does not hear of a plan that is only read."""
    query = DeviceUpgradeQuery(versions=["1.0"])
    async with otaclient.scan([(service.backend, query)]) as scan:
        words = await scan.explain()
    assert f"{service.name}-7 devices.search: 1 walk" in words
    assert str(plan(service.backend, query)) in words
    assert service.requests == 0


async def test_the_certificate_names_the_plan_in_one_line(service: Service) -> None:
    """What was asked, as a reader of the file sees it."""
    async with otaclient.scan([(service.backend, DeviceUpgradeQuery())]) as scan:
        _ = [device async for device in scan]
    (part,) = scan.certificate.parts
    assert part.query == plan(service.backend, DeviceUpgradeQuery()).summary
    assert "\n" not in part.query
