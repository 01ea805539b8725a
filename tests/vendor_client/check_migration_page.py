"""The left side of the migration page runs with the vendor's client against the emulator, as the page shows it."""

import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from otaclient.emulator import JobPlan
from otaclient.models import TaskStatus

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]


def module(path: Path) -> ModuleType:
    """Return a module that this environment has no package for."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_the_page_is_right_about_the_vendors_client() -> None:
    """A client, all packages of a product, a rollout, and the failed devices tried again."""
    client = module(HERE / "official_client.py")
    blocks = module(ROOT / "tests/support/doc_blocks.py").blocks_of(ROOT / "docs/migration.md")
    code = {block.title.removeprefix("Before: "): block for block in blocks if (block.title or "").startswith("Before")}
    names: dict[str, Any] = {
        "access_key": "EMULATORACCESSKEY",
        "secret_key": "emulator-secret-key",
        "project_id": client.PROJECT,
        "region_id": "cn-north-4",
    }
    # Fast enough that all of its ten minutes' pauses before a retry are over within one minute.
    plan = JobPlan(spread=0, failing_share=1, speed=100)
    with client.running(edition="standard", plan=plan) as service:
        names["endpoint"] = service.emulator.url

        def run(part: str) -> None:
            exec(compile(code[part].text, code[part].place, "exec"), names)  # noqa: S102 - our own page

        run("client")
        run("all packages")
        product = "E4nuSUg8"
        text = code["all packages"].text
        assert product in text
        products = Counter(package.product_id for package in service.emulator.expected_firmware("iotda"))
        ours = text.replace(product, products.most_common(1)[0][0])
        exec(compile(ours, code["all packages"].place, "exec"), names)  # noqa: S102 - our own page
        assert names["packages"]
        package = next(each for each in names["packages"] if each.package_type == "firmwarePackage")
        devices = [
            each.device_id
            for each in service.emulator.expected_devices("iotda")
            if each.product_id == package.product_id and each.firmware_version != package.version
        ]
        names |= {"devices": devices[:3], "package_id": package.package_id}
        run("a rollout")
        service.pass_time(60)
        tasks = list(service.emulator.expected_tasks("iotda", names["task_id"]))
        assert len(tasks) == 3
        names["expected"] = {task.device_id for task in tasks if task.status is TaskStatus.FAILED}
        assert names["expected"]
        run("failed devices")
        assert set(names["failed"]) == names["expected"]
