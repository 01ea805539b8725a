"""A settings file with secrets that every user of the machine can read: a warning says so."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import otaclient
from otaclient.cli.failures import short_warnings
from otaclient.profiles import is_open_to_others
from support.settings_loader import Loader

pytestmark = pytest.mark.skipif(os.name != "posix", reason="elsewhere, modes do not tell who may read a file")

SECRETS = '[default.cloud]\nendpoint = "https://cloud.example"\napp_secret = "hunter2"\n'
NO_SECRETS = '[default.cloud]\nendpoint = "https://cloud.example"\n'
SECRET_VARIABLE = {"OTACLIENT_CLOUD_APP_SECRET": "hunter2"}


@pytest.fixture
def loader() -> Iterator[Loader]:
    """Return two folders that everybody may enter; pytest's own are private."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        here, user = folder / "here", folder / "user"
        for each in (here, user):
            each.mkdir()
            each.chmod(0o755)
        yield Loader(here=here, user=user)


def test_secrets_that_everybody_can_read_are_warned_of(loader: Loader) -> None:
    """The warning names the file and the command that mends it, not the secret, and blames the caller's line."""
    path = loader.write(SECRETS)
    path.chmod(0o644)
    with pytest.warns(otaclient.ReadableSecretsWarning) as caught:
        assert loader.load().endpoint == "https://cloud.example"
    (warning,) = caught
    assert str(warning.message) == (
        f"{path} holds secrets, and every user of this machine can read it: chmod 600 {path}"
    )
    assert not warning.filename.startswith(str(Path(otaclient.__file__).parent))


@pytest.mark.parametrize(
    ("text", "mode", "folder_mode"),
    [(SECRETS, 0o600, 0o755), (SECRETS, 0o640, 0o755), (SECRETS, 0o644, 0o700), (NO_SECRETS, 0o644, 0o755)],
    ids=["own", "group", "closed folder", "no secret"],
)
def test_what_is_safe_is_not_warned_of(loader: Loader, text: str, mode: int, folder_mode: int) -> None:
    """A closed folder protects what is in it; a group is somebody's choice."""
    loader.write(text).chmod(mode)
    loader.here.chmod(folder_mode)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loader.load(SECRET_VARIABLE).endpoint == "https://cloud.example"


def test_only_the_file_that_counts_is_looked_at(loader: Loader) -> None:
    """One table counts, whole: what is in the other file was not read for this backend."""
    loader.write(SECRETS).chmod(0o600)
    loader.write(SECRETS, folder=loader.user).chmod(0o644)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader.load()


def test_what_cannot_be_told_is_no_alarm(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is gone; and systems whose modes mean nothing."""
    path = loader.write(SECRETS)
    path.chmod(0o644)
    assert is_open_to_others(path)
    assert not is_open_to_others(loader.here / "gone.toml")
    monkeypatch.setattr("otaclient.profiles._MODES_TELL", False)
    assert not is_open_to_others(path)


def test_at_a_terminal_it_is_one_line(loader: Loader, capsys: pytest.CaptureFixture[str]) -> None:
    """As other warnings of this library are."""
    path = loader.write(SECRETS)
    path.chmod(0o644)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        with short_warnings():
            loader.load()
    assert capsys.readouterr().err == (
        f"warning: {path} holds secrets, and every user of this machine can read it: chmod 600 {path}\n"
    )
