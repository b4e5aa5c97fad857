"""Read untrusted text files."""

from pathlib import Path

from rightreasons.core.files._reading import require_file


def text_of(path: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Raises: OSError if it cannot be read, or is a folder, a pipe (which nobody may ever write to) or a device;
        ValueError (such as UnicodeDecodeError) for a path that cannot be, and bytes that are no text.
    """
    require_file(path)
    return path.read_text(encoding="utf-8-sig")
