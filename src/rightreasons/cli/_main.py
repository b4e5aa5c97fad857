"""The entry point: errors made on purpose become one line and exit code 2, never a traceback."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rightreasons.core._errors import RightReasonsError

_FAILED, _INTERRUPTED, _TERMINATED = 2, 130, 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    Args:
        arguments: words after the program's name; None: those of the process.
    """
    try:
        from rightreasons.recipes._extras import require

        require("cli", "typer", "rich")
        from rightreasons.cli._app import app

        with _termination_as_exit():
            code = app(args=None if arguments is None else list(arguments), standalone_mode=False)
            sys.stdout.flush()
    except RightReasonsError as error:
        return _fail(_laid_out(str(error)))
    except KeyboardInterrupt:
        return _stopped()
    except _Terminated:
        return _stopped(_TERMINATED)
    except OSError as error:  # of a disk or pipe that a command did not expect
        return _fail_of_system(error)
    except Exception as error:  # of typer's own: usage, --help, and interrupts it has translated
        return _of_typer(error)
    if code == _INTERRUPTED:  # typer has turned the interrupt into a code
        return _stopped()
    return code if isinstance(code, int) else 0


class _Terminated(SystemExit):
    """The process was asked to end."""


@contextmanager
def _termination_as_exit() -> Iterator[None]:
    """SIGTERM leaves as Ctrl-C does, through every clean-up, unless somebody else wants it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise _Terminated(_TERMINATED)

    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if before is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, before)


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


def _stopped(code: int = _INTERRUPTED) -> int:
    print("stopped; run the same command again to go on from here", file=sys.stderr)
    return code


def _fail_of_system(error: OSError) -> int:
    what = "standard output" if error.filename is None else error.filename
    try:
        sys.stdout.flush()
    except OSError:  # nor can the rest of it be written when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _fail(f"{what}: {error.strerror or error}.")


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return _FAILED
