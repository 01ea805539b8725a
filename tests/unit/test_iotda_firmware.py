"""What the IoTDA client sends for packages and modules that come, change and go, and what it makes of the answers."""

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest

from otaclient.errors import InvalidQueryError, UnsupportedOperationError
from otaclient.models import FirmwareKind
from otaclient_iotda import OtaModule
from support.iotda_writes import PACKAGE, asked, opened, reply

MODULE = {"module_id": "m1", "module_name": "radio", "app_id": "space", "create_time": "20260102T030405Z"}


# --- packages --------------------------------------------------------------------------------------------------------


async def test_a_package_is_created_where_the_client_is() -> None:
    """In its resource space, and for an object in the region of its host; the answer names it."""
    iotda, network = opened(reply({"package_id": "f9"}, 201), reply({"package_id": "f8"}, 201))
    assert await iotda.firmware.create(PACKAGE) == "f9"
    module = attrs.evolve(PACKAGE, kind=FirmwareKind.MODULE)
    assert await iotda.with_options(owner_id="other").firmware.create(module, module_name="radio") == "f8"
    (method, path, first), (_, _, second) = map(asked, network.sent)
    assert (method, path) == ("POST", "ota-upgrades/packages")
    assert first["file_location"]["obs_location"]["region_name"] == "cn-north-4"
    assert (first["app_id"], second["app_id"], second["module_name"]) == ("space", "other", "radio")


async def test_files_are_not_for_this_vendor() -> None:
    """Content, downloads and reported versions are refused before anything is sent."""
    iotda, network = opened()
    with pytest.raises(UnsupportedOperationError, match="give location") as caught:
        await iotda.firmware.create(PACKAGE, b"bytes")
    assert (caught.value.operation, caught.value.backend) == ("firmware.create", "north")
    for call in (iotda.firmware.reported_versions("p"), iotda.firmware.download(None, "x")):  # type: ignore[arg-type]
        with pytest.raises(UnsupportedOperationError):
            await call
    assert network.sent == []


async def test_a_package_without_a_resource_space_is_refused() -> None:
    """The vendor demands one."""
    iotda, network = opened(app_id=None)
    with pytest.raises(InvalidQueryError, match="app_id") as caught:
        await iotda.firmware.create(PACKAGE)
    assert (caught.value.operation, network.sent) == ("firmware.create", [])


# --- modules ---------------------------------------------------------------------------------------------------------


async def test_modules_are_created_shown_changed_and_deleted() -> None:
    """Each in one request; what comes back is the module."""
    changed = MODULE | {"alias_name": "无线", "description": "d", "odd": [1], "create_time": "soon"}
    iotda, network = opened(reply(MODULE, 201), reply(MODULE), reply(changed), reply(status=204))
    created = await iotda.modules.create(product_id="p", name="radio")
    assert await iotda.modules.get("m1") == created
    assert (created.module_id, created.name, created.owner_id, created.backend) == ("m1", "radio", "space", "north")
    assert created.created_at is not None
    found = await iotda.modules.update("m1", alias="无线", description="d")
    assert (found.alias, found.description, found.created_at) == ("无线", "d", None)
    assert found.extra == {"odd": (1,), "create_time": "soon"}
    await iotda.modules.delete("m1")
    path = "ota-upgrades/modules"
    assert list(map(asked, network.sent)) == [
        ("POST", path, {"app_id": "space", "product_id": "p", "module_name": "radio"}),
        ("GET", f"{path}/m1", None),
        ("PUT", f"{path}/m1", {"alias_name": "无线", "description": "d"}),
        ("DELETE", f"{path}/m1", None),
    ]


async def test_modules_are_listed_of_a_product_or_a_space() -> None:
    """By markers, as all listings; the client's own resource space unless another is named."""
    page = {"modules": [MODULE], "page": {"count": 1, "marker": "a" * 24}}
    end: dict[str, Any] = {"modules": [], "page": {}}
    iotda, network = opened(reply(page), reply(end), reply(end))
    found = [module async for module in iotda.modules.search(product_id="p")]
    assert [(type(module), module.module_id) for module in found] == [(OtaModule, "m1")]
    assert [module async for module in iotda.modules.search(owner_id="other")] == []
    queries = [dict(request.query) for request in network.sent]
    assert queries[0] == {"app_id": "space", "product_id": "p", "limit": "50"}
    assert queries[1]["marker"] == "a" * 24
    assert queries[2]["app_id"] == "other"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda modules: modules.create(product_id="a b", name="x"), "product_id is 'a b'"),
        (lambda modules: modules.create(product_id="p", name="a b"), "name is 'a b'"),
        (lambda modules: modules.create(product_id="p", name="x", alias="y" * 65), "alias is 65 characters"),
        (lambda modules: modules.create(product_id="p", name="x", description="y" * 1025), "description is 1025"),
        (lambda modules: modules.update("m1"), "give what is to be changed"),
        (lambda modules: modules.update("m/1", alias="x"), "module_id is 'm/1'"),
        (lambda modules: modules.get(""), "module_id is ''"),
        (lambda modules: modules.delete("a b"), "module_id is 'a b'"),
    ],
)
async def test_modules_that_cannot_be(call: Callable[[Any], Awaitable[Any]], words: str) -> None:
    """One error before anything is sent."""
    iotda, network = opened()
    with pytest.raises(InvalidQueryError, match=words) as caught:
        await call(iotda.modules)
    assert (caught.value.backend, network.sent) == ("north", [])


async def test_modules_need_what_listings_and_creations_need() -> None:
    """A product that can be one, and a resource space."""
    iotda, _ = opened(app_id=None)
    with pytest.raises(InvalidQueryError, match="product_id is 'a b'") as caught:
        iotda.modules.search(product_id="a b")
    assert caught.value.operation == "modules.search"
    with pytest.raises(InvalidQueryError, match="owner_id is ''"):
        opened(app_id="own")[0].modules.search(owner_id="")
    with pytest.raises(InvalidQueryError, match="IoTDA creates no module"):
        await iotda.modules.create(product_id="p", name="x")
