"""Settings: where each value may come from, which one wins, and what is said when one is missing or wrong."""

import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import ConfigurationError
from otaclient.profiles import default_folders
from otaclient.secret import Secret
from otaclient.settings import Setting, load_config, settings_of, variable_name


@attrs.frozen(kw_only=True)
class CloudConfig:
    """A configuration with one field of every type that settings can fill."""

    endpoint: str
    app_secret: Secret
    region: str | None = None
    retries: int = 3
    pause_seconds: float = 1.5
    derived: bool | None = None
    scheme: Literal["basic", "digest"] = "basic"
    nested: dict[str, str] | None = None
    cached: str = attrs.field(init=False, default="not a setting")

    def __attrs_post_init__(self) -> None:
        if "://" not in self.endpoint:
            raise ConfigurationError("endpoint has no scheme: begin it with https://")
        if self.retries < 0:
            raise ValueError("retries must not be negative")


@attrs.frozen(kw_only=True)
class LayeredConfig:
    """A configuration that is filled through a flat class of its own."""

    credentials: tuple[str, Secret]

    @attrs.frozen(kw_only=True)
    class Settings:
        """The flat half."""

        auth: str = "key"
        access_key: str | None = None
        token: Secret | None = None

        def to_config(self) -> "LayeredConfig":
            """Return the configuration that these settings choose."""
            if self.token is None:
                raise ConfigurationError(f"cloud: auth {self.auth!r} needs token")
            return LayeredConfig(credentials=(self.auth, self.token))


GOOD = {"OTACLIENT_CLOUD_ENDPOINT": "https://cloud.example", "OTACLIENT_CLOUD_APP_SECRET": "hunter2"}


@attrs.frozen(kw_only=True)
class Loader:
    """Loads the configuration of backend ``cloud`` from two folders of a test's own."""

    here: Path
    user: Path

    @property
    def folders(self) -> tuple[Path, Path]:
        """The folders in search order."""
        return self.here, self.user

    def write(self, text: str, *, folder: Path | None = None) -> Path:
        """Write a settings file and return its path."""
        path = (folder or self.here) / "otaclient.toml"
        path.write_text(text, encoding="utf-8")
        return path

    def load(
        self, environ: Mapping[str, str] | None = None, *, profile: str | None = None, **overrides: object
    ) -> CloudConfig:
        """Load from these folders and this environment alone."""
        return load_config(
            "cloud", CloudConfig, profile=profile, overrides=overrides, environ=environ or {}, folders=self.folders
        )

    def refused(self, environ: Mapping[str, str] | None = None, **options: object) -> str:
        """Return the one line that loading is refused with."""
        call: Callable[..., CloudConfig] = self.load
        with pytest.raises(ConfigurationError) as caught:
            call(environ, **options)
        message = str(caught.value)
        assert "\n" not in message
        assert "hunter2" not in message
        return message


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


def test_missing_settings_are_named_with_places_and_remedy(loader: Loader) -> None:
    """One line names every missing setting, its variable, the files with the table, and what to do."""
    path = loader.write('[default.enos]\nendpoint = "https://x.example"\n')
    message = loader.refused({"OTACLIENT_CLOUD_SECRET": "hunter2"})
    assert message.startswith("cloud: missing settings endpoint, app_secret")
    assert "OTACLIENT_CLOUD_ENDPOINT, OTACLIENT_CLOUD_APP_SECRET in the environment" in message
    assert "(set, but unknown: OTACLIENT_CLOUD_SECRET)" in message
    assert f"table [default.cloud] of {path} (which has for this profile: enos)" in message
    assert f"{loader.user / 'otaclient.toml'} (no such file)" in message
    assert "set the environment variables, or add them to that table" in message


def test_missing_setting_tells_of_a_file_without_the_profile(loader: Loader) -> None:
    """A file that lacks the profile is told apart from a file that is not there."""
    loader.write('[plant.cloud]\nregion = "x"\n')
    message = loader.refused({"OTACLIENT_CLOUD_ENDPOINT": "https://cloud.example"})
    assert "missing setting app_secret" in message
    assert "(no such profile there)" in message
    assert "set the environment variable, or add it to that table" in message


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_empty_values_are_refused(loader: Loader, blank: str) -> None:
    """An empty value is an error that names its place, also for an optional setting."""
    assert "the environment variable OTACLIENT_CLOUD_APP_SECRET is empty" in loader.refused(
        GOOD | {"OTACLIENT_CLOUD_APP_SECRET": blank}
    )
    assert "the argument region is empty" in loader.refused(GOOD, region=blank)
    path = loader.write(f"[default.cloud]\nregion = {blank!r}\n".replace("'", '"'))
    assert f"region in [default.cloud] of {path} is empty" in loader.refused(GOOD)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("endpoint = 5", "endpoint in [default.cloud] of {path} is of the type int, not text: put it in quotes"),
        (
            "app_secret = 12345",
            "app_secret in [default.cloud] of {path} is of the type int, not text: put it in quotes",
        ),
        ("retries = true", "retries in [default.cloud] of {path} is of the type bool, not a whole number"),
        ('retries = "3"', "retries in [default.cloud] of {path} must be a whole number"),
        ('derived = "true"', "derived in [default.cloud] of {path} must be true or false"),
        ('scheme = "kerberos"', "scheme in [default.cloud] of {path} is none of the known values: basic, digest"),
        ('nested = "x"', "nested in [default.cloud] of {path} cannot be read from text: pass a whole configuration"),
        ("nested = 5", "nested in [default.cloud] of {path} is of the type int, not one that can be read"),
        ('apsecret = "hunter2"', "unknown setting 'apsecret' in [default.cloud] of {path}; did you mean 'app_secret'?"),
        ('zzz = "hunter2"', "unknown setting 'zzz' in [default.cloud] of {path}; known: endpoint, app_secret, region"),
        ("cached = 1", "unknown setting 'cached'"),
    ],
)
def test_wrong_lines_of_a_file_are_refused(loader: Loader, line: str, complaint: str) -> None:
    """A value of the wrong type or an unknown key names the setting and the table, never the value."""
    path = loader.write(f"[default.cloud]\n{line}\n")
    assert complaint.format(path=path) in loader.refused(GOOD)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("RETRIES", "3.5", "the environment variable OTACLIENT_CLOUD_RETRIES must be a whole number"),
        ("PAUSE_SECONDS", "soon", "the environment variable OTACLIENT_CLOUD_PAUSE_SECONDS must be a number"),
        ("DERIVED", "maybe", "the environment variable OTACLIENT_CLOUD_DERIVED must be true or false"),
    ],
)
def test_wrong_text_in_the_environment_is_refused(loader: Loader, name: str, value: str, complaint: str) -> None:
    """Text that is not of the field's type names the variable."""
    assert complaint in loader.refused(GOOD | {f"OTACLIENT_CLOUD_{name}": value})


def test_arguments_of_any_type_pass_and_unknown_ones_are_refused(loader: Loader) -> None:
    """An argument that is no text is handed on as it is; an unknown one is named."""
    config = loader.load(GOOD, nested={"a": "b"}, retries=9, app_secret=Secret("other"), derived="off")
    assert (config.nested, config.retries, config.derived) == ({"a": "b"}, 9, False)
    assert config.app_secret == Secret("other")
    assert "unknown setting 'secret' in the arguments for cloud" in loader.refused(GOOD, secret="x")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('endpoint = "x"', "'endpoint' stands outside any profile: put it under a table such as [default.cloud]"),
        ('[default]\nendpoint = "x"', "'endpoint' in [default] belongs to no backend: put it under a table such as"),
        ("[default.cloud\n", "is not valid TOML:"),
        ("[default.cloud]\nendpoint = https", "line 2"),
    ],
)
def test_malformed_files_name_the_file_and_the_place(loader: Loader, text: str, complaint: str) -> None:
    """A file that is no TOML, or has another layout, is refused with its path."""
    path = loader.write(text)
    message = loader.refused(GOOD)
    assert str(path) in message
    assert complaint in message


def test_unreadable_files_are_refused(loader: Loader) -> None:
    """A file that cannot be read, or is no UTF-8, is an error and not as if it were missing."""
    path = loader.here / "otaclient.toml"
    path.write_bytes(b'[default.cloud]\nregion = "\xff"\n')
    assert f"{path}, line 2, is not UTF-8" in loader.refused(GOOD)
    path.unlink()
    path.mkdir()
    assert f"{path} cannot be read: Is a directory" in loader.refused(GOOD)


def test_a_folder_that_is_a_file_holds_no_settings(tmp_path: Path) -> None:
    """A configuration folder that is no folder is as good as none."""
    plain = tmp_path / "plain"
    plain.touch()
    config = load_config("cloud", CloudConfig, environ=GOOD, folders=[plain])
    assert config.endpoint == "https://cloud.example"


def test_unknown_profile_lists_the_known_ones(loader: Loader) -> None:
    """A profile that was asked for must exist, even when the environment has every setting."""
    assert "add a table [plant.<backend>] to one of them" in loader.refused(GOOD, profile="plant")
    loader.write('[north.cloud]\nregion = "x"\n')
    loader.write('[south.cloud]\nregion = "x"\n', folder=loader.user)
    message = loader.refused(GOOD | {"OTACLIENT_PROFILE": "plant"})
    assert "no profile 'plant' (asked for by OTACLIENT_PROFILE)" in message
    assert message.endswith("known profiles: north, south")


def test_empty_profile_names_are_refused(loader: Loader) -> None:
    """An empty profile name is an error rather than the default profile."""
    assert "the profile is an empty text" in loader.refused(GOOD, profile="")
    assert "OTACLIENT_PROFILE is empty" in loader.refused(GOOD | {"OTACLIENT_PROFILE": ""})


def test_a_configurations_own_complaint_gets_the_origin_of_the_setting(loader: Loader) -> None:
    """What the configuration class refuses is told with the place that the value came from."""
    message = loader.refused(GOOD | {"OTACLIENT_CLOUD_ENDPOINT": "cloud.example"})
    assert message == ("endpoint has no scheme: begin it with https:// (endpoint comes from OTACLIENT_CLOUD_ENDPOINT)")
    assert loader.refused(GOOD, retries=-1) == "cloud: retries must not be negative (retries comes from argument)"


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


def test_a_complaint_that_names_no_setting_stays_as_it_is(loader: Loader) -> None:
    """Nothing is added to a message that speaks of no setting."""

    @attrs.frozen(kw_only=True)
    class Picky:
        region: str | None = None

        def __attrs_post_init__(self) -> None:
            raise ConfigurationError("never good enough")

    with pytest.raises(ConfigurationError, match=r"^never good enough$"):
        load_config("cloud", Picky, environ={}, folders=loader.folders)


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
