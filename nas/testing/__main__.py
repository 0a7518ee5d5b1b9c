"""``python -m nas.testing FILE.py...``: the contract tests over plug-ins. Exit code 1 if something is broken."""

from __future__ import annotations

import sys

from nas.errors import PluginError
from nas.testing.plugins import check_plugin


def main(sources: list[str]) -> int:
    """Check each plug-in, a line for each thing that it registers; the exit code."""
    if not sources or sources[0].startswith("-"):
        print("Say which: python -m nas.testing FILE.py (or the name of a module).", file=sys.stderr)
        return 2
    code = 0
    for source in sources:
        try:
            check_plugin(source, tell=print)
        except AssertionError as error:
            code = 1
            if "registers nothing" in str(error):
                print(error)
        except PluginError as error:
            print(error, file=sys.stderr)
            return 2
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
