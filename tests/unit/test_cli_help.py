"""What every command says of itself, and of errors that are long."""

import pytest

from otaclient.errors import OutcomeUnknownError
from support.command_line import Run
from support.fake_backend import World

COMMANDS = [
    (),
    ("backends",),
    ("completion",),
    ("demo",),
    ("doctor",),
    ("emulator",),
    ("report",),
    ("devices",),
    *(("devices", name) for name in ("list", "show", "scan")),
    ("firmware",),
    *(("firmware", name) for name in ("list", "show", "upload", "download", "delete")),
    ("jobs",),
    *(
        ("jobs", name)
        for name in ("list", "show", "create", "start", "stop", "delete", "tasks", "cancel", "retry", "watch")
    ),
]


@pytest.mark.parametrize("words", COMMANDS)
def test_every_help_has_an_example_of_its_own_command(run: Run, words: tuple[str, ...]) -> None:
    """Help ends with a call that one can type, on lines that fit a narrow terminal."""
    result = run(*words, "--help")
    assert result.code == 0
    text = result.out.partition("Example")[2]
    assert f"  otaclient {' '.join(words)}" in text
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("words", COMMANDS)
def test_every_help_names_its_words_and_files(run: Run, words: tuple[str, ...]) -> None:
    """What may be left out has a name in the first line, too; and nobody reads of an option that is not there."""
    result = run(*words, "--help")
    assert "ARGS" not in result.out
    assert "[default: False]" not in result.out, "what is off unless it is given needs no word"
    assert result.out.startswith(f"Usage: otaclient {' '.join(words)}".rstrip())
    assert ("with --out," in result.out) is (words == ("devices", "scan"))


def test_no_command_is_forgotten(run: Run) -> None:
    """The list of commands above is complete."""
    for group in ("", "devices", "firmware", "jobs"):
        listed = run(*([group] if group else []), "--help").out
        for words in COMMANDS:
            if len(words) == (2 if group else 1) and (not group or words[0] == group):
                assert f"│ {words[-1]} " in listed
        count = sum(line.startswith("│ ") and line[2] not in " -" for line in listed.splitlines())
        assert count == sum(
            len(words) == (2 if group else 1) and (not group or words[0] == group) for words in COMMANDS
        )


def test_verbose_shows_long_errors_whole(run: Run, world: World) -> None:
    """A long answer of a vendor is cut, unless one wants all of it."""
    world.errors["jobs.start"] = error = OutcomeUnknownError("unclear: " + "x" * 500, status=500)
    assert str(error) not in run("jobs", "start", "j1").err
    assert run("jobs", "start", "j1").err.endswith("--verbose shows all\n")
    assert str(error) in run("jobs", "start", "j1", "--verbose").err
