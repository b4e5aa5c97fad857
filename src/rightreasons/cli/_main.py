"""Entry point of the command line; errors become one line and an exit code."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from rightreasons.core._errors import RightReasonsError

_FAILED, _INTERRUPTED, _TERMINATED = 2, 130, 143
_CLOSE = 0.75  # of two names; that of --epochs and --report is .63


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 2 after an error, 130 after Ctrl-C, 143 after SIGTERM.

    Args:
        arguments: words after the program's name; None: those of the process.
    """
    asked: list[int] = []
    try:
        from rightreasons.core._extras import require

        require("cli", "typer", "rich")
        from rightreasons.cli._app import app

        given = None if arguments is None else list(arguments)
        with _termination_as_exit(asked):
            code = app(args=given, prog_name="rightreasons", standalone_mode=False)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return _stopped()
    except (Exception, _Terminated) as error:
        return _stopped(_TERMINATED) if asked else _code_of(error)
    if code == _INTERRUPTED:  # typer has turned the interrupt into a code
        return _stopped()
    return code if isinstance(code, int) else 0


class _Terminated(SystemExit):
    """The process was asked to end."""


@contextmanager
def _termination_as_exit(asked: list[int]) -> Iterator[None]:
    """SIGTERM leaves as Ctrl-C does, through every clean-up, unless somebody else wants it.

    Args:
        asked: becomes true when it came, since what is left may be another exception by then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> None:
        asked.append(number)
        raise _Terminated(_TERMINATED)

    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if before is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, before)


def _code_of(error: BaseException) -> int:
    """Errors made on purpose, of the system and of typer become a line; any other goes on."""
    if isinstance(error, RightReasonsError):
        return _fail(_laid_out(str(error)))
    if isinstance(error, OSError):  # of a disk or pipe that a command did not expect
        return _fail_of_system(error)
    return _of_typer(error)


def _of_typer(error: BaseException) -> int:
    """Usage, --help, and interrupts that typer has translated."""
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
    command = getattr(getattr(error, "ctx", None), "command_path", "rightreasons")
    if "NoSuchOption" in kinds:
        message = _no_option(str(getattr(error, "option_name", "")), getattr(error, "ctx", None))
    return _fail(f"{' '.join(message.split())} Try: {command} --help")


def _no_option(name: str, context: Any) -> str:
    """What was meant: an option of the command, or a key of the recipe."""
    options = [each for parameter in context.command.params for each in parameter.opts] if context else []
    close = get_close_matches(name, options, n=1, cutoff=_CLOSE)
    if close:
        return f"No such option: {name}. Did you mean {close[0]}?"
    if context and context.command.name == "train":
        from rightreasons.recipes._override import key_called

        key = key_called(name.strip("-").replace("-", "_"))
        if key:
            return f"No such option: {name}. It is said in the recipe; for one run: --set {key}=VALUE."
    return f"No such option: {name}."


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
