"""How the products, firmware and devices of a simulated fleet come about.

Versions spread as in a real fleet: a head of new ones, a long tail, and a few stragglers.
"""

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import attrs

from otaclient.emulator.conditions import AllOf, Condition
from otaclient.emulator.devices import ABSENT, CONNECTIONS, DeviceTable
from otaclient.emulator.noise import Noise, weighted_table
from otaclient.emulator.records import FirmwareRecord, Product, firmware_content
from otaclient.models import Connection, FirmwareKind

__all__ = [
    "active_devices",
    "draw_devices",
    "draw_firmware",
    "draw_identifier",
    "draw_products",
    "evenly_spread",
]

# How far back the oldest firmware and the oldest device go, in seconds.
_FIRMWARE_SPAN_S: Final = 3 * 365 * 86_400
_DEVICE_SPAN_S: Final = 2 * 365 * 86_400

_NAMES: Final = (
    ("pump", "水泵", "ポンプ"),
    ("inverter", "逆变器", "インバータ"),
    ("gateway", "网关", "ゲートウェイ"),
    ("turbine", "风机", "タービン"),
    ("meter", "电表", "メーター"),
)
_ALPHANUMERICS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# Versions that left the factory and that nobody ever uploaded: some devices still report them.
_FACTORY_VERSIONS: Final = ("7777", "AOTA")
_STRAGGLERS_PER_PRODUCT: Final = 3

# Connections in the order of CONNECTIONS.
_CONNECTION_WEIGHTS: Final = (70, 19, 4, 6, 1)

_VERIFICATION_TARGETS: Final = 5

_MODULE_NAMES: Final = ("radio", "display")
_MODULE_VERSIONS: Final = ("m1.0", "m1.1", "m2.0")


# --- products and firmware -------------------------------------------------------------------------------------------


def draw_products(noise: Noise, *, count: int, versions: int) -> tuple[Product, ...]:
    """Return so many products, each with so many versions of its firmware."""
    return tuple(_product(noise, index, versions) for index in range(count))


def _product(noise: Noise, index: int, versions: int) -> Product:
    word = _NAMES[index % len(_NAMES)][0]
    series = index // len(_NAMES)
    kinds = (
        (FirmwareKind.FIRMWARE, FirmwareKind.SOFTWARE),
        (FirmwareKind.FIRMWARE, FirmwareKind.SOFTWARE, FirmwareKind.MODULE),
        (FirmwareKind.FIRMWARE,),
    )[index % 3]
    has_software = FirmwareKind.SOFTWARE in kinds
    return Product(
        product_id=_letters(noise, f"product/{index}", 8),
        name=f"{word}-{series + 1}" if series else word,
        key_prefix=f"{word}{series + 1}" if series else word,
        kinds=kinds,
        firmware_versions=tuple(_version(index % 3, step) for step in range(versions)),
        software_versions=tuple(f"app-{1 + step // 3}.{step % 3}" for step in range(max(versions // 2, 1)))
        if has_software
        else (),
    )


def _version(scheme: int, step: int) -> str:
    if scheme == 0:
        return f"V{1 + step // 5}.{step % 5}"
    if scheme == 1:
        return f"{2018 + step // 4}.{step % 4 * 3 + 1:02d}"
    return f"{1 + step // 6}.{step % 6}.{step * 7 % 10}"


def _letters(noise: Noise, name: str, count: int) -> str:
    return "".join(_ALPHANUMERICS[byte % len(_ALPHANUMERICS)] for byte in noise.stream(name, count))


@attrs.frozen(kw_only=True)
class _Release:
    """One version of one kind that a product's makers are to publish."""

    product: Product
    kind: FirmwareKind
    step: int
    """Its place in the line of versions, oldest first."""
    version: str
    age: float
    """Its place in the life of the line, up to 1 for the newest."""


def draw_identifier(noise: Noise, name: str, position: int, created_at_s: int) -> str:
    """Return 24 lower-case hexadecimal digits that begin with the second of creation."""
    return f"{created_at_s:08x}{noise.hexadecimal(f'{name}/{position}/id', 16)}"


def draw_firmware(noise: Noise, products: Sequence[Product], *, now_s: int) -> tuple[FirmwareRecord, ...]:
    """Return the firmware of these products, oldest first: they publish in turn."""
    releases = sorted((release for product in products for release in _releases(product)), key=lambda each: each.age)
    pause = _FIRMWARE_SPAN_S // (len(releases) + 1)
    records: list[FirmwareRecord] = []
    for position, release in enumerate(releases):
        late_s = noise.number(f"firmware/{position}/at", pause)
        created_at_ms = (now_s - _FIRMWARE_SPAN_S + position * pause + late_s) * 1000
        created_at_ms += noise.number(f"firmware/{position}/ms", 1000)
        records.append(_firmware_record(noise, release, position, created_at_ms))
    return tuple(records)


def _releases(product: Product) -> Iterator[_Release]:
    lines = [(FirmwareKind.FIRMWARE, product.firmware_versions), (FirmwareKind.SOFTWARE, product.software_versions)]
    if FirmwareKind.MODULE in product.kinds:
        lines.append((FirmwareKind.MODULE, _MODULE_VERSIONS))
    for kind, line in lines:
        for step, version in enumerate(line):
            age = (step + 1) / len(line)
            yield _Release(product=product, kind=kind, step=step, version=version, age=age)


def _firmware_record(noise: Noise, release: _Release, position: int, created_at_ms: int) -> FirmwareRecord:
    product, kind, version = release.product, release.kind, release.version
    firmware_id = draw_identifier(noise, "firmware", position, created_at_ms // 1000)
    size_bytes = 1024 + noise.number(f"firmware/{position}/size", 64 * 1024)
    md5, sha256 = _digests(firmware_id, size_bytes)
    verification_required = position % 3 == 0
    earlier = product.firmware_versions[max(release.step - 4, 0) : release.step]
    return FirmwareRecord(
        firmware_id=firmware_id,
        product_id=product.product_id,
        kind=kind,
        version=version,
        name=f"{product.name} {kind} {version}",
        translations=_translations(product, position, f"{kind} {version}"),
        description=None if position % 4 == 1 else f"Release {version} of the {product.name} {kind}",
        file_name=f"{product.key_prefix}-{kind}-{version}.{('bin', 'zip', 'tar', 'gz')[position % 4]}",
        size_bytes=size_bytes,
        md5=md5,
        sha256=sha256,
        created_at_ms=created_at_ms,
        product_shown=position % 7 != 5,
        verification_required=verification_required,
        verified=verification_required and position % 2 == 0,
        max_verification_devices=_VERIFICATION_TARGETS,
        min_verified_successes=2,
        source_versions=earlier if kind is FirmwareKind.FIRMWARE and position % 2 else (),
        tags={} if position % 3 == 1 else {"channel": ("stable", "beta")[position % 2], "line": product.key_prefix},
        custom_info='{"reboot": true}' if position % 5 == 2 else None,
        module_name=_MODULE_NAMES[release.step % len(_MODULE_NAMES)] if kind is FirmwareKind.MODULE else None,
    )


# Test suites make thousands of fleets from one seed, and what takes longest in a small one is its firmware's bytes.
@lru_cache(maxsize=4096)
def _digests(firmware_id: str, size_bytes: int) -> tuple[str, str]:
    content = firmware_content(firmware_id, size_bytes)
    return hashlib.md5(content, usedforsecurity=False).hexdigest(), hashlib.sha256(content).hexdigest()


def _translations(product: Product, position: int, text: str) -> dict[str, str]:
    """Names in other languages; some records have none, so that falling back to the default name is exercised."""
    words = next((names for names in _NAMES if product.name.startswith(names[0])), _NAMES[0])
    if position % 5 == 4:
        return {}
    translations = {"zh_CN": f"{words[1]} {text}", "en_US": f"{words[0].title()} {text}"}
    if position % 3 == 0:
        translations["ja_JP"] = f"{words[2]} {text}"
    return translations


# --- devices ---------------------------------------------------------------------------------------------------------


def draw_devices(noise: Noise, products: Sequence[Product], *, count: int, now_s: int) -> DeviceTable:
    """Return so many devices of these products, in order of registration: at most one a second."""
    firmware_versions = _catalogue([product.firmware_versions for product in products], _FACTORY_VERSIONS)
    software_versions = _catalogue([product.software_versions for product in products])
    sizes = weighted_table([720_720 // (2 + index) for index in range(len(products))])
    product = bytearray(noise.stream("device/product", count).translate(sizes))
    connection = bytearray(noise.stream("device/connection", count).translate(weighted_table(_CONNECTION_WEIGHTS)))
    silent = CONNECTIONS.index(Connection.INACTIVE)
    firmware_tables = [_spread(each.firmware_versions, firmware_versions) for each in products]
    software_tables = [_spread(each.software_versions, software_versions) for each in products]
    table = DeviceTable(
        seed=noise.number("device/serial", 2**32),
        product_ids=[each.product_id for each in products],
        key_prefixes=[each.key_prefix for each in products],
        firmware_versions=firmware_versions,
        software_versions=software_versions,
        product=product,
        firmware_version=_reported(
            product, connection, noise.stream("device/firmware", count), firmware_tables, silent
        ),
        software_version=_reported(
            product, connection, noise.stream("device/software", count), software_tables, silent
        ),
        connection=connection,
        registered_at_s=_registrations(noise, count, now_s),
    )
    _leave_stragglers(table)
    return table


def _catalogue(lines: Sequence[tuple[str, ...]], more: tuple[str, ...] = ()) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*(version for line in lines for version in line), *more]))


def _spread(line: tuple[str, ...], catalogue: tuple[str, ...]) -> bytes:
    """A table from a uniform byte to a place in the catalogue: most devices run the newest versions of the line."""
    if not line:
        return bytes([ABSENT]) * 256
    # Each version runs on 62 % as many devices as the next one.
    weights = [62 ** (len(line) - step) * 100**step for step in range(len(line))]
    return weighted_table(weights).translate(
        bytes([*(catalogue.index(version) for version in line), *_rest(len(line))])
    )


def _rest(start: int) -> bytes:
    return bytes(range(start, 256))


def _reported(
    product: bytearray, connection: bytearray, uniform: bytes, tables: Sequence[bytes], silent: int
) -> bytearray:
    """The version column: a device that was never active has reported none."""
    return bytearray(
        ABSENT if state == silent else tables[kind][draw]
        for kind, state, draw in zip(product, connection, uniform, strict=True)
    )


def _registrations(noise: Noise, count: int, now_s: int) -> "array[int]":
    pause = _DEVICE_SPAN_S // max(count, 1)
    start = now_s - _DEVICE_SPAN_S
    return array(
        "I", (start + row * pause + (pause * draw >> 8) for row, draw in enumerate(noise.stream("device/at", count)))
    )


def _leave_stragglers(table: DeviceTable) -> None:
    """Set a few active devices of each product back to a version that only the factory knew."""
    for index, product_id in enumerate(table.product_ids):
        version = table.firmware_versions.index(_FACTORY_VERSIONS[index % len(_FACTORY_VERSIONS)])
        rows = table.matching(active_devices(table, product_id, table.firmware_versions))
        for row in evenly_spread(rows, _STRAGGLERS_PER_PRODUCT):
            table.firmware_version_column[row] = version
    table.touch()


def active_devices(table: DeviceTable, product_id: str, versions: Sequence[str]) -> Condition:
    """Return the condition that a device is of this product, runs one of these versions and is not being upgraded."""
    return AllOf((table.of_products([product_id]), table.with_firmware_versions(versions), table.with_upgrading(False)))


def evenly_spread(rows: Sequence[int], most: int) -> Sequence[int]:
    """Return at most so many of the rows, spread over all of them."""
    step = max(len(rows) // most, 1)
    return rows[::step][:most]
