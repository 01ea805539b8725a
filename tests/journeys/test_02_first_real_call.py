"""Journey 2: a first real call, with settings from the environment and from a profile, and ``doctor``."""

from pathlib import Path

from support.reader import Reader, expected_of

PAGE = "docs/guides/first-call.md"


def test_first_real_call(clouds: Reader) -> None:
    """Settings are found and told apart, a secret is never printed, and what is wrong is said in one line."""
    reader = clouds
    reader.follow(PAGE, "Where to put it")
    assert "app_secret" in (reader.folder / "otaclient.toml").read_text(encoding="utf-8")
    right = dict(reader.environment)

    reader.follow(PAGE, "The first call in code")
    printed = reader.follow(PAGE, "Ask the doctor")
    for text in printed:
        assert "emulator-app-secret" not in text
        assert "not-the-secret" not in text
        assert "Traceback" not in text

    reader.environment = right
    a_profile_alone_is_enough(reader)


def a_profile_alone_is_enough(reader: Reader) -> None:
    """Move the settings of the environment into a profile, and call with nothing but its name."""
    names = [name for name in reader.environment if name.startswith("OTACLIENT_ENOS_")]
    settings = {name.removeprefix("OTACLIENT_ENOS_").lower(): reader.environment.pop(name) for name in names}
    lines = "".join(f'{name} = "{value}"\n' for name, value in settings.items())
    Path(reader.folder, "otaclient.toml").write_text(f"[plant-7.enos]\n{lines}", encoding="utf-8")
    printed = reader.run("otaclient devices list --backend enos --profile plant-7 --limit 3 --format csv 2>/dev/null")
    expected = list(expected_of("enos", devices=2000).expected_devices("enos"))[:3]
    assert [line.split(",")[1] for line in printed.splitlines()[1:]] == [device.device_id for device in expected]
