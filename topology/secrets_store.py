"""What `secret:NAME` stands for: from the environment, else from a directory with one file for each. Never kept, never shown."""

import os
import re
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9_]{1,100}")
FILE_BYTES_MAX = 64 * 1024


class Secrets:
    """Looked up at each use, so that a file that is replaced holds at once. A file is read again only when it changed."""

    def __init__(self, directory: Path | None) -> None:
        """`directory`: as Docker and Kubernetes mount secrets."""
        self._directory = directory
        self._read: dict[str, tuple[tuple[int, int], str]] = {}

    def __call__(self, name: str) -> str | None:
        """The value of `CLEPSYDRA_SECRET_<name>`, else of the file `<name>`; None where there is neither."""
        if not NAME.fullmatch(name):
            return None  # no name leads out of the directory
        found = os.environ.get(f"CLEPSYDRA_SECRET_{name}")
        return found if found is not None or self._directory is None else self._of_file(self._directory / name)

    def _of_file(self, path: Path) -> str | None:
        try:
            stat = path.stat()
            changed = (stat.st_mtime_ns, stat.st_ino)
            known = self._read.get(path.name)
            if known is None or known[0] != changed:
                if stat.st_size > FILE_BYTES_MAX:
                    return None
                known = self._read[path.name] = (changed, path.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError):
            return None
        return known[1]
