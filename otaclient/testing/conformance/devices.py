"""What every backend promises of its devices."""

from collections import Counter
from typing import Any

import pytest

import otaclient
from otaclient import (
    Capability,
    DeviceUpgradeQuery,
    InvalidQueryError,
    NotFoundError,
    UnsupportedOperationError,
)
from otaclient.testing.conformance.suite import ServedSuite, by_id

__all__ = ["DevicePromises"]


class DevicePromises(ServedSuite):
    """Devices: listed whole, by page, by filter, and one by one."""

    @pytest.mark.parametrize("size", [None, 1, 7, 50])
    async def test_search_yields_every_device_once(self, size: int | None) -> None:
        """Paging neither skips nor repeats a device, whatever the page size, and every field is right."""
        async with self.service() as service:
            if size == 1:
                devices = service.devices
                product = devices[0].product_id or ""
                wanted = [device for device in devices if device.product_id == product][:40]
                query = DeviceUpgradeQuery(products=[product])
                pages = service.backend.devices.search(query).pages(page_size=1)
                found: list[Any] = []
                async for page in pages:
                    found.extend(page.items)
                    if len(found) == 40:
                        break
                assert found == wanted
                return
            found = [row async for page in service.backend.devices.search().pages(page_size=size) for row in page.items]
            assert found == service.devices

    async def test_a_plain_loop_crosses_all_pages(self) -> None:
        """A single page is never what a loop gives."""
        async with self.service() as service:
            assert [device async for device in service.backend.devices.search()] == service.devices

    async def test_first_takes_one_request(self) -> None:
        """A few devices cost one request."""
        async with self.service() as service:
            assert list(await service.backend.devices.search().first(5)) == service.devices[:5]
            assert service.requests == 1

    async def test_cursors_resume_in_another_client(self) -> None:
        """A page's cursor goes on where it left off, in a client of its own, with the same total of devices."""
        async with self.service() as service:
            seen: list[Any] = []
            cursor = None
            async for page in service.backend.devices.search().pages():
                seen.extend(page.items)
                cursor = page.cursor
                if len(seen) >= 200:
                    break
            assert cursor is not None
            other = otaclient.open_backend(service.name, config=service.emulator.config(), label=service.backend.label)
            async with other:
                async for page in other.devices.search().pages(cursor=cursor):
                    seen.extend(page.items)
            assert seen == service.devices

    @pytest.mark.parametrize("size", [0, -1, 1000])
    async def test_page_sizes_are_refused_before_any_request(self, size: int) -> None:
        """A page size that the vendor does not have names the range."""
        async with self.service() as service:
            for listing in self.listings(service):
                with pytest.raises(InvalidQueryError, match="takes 1 to"):
                    listing.pages(page_size=size)
            assert service.requests == 0

    async def test_cursors_of_other_listings_are_refused(self) -> None:
        """A cursor works for the query that it came from, and for nothing else."""
        async with self.service() as service:
            page = await anext(service.backend.devices.search().pages())
            before = service.requests
            narrower = service.backend.devices.search(DeviceUpgradeQuery(versions=["1.0"]))
            for listing in [narrower, *self.listings(service)[1:]]:
                with pytest.raises(InvalidQueryError, match="cursor cannot be used"):
                    listing.pages(cursor=page.cursor)
            assert service.requests == before

    async def test_devices_by_product(self) -> None:
        """One product, several, and one that does not exist."""
        async with self.service() as service:
            products = sorted({device.product_id or "" for device in service.devices})
            for asked in ([products[0]], products[:2], products):
                query = DeviceUpgradeQuery(products=asked)
                found = [device async for device in service.backend.devices.search(query)]
                assert by_id(found, "device_id") == {
                    device.device_id: device for device in service.devices if device.product_id in asked
                }
            nobody = DeviceUpgradeQuery(products=["Nobody00"])
            assert await service.backend.devices.search(nobody).collect(10) == ()

    async def test_devices_by_version(self) -> None:
        """Versions are matched exactly, whoever does the filtering; together with a product both must hold."""
        async with self.service() as service:
            counts = Counter(device.firmware_version for device in service.devices if device.firmware_version)
            versions = [version for version, _ in counts.most_common(2)]
            found = await service.backend.devices.search(DeviceUpgradeQuery(versions=versions)).collect(1000)
            assert by_id(found, "device_id") == {
                device.device_id: device for device in service.devices if device.firmware_version in versions
            }
            product = found[0].product_id or ""
            both = DeviceUpgradeQuery(versions=versions, products=[product])
            assert {device.device_id for device in await service.backend.devices.search(both).collect(1000)} == {
                device.device_id for device in found if device.product_id == product
            }

    async def test_one_device(self) -> None:
        """A device by its identifier, where the vendor can; a refusal before any request, where it cannot."""
        async with self.service() as service:
            device = service.devices[17]
            if Capability.DEVICES_GET not in service.backend.capabilities:
                with pytest.raises(UnsupportedOperationError):
                    await service.backend.devices.get(device.device_id)
                assert service.requests == 0
                return
            assert await service.backend.devices.get(device.device_id) == device
            with pytest.raises(NotFoundError) as caught:
                await service.backend.devices.get("nobody")
            assert "nobody" in str(caught.value)
