"""Journey 6: a job for a few devices that waits for its start; start it, watch it; then the rest."""

import json
import re

from support.reader import Reader, expected_of

PAGE = "docs/guides/jobs.md"


def test_a_few_first_then_the_rest(iotda: Reader) -> None:
    """Nothing happens before the start, the few are done before the rest begins, and nobody is forgotten."""
    reader = iotda
    watching = "otaclient jobs watch"
    printed = reader.follow(PAGE, "A few first, then the rest", differs=(watching,), may_fail=(watching,))
    few, rest = ((reader.folder / name).read_text(encoding="utf-8").split() for name in ("few.txt", "rest.txt"))
    fleet = expected_of("iotda", devices=2000).expected_devices("iotda")
    old = {each.device_id for each in fleet if (each.product_id, each.firmware_version) == ("Bf68YMcq", "2.4.0")}
    assert set(few) | set(rest) == old
    assert len(few) + len(rest) == len(old)

    created, watched = printed[1].split(": started\n")
    assert re.search(r"^status +pending$", created, re.MULTILINE)
    assert re.search(r"^progress\.pending +5$", created, re.MULTILINE)
    (ended,) = re.findall(r"Z +([a-z ]+): 5 of 5 devices done \((.*)\)", watched)
    assert sum(map(int, re.findall(r"\d+", ended[1]))) == 5
    assert (ended[0] == "succeeded") == ("failed" not in ended[1])

    tasks = json.loads(
        reader.run(f"otaclient jobs tasks {reader.identifier} --backend iotda --format json 2>/dev/null")
    )
    assert sorted(task["device_id"] for task in tasks) == sorted(rest)
