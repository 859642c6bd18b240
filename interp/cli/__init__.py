"""The command line. Nothing here imports torch before a command needs it, so that ``--help`` is instant."""

from interp.cli.commands.app import main

__all__ = ["main"]
