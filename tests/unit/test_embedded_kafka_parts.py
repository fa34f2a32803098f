import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from topology import embedded_jars, embedded_kafka, embedded_process
from topology.embedded_config import broker_command, format_command, server_properties
from topology.embedded_errors import EmbeddedKafkaError


def parsed(properties: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in properties.splitlines())


def test_properties_listen_on_loopback_only_and_at_the_ports_given():
    properties = parsed(server_properties(port=9092, controller_port=9093, log_dir=Path("/data/log")))
    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert properties["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9092"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:9093"
    assert properties["log.dirs"] == "/data/log"


def test_properties_make_no_topic_by_accident_and_take_packs_of_the_largest_size():
    properties = parsed(server_properties(port=1, controller_port=2, log_dir=Path("/data")))
    assert properties["auto.create.topics.enable"] == "false"
    assert int(properties["message.max.bytes"]) >= 2 * 1024 * 1024
    assert "{" not in "".join(properties.values())


def test_the_first_format_writes_the_aot_cache_and_later_ones_read_it(tmp_path):
    aot = tmp_path / "kafka.aot"
    arguments = {"properties": tmp_path / "server.properties", "cluster_id": "id"}
    assert f"-XX:AOTCacheOutput={aot}" in format_command(Path("java"), [], aot, **arguments)
    aot.touch()
    assert f"-XX:AOTCache={aot}" in format_command(Path("java"), [], aot, **arguments)


def test_the_broker_command_ends_with_its_properties_file(tmp_path):
    jars = [Path("/m2/a.jar"), Path("/m2/b.jar")]
    command = broker_command(Path("java"), jars, tmp_path / "kafka.aot", properties=tmp_path / "server.properties")
    assert command[-4:] == ["-cp", "/m2/a.jar:/m2/b.jar", "kafka.Kafka", str(tmp_path / "server.properties")]


def test_a_cluster_id_is_one_that_kafka_takes():
    ids = {embedded_kafka.random_cluster_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(len(each) == 22 and not each.startswith("-") for each in ids)


def test_a_remembered_port_is_taken_again_when_free_and_left_when_not():
    port = embedded_process.free_port()
    assert embedded_process.free_port(port) == port
    with socket.create_server(("127.0.0.1", port)):
        assert embedded_process.free_port(port) != port


def test_a_nearly_full_disk_is_refused_with_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded_process.shutil, "disk_usage", lambda _: SimpleNamespace(free=5 << 20))
    with pytest.raises(EmbeddedKafkaError, match="5 MiB are free"):
        embedded_process.check_free_disk(tmp_path, "Kafka", EmbeddedKafkaError)


def test_a_directory_is_locked_once_and_free_again_when_closed(tmp_path):
    place = (tmp_path, "Kafka", EmbeddedKafkaError)
    with embedded_process.lock_directory(*place), pytest.raises(EmbeddedKafkaError, match="another instance"):
        embedded_process.lock_directory(*place)
    embedded_process.lock_directory(*place).close()


def test_jars_known_from_an_earlier_run_are_taken_without_asking_anyone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jar = tmp_path / "kafka.jar"
    jar.touch()
    embedded_jars.cache_file("classpath").write_text(str(jar))
    monkeypatch.setattr(embedded_jars, "_resolve", lambda: pytest.fail("asked Maven"))
    assert embedded_jars.kafka_classpath(lambda _: None) == [jar]


def test_jars_that_cannot_be_fetched_give_the_cause_and_a_remedy(tmp_path, monkeypatch):
    def unreachable():
        raise ConnectionError("no route to host")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(embedded_jars, "_resolve", unreachable)
    with pytest.raises(EmbeddedKafkaError, match="no route to host") as caught:
        embedded_jars.kafka_classpath(lambda _: None)
    assert "CLEPSYDRA_BROKERS" in caught.value.remedy


def test_half_a_jar_left_by_an_interrupted_download_is_fetched_again(tmp_path):
    jar = tmp_path / "kafka.jar"
    jar.write_bytes(b"PK half")

    class Artifact:
        def resolve(self):
            if not jar.exists():
                jar.write_bytes(b"PK\x05\x06" + bytes(18))  # the end record of an empty zip
            return jar

    assert embedded_jars._whole_jar(Artifact()).stat().st_size == 22
