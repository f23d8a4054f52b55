"""The unit for systemd: what it must say, and what systemd itself says about it where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import typer

from archiver.cli import cli
from archiver.core.duration import parse
from archiver.errors import ConfigError
from archiver.settings.models import Sync
from tests.support.commands import ROOT, environment

UNIT: Final = ROOT / "packaging" / "systemd" / "archiver.service"
PROGRAM: Final = "/opt/archiver/bin/archiver"
ANALYZE: Final = shutil.which("systemd-analyze")
#: Lines without which the service could do more than it must, or would be restarted or killed at the wrong time.
ESSENTIAL: Final = frozenset(
    {
        "AmbientCapabilities=",
        "CapabilityBoundingSet=",
        "DynamicUser=yes",
        "ExecReload=/bin/kill -HUP $MAINPID",
        f"ExecStart={PROGRAM} run",
        "KillMode=mixed",
        "LockPersonality=yes",
        "MemoryDenyWriteExecute=yes",
        "NoNewPrivileges=yes",
        "PrivateDevices=yes",
        "PrivateTmp=yes",
        "PrivateUsers=yes",
        "ProtectHome=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "ProtectSystem=strict",
        "Restart=always",
        f"RestartPreventExitStatus={ConfigError.exit_code}",
        "RestrictNamespaces=yes",
        "StateDirectory=archiver",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "UMask=0077",
    }
)
#: prctl's PR_SET_MDWE: what MemoryDenyWriteExecute= asks the kernel for. It is inherited by the program that follows.
DENY_WRITE_EXECUTE: Final = (
    "import ctypes, os, sys; refused = ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); "
    "sys.exit(77) if refused else os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


def lines() -> list[str]:
    """What the unit says, without comments."""
    return [line for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#")]


def values(key: str) -> list[str]:
    """All values of one key, in order."""
    return [line.removeprefix(f"{key}=") for line in lines() if line.startswith(f"{key}=")]


def test_it_can_do_no_more_than_it_must() -> None:
    assert sorted(ESSENTIAL - set(lines())) == []


def test_it_waits_longer_than_the_archiver_takes_to_stop() -> None:
    assert parse(values("TimeoutStopSec")[0]).as_timedelta() > Sync().shutdown_grace


def test_no_secret_stands_in_the_environment() -> None:
    """Any process of the machine's administrator could read it there; secrets come as credentials."""
    assert [name for value in values("Environment") for name in value.split() if "/" not in name] == [
        "PYTHONDONTWRITEBYTECODE=1"
    ]
    assert all(value.split(":")[1].startswith("/etc/archiver/secrets/") for value in values("LoadCredential"))
    assert values("LoadCredential")


def test_the_guide_names_the_credentials_that_it_has() -> None:
    """In the configuration that it shows, and in the commands by hand, which need the same."""
    guide = (ROOT / "docs" / "install.md").read_text()
    loaded = values("LoadCredential")
    assert set(re.findall(r"\$\{CREDENTIALS_DIRECTORY\}/(\w+)", guide)) <= {one.split(":")[0] for one in loaded}
    assert re.findall(r"-p LoadCredential=(\S+)", guide) == loaded


def test_its_commands_exist() -> None:
    started = [value.lstrip("-").split() for key in ("ExecStartPre", "ExecStart") for value in values(key)]
    assert [words[1:] for words in started] == [["db", "upgrade"], ["run"]]
    for program, *rest in started:
        assert program == PROGRAM
        command: object = typer.main.get_command(cli)
        while hasattr(command, "commands"):
            command = command.commands[rest.pop(0)]
        assert rest == []


def test_a_wrong_configuration_is_told_by_the_command_whose_exit_code_counts() -> None:
    """RestartPreventExitStatus= looks at ExecStart= alone: what comes before must not end the start."""
    assert [value for value in values("ExecStartPre") if not value.startswith("-")] == []


@pytest.mark.skipif(ANALYZE is None, reason="no systemd on this machine")
def test_systemd_understands_it(tmp_path: Path) -> None:
    """With a program that exists, for it looks for that too; and its exposure is at most 2 of 10."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(PROGRAM, "/bin/true"))
    for words in (["verify"], ["security", "--offline=yes", "--threshold=20", "--no-pager"]):
        done = subprocess.run([str(ANALYZE), *words, unit], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can refuse it")
def test_the_program_runs_without_memory_that_is_written_and_executed() -> None:
    """All of its libraries load so; `check` imports them."""
    program = [sys.executable, "-c", DENY_WRITE_EXECUTE]
    words = ["-m", "archiver", "--config", "config/compose/archiver.yaml", "check", "--offline"]
    given = {"DB_PASSWORD": "trial-one", "STORE_KEY_ID": "trial-two", "STORE_SECRET": "trial-three"}
    done = subprocess.run(
        [*program, *words], cwd=ROOT, env=environment(given), capture_output=True, text=True, check=False
    )
    if done.returncode == 77:
        pytest.skip("the kernel cannot refuse it (before Linux 6.3)")
    assert (done.returncode, done.stderr) == (0, "")
