"""Alert rules, judged by promtool: each fires for its fault and for nothing else. Skipped without promtool."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from gateway.metrics import GatewayMetrics
from schemas.outcomes import Delivered
from schemas.times import at
from schemas.window_records import OwnerRecord
from topology.watches import CourierMetrics, OwnerMetrics, StandingMetrics

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
PROMTOOL = shutil.which("promtool")
pytestmark = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (Debian: apt-get install prometheus)"
)

STILL = {
    'clepsydra_owned_partitions{instance="a"}': "4x60",
    'clepsydra_partitions{instance="a"}': "4x60",
    'clepsydra_lease_held{instance="a"}': "1x60",
    'clepsydra_waiting{channel="webhook"}': "0x60",
    'clepsydra_stands_still{topic="acks",instance="a"}': "0x60",
    'clepsydra_emitted_again_total{instance="a"}': "7x60",
    'clepsydra_dead_letters_total{channel="webhook"}': "0+0x60",
    'clepsydra_messages_total{event="missed",channel=""}': "3x60",
    'clepsydra_partition_lag{topic="clepsydra.events"}': "9x60",
    'clepsydra_zombie_writes_total{instance="a"}': "1x60",
    'up{job="clepsydra",instance="a"}': "1x60",
    'clepsydra_lateness_seconds_bucket{channel="webhook",le="0.1"}': "0+500x60",
    'clepsydra_lateness_seconds_bucket{channel="webhook",le="10.0"}': "0+500x60",
    'clepsydra_lateness_seconds_bucket{channel="webhook",le="+Inf"}': "0+500x60",
}
"""Sixty minutes in which all is well."""
FAULTS = {
    "ClepsydraLate": {'clepsydra_lateness_seconds_bucket{channel="webhook",le="0.1"}': "0+450x60"},  # a tenth is later
    "ClepsydraWaiting": {'clepsydra_waiting{channel="webhook"}': "900x60"},
    "ClepsydraStandsStill": {'clepsydra_stands_still{topic="acks",instance="a"}': "1x60"},
    "ClepsydraUnacked": {'clepsydra_emitted_again_total{instance="a"}': "7x50 8x10"},
    "ClepsydraDeadLetters": {'clepsydra_dead_letters_total{channel="webhook"}': "0+1x60"},  # 15 in 15 minutes
    "ClepsydraOccurrenceMissed": {'clepsydra_messages_total{event="missed",channel=""}': "3x50 4x10"},
    "ClepsydraPartitionWithoutOwner": {'clepsydra_owned_partitions{instance="a"}': "3x60"},
    "ClepsydraPartitionOwnedTwice": {'clepsydra_owned_partitions{instance="a"}': "5x60"},
    "ClepsydraLeaseLost": {'clepsydra_lease_held{instance="a"}': "0x60"},
    "ClepsydraArchiveBehind": {'clepsydra_partition_lag{topic="clepsydra.events"}': "20000x60"},
    "ClepsydraZombieWrites": {'clepsydra_zombie_writes_total{instance="a"}': "1x50 2x10"},
    "ClepsydraDown": {'up{job="clepsydra",instance="a"}': "0x60"},
}


def promtool(*arguments, given=None):
    return subprocess.run([PROMTOOL, *map(str, arguments)], input=given, capture_output=True, timeout=60, check=False)


def firing(tmp_path, series):
    """The alerts that fire at the end of the hour, by what promtool says it got."""
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "alert_rule_test": [{"eval_time": "58m", "alertname": name, "exp_alerts": []}],
        }
        for name in FAULTS
    ]
    file = tmp_path / "tests.yml"
    file.write_text(
        json.dumps({"rule_files": [str(DEPLOY / "alerts.yml")], "evaluation_interval": "1m", "tests": tests})
    )
    said = promtool("test", "rules", file)
    return {name for name in FAULTS if f"alertname: {name}," in (said.stdout + said.stderr).decode()}


def test_config_and_rules_are_fit():
    for what, name in (("config", "prometheus.yml"), ("rules", "alerts.yml")):
        said = promtool("check", what, DEPLOY / name)
        assert said.returncode == 0, said.stderr.decode()


def test_every_alert_has_a_fault_here_and_a_paragraph_in_the_operations_manual():
    rules = (DEPLOY / "alerts.yml").read_text()
    manual = (DEPLOY.parents[1] / "docs" / "operations.md").read_text()
    names = [line.split()[-1] for line in rules.splitlines() if "alert: " in line]
    assert sorted(names) == sorted(FAULTS)
    assert [name for name in names if f"`{name}`" not in manual] == []


def test_where_all_is_well_nothing_fires(tmp_path):
    assert firing(tmp_path, STILL) == set()


@pytest.mark.parametrize("alert", FAULTS)
def test_an_alert_fires_for_its_fault_and_no_other_does(tmp_path, alert):
    assert firing(tmp_path, STILL | FAULTS[alert]) == {alert}


def test_where_no_scheduler_is_left_to_be_asked_its_partitions_have_no_owner(tmp_path):
    """Couriers still say how many partitions there are; nobody says that he owns one."""
    gone = {'clepsydra_owned_partitions{instance="a"}': "4x30 stale"}
    assert firing(tmp_path, STILL | gone) == {"ClepsydraPartitionWithoutOwner"}


def test_what_an_alert_counts_is_exposed_before_the_first_one_happens():
    """Of a series that begins with 1, Prometheus sees no increase."""
    registry = CollectorRegistry()
    OwnerMetrics(registry, ["log"])
    CourierMetrics(registry, ["log"])
    StandingMetrics(registry, None, 4)
    lines = generate_latest(registry).decode().splitlines()
    for line in (
        'clepsydra_dead_letters_total{channel="log"} 0.0', 'clepsydra_messages_total{channel="",event="missed"} 0.0',
        'clepsydra_lateness_seconds_bucket{channel="log",le="+Inf"} 0.0', "clepsydra_emitted_again_total 0.0",
        "clepsydra_zombie_writes_total 0.0", "clepsydra_owned_partitions 0.0",
    ):  # fmt: skip
        assert line in lines, line
    assert not any(line.startswith("clepsydra_lease_held ") for line in lines), "who needs no lease loses none"


def test_the_grafana_board_asks_for_metrics_that_there_are(tmp_path):
    board = json.loads((DEPLOY.parent / "grafana" / "dashboards" / "clepsydra.json").read_text())
    asked = {name for p in board["panels"] for t in p["targets"] for name in re.findall(r"clepsydra_\w+", t["expr"])}
    registry = CollectorRegistry()
    OwnerMetrics(registry)
    StandingMetrics(registry, lambda: True, 1)
    couriers, gateway = CourierMetrics(registry), GatewayMetrics(lambda: 0)
    couriers.delivered("log", Delivered(), 40)
    exposed = (generate_latest(registry) + gateway.exposition()[0]).decode()
    known = set(re.findall(r"^# TYPE (clepsydra_\w+)", exposed, re.MULTILINE))
    assert {name for name in asked if name not in known and name.removesuffix("_bucket") not in known} == set()


def test_what_workers_expose_is_as_prometheus_wants_it():
    registry = CollectorRegistry()
    owners, couriers = OwnerMetrics(registry), CourierMetrics(registry)
    StandingMetrics(registry, lambda: True, 4).lags = {"acks": 3}
    owners.owner(
        OwnerRecord(partition=0, owner="a", epoch=1, since=at(0), at=at(0), pending={"1m": 2}, in_flight={"log": 1})
    )
    owners.decided("dead", "log", 2)
    couriers.delivered("log", Delivered(), 40)
    exposed = generate_latest(registry)
    said = promtool("check", "metrics", given=exposed)
    assert said.returncode == 0, (said.stdout + said.stderr).decode()
    for line in (
        b'clepsydra_pending{window="1m"} 2.0', b'clepsydra_in_flight{channel="log"} 1.0', b"clepsydra_owned_partitions 1.0",
        b'clepsydra_dead_letters_total{channel="log"} 2.0', b'clepsydra_deliveries_total{channel="log",outcome="delivered"} 1.0',
        b'clepsydra_lateness_seconds_bucket{channel="log",le="0.05"} 1.0', b'clepsydra_partition_lag{topic="acks"} 3.0',
        b"clepsydra_lease_held 1.0", b"clepsydra_held_rows 0.0", b"clepsydra_zombie_writes_total 0.0",
    ):  # fmt: skip
        assert line in exposed.splitlines(), line
