"""The command line, from its first moment to one of the documented exit codes.

What it imports itself is little, so that a signal finds its answer before the commands and their
libraries are loaded.
"""

from __future__ import annotations

import sys

INTERRUPTED = 130

try:
    from airtune.commands import signals
except KeyboardInterrupt:  # before it can be answered as it is from then on
    print("airtune: interrupted; what is finished is saved", file=sys.stderr)
    raise SystemExit(INTERRUPTED) from None


def main() -> None:
    """Run the command line; the process ends with one of the documented exit codes."""
    signals.quit_at_once()
    signals.leave_the_end_alone()
    code = INTERRUPTED
    try:
        code = _ended()
        signals.quit_at_once()
    except KeyboardInterrupt:  # a second signal, while the first was told
        signals.quit_at_once()
    sys.exit(code)


def _ended() -> int:
    from airtune.commands import streams

    streams.settle()
    from airtune.commands.calling import call

    return call()


if __name__ == "__main__":
    main()
