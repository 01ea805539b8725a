"""The ``otaclient`` command. It needs the extra ``cli``; the library itself does not."""

import sys
from collections.abc import Sequence

__all__ = ["main"]

_EXTRA = frozenset({"cyclopts", "rich"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0 done, 1 failed, 2 usage, 3 scan uncertain, 130 interrupted, 143 told to end.

    Args:
        arguments: The words after ``otaclient``; those of the process unless given.
    """
    try:
        from otaclient.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(
            f"error: the command needs {error.name}, which is not installed: pip install 'otaclient[cli]'\n"
        )
        return 2
    except KeyboardInterrupt:  # what the command is made of takes a moment to load
        sys.stderr.write("interrupted\n")
        return 130
    return run(sys.argv[1:] if arguments is None else arguments)
