"""PATCH takes `allow_past` beside the changes, as POST does beside the message."""

import pytest
from builders import NOON

from gateway.problems import ProblemError
from gateway.requests import read_changes
from schemas.message import Changes
from schemas.times import at, rfc3339

DUE = f'"due_at":"{rfc3339(NOON)}"'


@pytest.mark.parametrize(("given", "allowed"), [("", False), (',"allow_past":true', True)])
def test_allow_past_is_no_change_itself(given, allowed):
    wanted = read_changes(f"{{{DUE}{given}}}".encode())
    assert (wanted.changes(), wanted.allow_past) == (Changes(due_at=at(NOON)), allowed)


def test_allow_past_alone_changes_nothing():
    with pytest.raises(ProblemError, match="changes nothing"):
        read_changes(b'{"allow_past":true}')
