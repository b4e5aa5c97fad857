"""The entry point: errors made on purpose become one line and exit code 2, never a traceback."""

import sys
from collections.abc import Sequence

from rightreasons.core._errors import RightReasonsError

_FAILED, _INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    Args:
        arguments: words after the program's name; None: those of the process.
    """
    try:
        from rightreasons.recipes._extras import require

        require("cli", "typer", "rich")
        from rightreasons.cli._app import app

        code = app(args=None if arguments is None else list(arguments), standalone_mode=False)
    except RightReasonsError as error:
        return _fail(_laid_out(str(error)))
    except KeyboardInterrupt:
        return _stopped()
    except Exception as error:  # of typer's own: usage, --help, and interrupts it has translated
        return _of_typer(error)
    if code == _INTERRUPTED:  # typer has turned the interrupt into a code
        return _stopped()
    return code if isinstance(code, int) else 0


def _of_typer(error: Exception) -> int:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "Abort" in kinds:
        return _stopped()
    if "Exit" in kinds:
        return int(getattr(error, "exit_code", 0))
    if "ClickException" not in kinds:
        raise error
    message = str(getattr(error, "format_message", error.__str__)())
    if "NoArgsIsHelpError" in kinds:
        print(message, file=sys.stderr)
        return _FAILED
    return _fail(" ".join(message.split()) + " Try: rightreasons --help")


def _laid_out(message: str) -> str:
    """One line, unless the message holds lines to copy, which are indented."""
    return message if "\n  " in message else " ".join(message.split())


def _stopped() -> int:
    print("stopped; run the same command again to go on from here", file=sys.stderr)
    return _INTERRUPTED


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return _FAILED
