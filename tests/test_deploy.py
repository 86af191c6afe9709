"""The deployment files start what exists, listen to nobody else, and hold no password."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from curate.configs.settings import load_settings
from curate.worker.supervisor import GRACE_SECONDS
from tests.test_docs import find, unknown_options

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "docs" / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
UNITS = {path.name: path.read_text() for path in sorted(DEPLOY.glob("*.service"))}


def is_curate(service: dict[str, Any]) -> bool:
    return str(service["image"]).startswith("curate")


def of_compose() -> list[tuple[str, list[str]]]:
    """The words behind `curate` of each service, and of its health check."""
    found = [
        (f"compose {name}", list(s["command"]))
        for name, s in SERVICES.items()
        if is_curate(s) and "command" in s
    ]
    checks = [
        (f"compose {n} health", s["healthcheck"]["test"])
        for n, s in SERVICES.items()
        if "healthcheck" in s
    ]
    return found + [(name, words[2:]) for name, words in checks if words[:2] == ["CMD", "curate"]]


def of_units() -> list[tuple[str, list[str]]]:
    lines = [
        (name, line)
        for name, text in UNITS.items()
        for line in re.findall(r"^ExecStart=(.*)$", text, re.M)
    ]
    return [(name, shlex.split(line.replace("%i", "cpu"))[1:]) for name, line in lines]


COMMANDS = of_compose() + of_units()


def test_all_that_is_meant_to_run_is_there() -> None:
    assert {words[0] for _, words in COMMANDS} == {"db", "worker", "flower", "metrics"}
    assert ["worker", "--check"] in [words for _, words in COMMANDS]
    assert len(UNITS) == 3


@pytest.mark.parametrize(
    ("where", "words"), COMMANDS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_commands_exist(where: str, words: list[str]) -> None:
    command, rest = find(words)
    assert command.name not in ("curate", "db")
    assert unknown_options(command, rest) == []


def test_batches_at_work_may_finish() -> None:
    graces = [
        int(s["stop_grace_period"].rstrip("s"))
        for s in SERVICES.values()
        if s.get("command", [""])[0] == "worker"
    ]
    graces += [int(n) for n in re.findall(r"TimeoutStopSec=(\d+)", UNITS["curate-worker@.service"])]
    assert len(graces) == 3
    assert min(graces) >= GRACE_SECONDS + 10
    assert "KillMode=mixed" in UNITS["curate-worker@.service"], (
        "the supervisor tells its workers itself"
    )


def test_ports_are_for_this_host_alone() -> None:
    ports = [port for s in SERVICES.values() for port in s.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any("--address" in text for text in UNITS.values())


def test_what_listens_beyond_its_container_has_a_login() -> None:
    for name, service in SERVICES.items():
        if "--address" in service.get("command", []):
            login = next(v for k, v in service["environment"].items() if k.endswith("_AUTH"))
            assert login.startswith("${"), name
            assert ":?" in login, "compose refuses to start without it"


def test_no_password_is_in_the_files() -> None:
    for path in (ROOT / "compose.yaml", ROOT / "Dockerfile", *DEPLOY.iterdir()):
        for found in re.findall(r"://[^\s/@]*:([^\s@]+)@", path.read_text()):
            assert found == "PASSWORD" or found.startswith("${"), f"{path.name}: {found}"


def test_settings_in_the_files_are_settings() -> None:
    lines = re.findall(r"^#?(\w+)=(.*)$", (DEPLOY / "curate.env").read_text(), re.M)
    assert load_settings(dict(lines)).log_format == "json"
    for service in SERVICES.values():
        if is_curate(service):
            load_settings(
                {k: v for k, v in service["environment"].items() if not k.endswith("_AUTH")}
            )


def test_the_image_gets_every_folder_of_the_package() -> None:
    copied = set(re.findall(r"^COPY (\w+) \w+$", (ROOT / "Dockerfile").read_text(), re.M))
    links = {
        path.readlink().name for path in (ROOT / "src" / "curate").iterdir() if path.is_symlink()
    }
    assert copied == links | {"src"}
    allowed = set(re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(), re.M))
    assert copied <= allowed | {"LICENSE"}


def test_alerts_use_metrics_that_exist() -> None:
    from curate.db.reports.overview import Overview
    from curate.worker.metrics import of_batches, of_rows, of_workers

    nothing = Overview({})
    families = [*of_rows(nothing), *of_batches(nothing, {}), *of_workers(nothing)]
    known = {f.name + s for f in families for s in ("", "_total", "_bucket")} | {
        "curate_database_up",
        "curate_broker_up",
    }
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"][0]["rules"]
    either = {"curate_clips", "curate_videos"}  # an alternative in a name is no name
    plain = [rule["expr"].replace("curate_(clips|videos)", " ".join(either)) for rule in rules]
    used = {name for expr in plain for name in re.findall(r"curate_\w+", expr)}
    assert used
    assert used <= known


# series over 45 minutes, and which alerts fire at the end
WAITING = [
    ({"curate_videos": 5}, {"CurateNoWorker", "CurateStalled"}),
    ({"curate_clips": 5}, {"CurateNoWorker", "CurateStalled"}),
    ({"curate_videos": 5, "curate_clips": 5, "curate_workers": 1}, {"CurateStalled"}),
    ({"curate_videos": 5, "curate_workers": 1, "curate_rows_finished_total": 1}, set()),
    ({"curate_videos": 5, "curate_clips": 5, "curate_dataset_running": 0}, set()),
    ({}, set()),
]
LABELS = {
    "curate_videos": 'dataset="d",stage="probe",status="active"',
    "curate_clips": 'dataset="d",stage="cut",status="active"',
    "curate_workers": 'queue="cpu",version="1"',
    "curate_rows_finished_total": 'dataset="d",stage="probe",outcome="ok"',
    "curate_dataset_running": 'dataset="d"',
}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool")
@pytest.mark.parametrize(("series", "fire"), WAITING)
def test_who_waits_in_vain_is_told(tmp_path: Path, series: dict[str, int], fire: set[str]) -> None:
    given = [
        {
            "series": f"{name}{{{LABELS[name]},instance='h'}}",
            "values": f"0+{n}x45" if "total" in name else f"{n}x45",
        }
        for name, n in ({"curate_dataset_running": 1} | series).items()
    ]
    rules = {
        r["alert"]: r
        for r in yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"][0]["rules"]
    }
    alerts = []
    for name in ("CurateNoWorker", "CurateStalled"):
        said = rules[name]["annotations"]["summary"].replace("{{ $labels.dataset }}", "d")
        labels = {"exp_labels": {"dataset": "d"} if name == "CurateStalled" else {}}
        found = [{**labels, "exp_annotations": {"summary": said}}] if name in fire else []
        alerts.append({"eval_time": "45m", "alertname": name, "exp_alerts": found})
    case = {"interval": "1m", "input_series": given, "alert_rule_test": alerts}
    asked = tmp_path / "test.yaml"
    asked.write_text(yaml.safe_dump({"rule_files": [str(DEPLOY / "alerts.yaml")], "tests": [case]}))
    done = subprocess.run(
        ["promtool", "test", "rules", str(asked)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_units_are_what_systemd_reads(tmp_path: Path) -> None:
    for name, text in UNITS.items():
        here = text.replace("/opt/curate/bin/curate", "/bin/true").replace("=curate\n", "=root\n")
        unit = tmp_path / name.replace("@", "@cpu")
        unit.write_text(here)
        done = subprocess.run(
            ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
        )
        ours = [line for line in done.stderr.splitlines() if str(unit) in line or unit.name in line]
        assert (done.returncode, ours) == (0, [])
