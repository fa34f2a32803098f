"""As whom the embedded PostgreSQL runs: it refuses to run as root."""

import os
import pwd
import stat
from pathlib import Path
from typing import NamedTuple

UNPRIVILEGED = "nobody"


class ServerUser(NamedTuple):
    """Whom a child process becomes."""

    uid: int
    gid: int

    def give(self, path: Path) -> None:
        """Makes a file or directory theirs."""
        os.chown(path, self.uid, self.gid)


def server_user() -> ServerUser | None:
    """None for an ordinary user, who runs the server himself; for root a user without rights."""
    if os.geteuid() != 0:
        return None
    found = pwd.getpwnam(UNPRIVILEGED)
    return ServerUser(found.pw_uid, found.pw_gid)


def let_through(path: Path) -> None:
    """Root only: lets others pass through (not list) the directories above a path."""
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)
