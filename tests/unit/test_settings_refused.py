"""Settings that are missing, wrong or unreadable: the error names the place and the remedy."""

from pathlib import Path
from traceback import walk_tb

import attrs
import pytest

from otaclient.errors import ConfigurationError
from otaclient.secret import Secret
from otaclient.settings import load_config
from support.settings_loader import GOOD, CloudConfig, Loader


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    """Two empty folders."""
    here, user = tmp_path / "here", tmp_path / "user"
    here.mkdir()
    user.mkdir()
    return Loader(here=here, user=user)


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
        (f"a = {'[' * 5000}", "it is nested too deeply"),
    ],
)
def test_malformed_files_name_the_file_and_the_place(loader: Loader, text: str, complaint: str) -> None:
    """A file that is no TOML, or has another layout, is refused with its path."""
    path = loader.write(text)
    message = loader.refused(GOOD)
    assert str(path) in message
    assert complaint in message


@pytest.mark.parametrize(
    "rest",
    [
        b"app_secret =",
        b'region = "\xff"',
        b"region = 5",
        b"unknown = 1",
        b"retries = -1",
        b"retries = 1\nretries = 2",
        b"pause_seconds = [1]\n",
    ],
)
def test_no_error_holds_what_was_read(loader: Loader, rest: bytes) -> None:
    """Neither the error, nor those behind it, nor the variables of their calls, which crash reporters collect."""
    content = b'[default.cloud]\nendpoint = "https://cloud.example"\napp_secret = "hunter2"\n' + rest
    (loader.here / "otaclient.toml").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_config("cloud", CloudConfig, environ={}, folders=loader.folders)
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in f"{error!r} {error} {vars(error)} {getattr(error, 'object', '')}"
        for frame, _line in walk_tb(error.__traceback__):
            is_ours = frame.f_code.co_name.startswith("test_")
            assert is_ours or "hunter2" not in repr(frame.f_locals), frame.f_code.co_qualname
        error = error.__cause__ or error.__context__


def test_unreadable_files_are_refused(loader: Loader) -> None:
    """A file that cannot be read, or is no UTF-8, is an error and not as if it were missing."""
    path = loader.here / "otaclient.toml"
    path.write_bytes(b'[default.cloud]\nregion = "\xff"\n')
    assert f"{path}, line 2, is not UTF-8" in loader.refused(GOOD)
    path.unlink()
    path.mkdir()
    assert f"{path} cannot be read: Is a directory" in loader.refused(GOOD)


def test_unknown_profile_lists_the_known_ones(loader: Loader) -> None:
    """A profile that was asked for must exist, even when the environment has every setting."""
    assert "add a table [plant.<backend>] to one of them" in loader.refused(GOOD, profile="plant")
    loader.write('[north.cloud]\nregion = "x"\n')
    loader.write('[south.cloud]\nregion = "x"\n', folder=loader.user)
    message = loader.refused(GOOD | {"OTACLIENT_PROFILE": "plant"})
    assert "no profile 'plant' (named by the environment variable OTACLIENT_PROFILE)" in message
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


def test_a_complaint_that_names_no_setting_stays_as_it_is(loader: Loader) -> None:
    """Nothing is added to a message that speaks of no setting."""

    @attrs.frozen(kw_only=True)
    class Picky:
        region: str | None = None

        def __attrs_post_init__(self) -> None:
            raise ConfigurationError("never good enough")

    with pytest.raises(ConfigurationError, match=r"^never good enough$"):
        load_config("cloud", Picky, environ={}, folders=loader.folders)
