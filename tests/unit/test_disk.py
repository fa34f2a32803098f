"""Directories that one process has for itself."""

import pytest

from topology.disk import DirectoryBusyError, DiskError, broken, open_database, slot_directory


def test_processes_on_one_machine_get_directories_of_their_own(tmp_path):
    first, second = (slot_directory(tmp_path, "scheduler", None) for _ in range(2))
    courier = slot_directory(tmp_path, "courier", None)
    assert [s.path.name for s in (first, second, courier)] == ["scheduler-0", "scheduler-1", "courier-0"]
    for slot in (first, second, courier):
        slot.release()


def test_a_directory_that_was_let_go_is_the_next_ones(tmp_path):
    first, second = (slot_directory(tmp_path, "scheduler", None) for _ in range(2))
    first.release()
    again = slot_directory(tmp_path, "scheduler", None)
    assert again.path == first.path
    again.release()
    second.release()


def test_an_instance_has_its_directory_and_a_second_one_of_its_name_is_refused(tmp_path):
    slot = slot_directory(tmp_path, "scheduler", "blue")
    assert slot.path == tmp_path / "scheduler-blue"
    with pytest.raises(DirectoryBusyError, match="another scheduler of the instance 'blue'"):
        slot_directory(tmp_path, "scheduler", "blue")
    slot.release()


def test_a_database_that_failed_is_not_opened_again(tmp_path):
    open_database(tmp_path / "db").close()
    error = broken(tmp_path / "db", OSError("no space"))
    assert "no space" in str(error)
    with pytest.raises(DiskError, match="before"):
        open_database(tmp_path / "db")
