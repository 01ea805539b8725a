"""``otaclient completion``: what lets a shell complete commands, options and their values."""

from typing import Literal

from otaclient.cli.app import app
from otaclient.cli.sink import print_text

__all__ = ["completion"]


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print the script with which a shell completes this command; change nothing.

    Parameters
    ----------
    shell
        Whose language the script is in.
    """
    print_text(app.generate_completion(shell=shell))
