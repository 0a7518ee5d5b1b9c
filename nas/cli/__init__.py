"""The command line: text in, one call to ``nas.api``, text or JSON out, exit codes. No decisions."""

from nas.cli.app import main

__all__ = ["main"]
