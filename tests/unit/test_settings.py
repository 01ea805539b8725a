"""Settings: where each value may come from, and which one wins."""

import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import ConfigurationError
from otaclient.profiles import default_folders
from otaclient.secret import Secret
from otaclient.settings import Setting, load_config, settings_of, variable_name
from support.settings_loader import GOOD, CloudConfig, LayeredConfig, Loader


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    """Two empty folders."""
    here, user = tmp_path / "here", tmp_path / "user"
    here.mkdir()
    user.mkdir()
    return Loader(here=here, user=user)


def test_environment_fills_fields_by_name(loader: Loader) -> None:
    """``OTACLIENT_<NAME>_<FIELD>`` sets a field, converted to its type."""
    config = loader.load(
        GOOD
        | {
            "OTACLIENT_CLOUD_REGION": "north",
            "OTACLIENT_CLOUD_RETRIES": "7",
            "OTACLIENT_CLOUD_PAUSE_SECONDS": "0.25",
            "OTACLIENT_CLOUD_DERIVED": "Yes",
            "OTACLIENT_CLOUD_SCHEME": "digest",
        }
    )
    assert config.endpoint == "https://cloud.example"
    assert config.app_secret == Secret("hunter2")
    assert (config.region, config.retries, config.pause_seconds, config.derived, config.scheme) == (
        "north",
        7,
        0.25,
        True,
        "digest",
    )


def test_file_fills_fields_and_later_sources_win(loader: Loader) -> None:
    """Arguments win over the environment, which wins over the file."""
    loader.write(
        '[default.cloud]\nendpoint = "https://file.example"\napp_secret = "hunter2"\nregion = "file"\n'
        "retries = 1\npause_seconds = 2\nderived = false\n"
    )
    environ = {"OTACLIENT_CLOUD_REGION": "environment", "OTACLIENT_CLOUD_RETRIES": "2"}
    config = loader.load(environ, region="argument", scheme=None)
    assert config.endpoint == "https://file.example"
    assert (config.region, config.retries, config.pause_seconds, config.derived) == ("argument", 2, 2.0, False)


def test_a_mark_at_the_beginning_of_a_file_is_skipped(loader: Loader) -> None:
    """Editors on Windows write one."""
    loader.write('\ufeff[default.cloud]\nregion = "east"\n')
    assert loader.load(GOOD).region == "east"


def test_the_nearer_table_counts_whole(loader: Loader) -> None:
    """The current folder's table hides the user's: two files never mix."""
    loader.write('[default.cloud]\nendpoint = "https://here.example"\n')
    loader.write('[default.cloud]\napp_secret = "hunter2"\n', folder=loader.user)
    message = loader.refused()
    assert "missing setting app_secret" in message
    loader.write('[other.cloud]\nendpoint = "https://here.example"\n')
    assert "missing setting endpoint" in loader.refused()


def test_users_file_counts_where_the_current_folder_says_nothing(loader: Loader) -> None:
    """Without a table in the current folder, the user's own is read."""
    loader.write('[default.cloud]\nendpoint = "https://user.example"\napp_secret = "hunter2"\n', folder=loader.user)
    loader.write('[default.elsewhere]\nregion = "x"\n')
    assert loader.load().endpoint == "https://user.example"


@pytest.mark.parametrize("by_argument", [True, False])
def test_profile_is_chosen_by_argument_or_environment(loader: Loader, by_argument: bool) -> None:
    """A profile comes from the caller, else from ``OTACLIENT_PROFILE``; it inherits nothing."""
    loader.write(
        '[default.cloud]\nregion = "ignored"\n["plant 7".cloud]\nendpoint = "https://seven.example"\napp_secret = "x"\n'
    )
    environ = {"OTACLIENT_PROFILE": "nowhere" if by_argument else "plant 7"}
    config = loader.load(environ, profile="plant 7" if by_argument else None)
    assert config.endpoint == "https://seven.example"
    assert config.region is None


def test_a_folder_that_is_a_file_holds_no_settings(tmp_path: Path) -> None:
    """A configuration folder that is no folder is as good as none."""
    plain = tmp_path / "plain"
    plain.touch()
    config = load_config("cloud", CloudConfig, environ=GOOD, folders=[plain])
    assert config.endpoint == "https://cloud.example"


def test_flat_settings_build_a_layered_configuration(loader: Loader) -> None:
    """A nested ``Settings`` class is filled in the configuration's stead and builds it."""
    environ = {"OTACLIENT_CLOUD_TOKEN": "hunter2"}
    config = load_config("cloud", LayeredConfig, environ=environ, folders=loader.folders)
    assert config.credentials == ("key", Secret("hunter2"))
    with pytest.raises(ConfigurationError) as caught:
        load_config("cloud", LayeredConfig, environ={}, folders=loader.folders)
    assert "needs token (looked for OTACLIENT_CLOUD_TOKEN in the environment and for table [default.cloud] of" in str(
        caught.value
    )


def test_settings_can_be_listed_without_values(loader: Loader) -> None:
    """The list tells names, variables and places, and holds no value."""
    path = loader.write('[default.cloud]\nregion = "hunter2"\n')
    listed = settings_of(
        "cloud", CloudConfig, environ={"OTACLIENT_CLOUD_APP_SECRET": "hunter2"}, folders=loader.folders
    )
    assert listed[:3] == (
        Setting(name="endpoint", variable="OTACLIENT_CLOUD_ENDPOINT", secret=False, required=True, source=None),
        Setting(
            name="app_secret",
            variable="OTACLIENT_CLOUD_APP_SECRET",
            secret=True,
            required=True,
            source="OTACLIENT_CLOUD_APP_SECRET",
        ),
        Setting(
            name="region",
            variable="OTACLIENT_CLOUD_REGION",
            secret=False,
            required=False,
            source=f"[default.cloud] of {path}",
        ),
    )
    assert "hunter2" not in repr(listed)


def test_variable_names_hold_no_hyphen() -> None:
    """A backend with a hyphen in its name still has variables that a shell can set."""
    assert variable_name("my-cloud", "org_id") == "OTACLIENT_MY_CLOUD_ORG_ID"


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {"HOME": "/home/ada"}, "/home/ada/.config/otaclient"),
        ("linux", {"HOME": "/home/ada", "XDG_CONFIG_HOME": "/etc/ada"}, "/etc/ada/otaclient"),
        ("linux", {"HOME": "/home/ada", "XDG_CONFIG_HOME": "relative"}, "/home/ada/.config/otaclient"),
        ("linux", {}, None),
        ("darwin", {"HOME": "/Users/ada"}, "/Users/ada/Library/Application Support/otaclient"),
        ("win32", {"LOCALAPPDATA": "/ada/Local"}, "/ada/Local/otaclient"),
        ("win32", {}, None),
    ],
)
def test_users_folder_follows_the_platform(
    monkeypatch: pytest.MonkeyPatch, platform: str, environ: dict[str, str], expected: str | None
) -> None:
    """The user's folder is the platform's; where there is no home, only the current folder is searched."""
    monkeypatch.setattr(sys, "platform", platform)
    for name in ("HOME", "XDG_CONFIG_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert default_folders() == ((Path(), Path(expected)) if expected else (Path(),))


def test_process_environment_and_current_folder_are_the_defaults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without arguments the process's environment and the current folder's file are read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.delenv("OTACLIENT_PROFILE", raising=False)
    monkeypatch.setenv("OTACLIENT_CLOUD_ENDPOINT", "https://cloud.example")
    with pytest.raises(ConfigurationError, match=r"of \./otaclient.toml \(no such file\) and"):
        load_config("cloud", CloudConfig)
    (tmp_path / "otaclient.toml").write_text('[default.cloud]\napp_secret = "x"\n', encoding="utf-8")
    assert load_config("cloud", CloudConfig).app_secret == Secret("x")


@given(name=st.text(min_size=1, max_size=12))
def test_any_profile_name_is_written_as_toml_reads_it(name: str) -> None:
    """The table header that a message proposes is one line, and is that profile's when pasted into a file."""
    with pytest.raises(ConfigurationError) as caught:
        load_config("cloud", CloudConfig, profile=name, environ={}, folders=[])
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    header = message.partition("add a table ")[2].partition(" to one of them")[0].replace("<backend>", "cloud")
    assert tomllib.loads(header) == {name: {"cloud": {}}}
