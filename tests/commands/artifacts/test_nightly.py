"""The script of cron and systemd, with a command in the place of evalmatrix; the line itself."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.exports import cluster_suite

Exporting = Callable[..., Path]

pytestmark = pytest.mark.skipif(shutil.which("flock") is None, reason="flock is of util-linux")


class Night:
    """A script as exported, where `evalmatrix` notes its calls and ends as it is told."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.home = folder, home
        self.command = home / "evalmatrix"
        self.command.write_text(
            "#!/bin/sh\n"
            'echo "$@" >>calls; n=$(wc -l <calls); told=$(sed -n "${n}p" codes)\n'
            'echo "what the run says"\n'
            'case $told in wait) exec sleep 60 ;; kill) kill -9 $$ ;; *) exit "$told" ;; esac\n'
        )
        self.command.chmod(0o755)

    def codes(self, *codes: object) -> None:
        (self.home / "calls").unlink(missing_ok=True)
        (self.home / "codes").write_text("".join(f"{code}\n" for code in codes))

    @property
    def calls(self) -> list[str]:
        calls = self.home / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    @property
    def ids(self) -> list[str]:
        return [re.search(r"--run-id (\S+)", call)[1] for call in self.calls]  # type: ignore[index]

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "EVALMATRIX": str(self.command), "RETRY_SECONDS": "0"}

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """By cron's own line, as cron calls it: by sh, from another folder."""
        crontab = (self.folder / "crontab").read_text().splitlines()
        (line,) = (line for line in crontab if not re.match(r"#|\w+=", line))
        command = line.split(maxsplit=5)[5]
        return subprocess.Popen(
            ["/bin/sh", "-c", " ".join([command, *arguments])], cwd="/", text=True,
            env={**self.environment, **variables}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: str, **variables: str) -> tuple[int, str]:
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=60)
        assert out == "", "cron mails what it says: nothing where all is well"
        return process.returncode, err

    def wait_for_calls(self, number: int) -> None:
        deadline = time.monotonic() + 30
        while len(self.calls) < number:
            assert time.monotonic() < deadline, self.calls
            time.sleep(0.02)


@pytest.fixture
def night(exporting: Exporting, home: Path, tmp_path: Path) -> Night:
    suite = cluster_suite(store="./store")
    return Night(exporting("cron", suite, out=tmp_path / "the night's ops".replace("'", "")), home)


def test_a_gate_that_passed_says_nothing(night: Night) -> None:
    night.codes(0)
    assert night.run() == (0, "")
    (call,) = night.calls
    assert re.fullmatch(r"run claims\.yml --run-id claims-\d{8}T\d{6}", call)
    log = (night.folder / "logs" / "claims.log").read_text()
    assert "what the run says" in log and "the gate passed (exit code 0)" in log


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (1, "the gate failed"),
        (2, "the suite, an argument or an input is wrong"),
        (3, "something could not be evaluated"),
    ],
)
def test_what_stays_as_it_is_is_not_tried_again(code: int, meaning: str, night: Night) -> None:
    night.codes(code, 0)
    returned, said = night.run()
    assert (returned, len(night.calls)) == (code, 1)
    assert said.startswith(f"claims: {meaning}")
    assert f"report: store/reports/{night.ids[0]}/index.html" in said
    assert "what the run says" in said


@pytest.mark.parametrize("codes", [(4, 0), ("kill", 0), (4, "kill", 1)])
def test_the_machinery_is_tried_again_under_the_same_id(
    codes: tuple[object, ...], night: Night
) -> None:
    night.codes(*codes)
    returned, said = night.run()
    assert returned == codes[-1]
    assert (said == "") == (returned == 0)
    assert len(night.ids) == len(codes) and len(set(night.ids)) == 1


def test_the_machinery_is_tried_so_often_and_no_more(night: Night) -> None:
    night.codes(4, 4, 4, 0)
    returned, said = night.run()
    assert (returned, len(night.calls)) == (4, 3)
    assert "the machinery failed" in said
    # The next start of the day goes on with it; one that has ended leaves nothing to go on with.
    assert night.run()[0] == 0
    assert len(set(night.ids)) == 1
    night.codes(4, 4)
    assert night.run(TRIES="2")[0] == 4


def test_a_run_of_yesterday_is_not_gone_on_with(night: Night) -> None:
    night.codes(0)
    (night.folder / "logs").mkdir()
    (night.folder / "logs" / "claims.begun").write_text("claims-20200101T030000\n")
    assert night.run()[0] == 0
    assert night.ids != ["claims-20200101T030000"]
    night.codes(0)
    night.run("mine-7")
    assert night.ids == ["mine-7"]


def test_two_at_once_are_one_run_and_stopping_it_is_told(night: Night) -> None:
    night.codes("wait", 0)
    with night.start() as first:
        night.wait_for_calls(1)
        returned, said = night.run()
        assert returned == 75
        assert said == "claims: another run is going on (exit code 75); nothing was done\n"
        os.killpg(first.pid, signal.SIGTERM)
        _, told = first.communicate(timeout=30)
    assert (
        "claims: it was stopped; it goes on when it is started again today (exit code 143)" in told
    )
    assert night.run()[0] == 0
    assert len(night.ids) == 2 and len(set(night.ids)) == 1


def test_what_was_killed_goes_on_at_the_next_start(night: Night) -> None:
    night.codes("wait", 0)
    with night.start() as first:
        night.wait_for_calls(1)
        os.killpg(first.pid, signal.SIGKILL)
    assert night.run()[0] == 0
    assert len(night.ids) == 2 and len(set(night.ids)) == 1


def test_while_a_run_lives_on_without_its_script_no_second_begins(night: Night) -> None:
    night.codes("wait", 0)
    with night.start() as first:
        night.wait_for_calls(1)
        (script,) = children(first.pid)
        os.kill(script, signal.SIGKILL)
        assert night.run()[0] == 75
        os.killpg(first.pid, signal.SIGKILL)
    assert night.run()[0] == 0
    assert len(set(night.ids)) == 1


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_secrets_come_from_a_file_beside_it(night: Night) -> None:
    night.codes(0)
    night.command.write_text('#!/bin/sh\necho "$MLFLOW_TRACKING_PASSWORD" >secret\n')
    (night.folder / "claims.env").write_text("MLFLOW_TRACKING_PASSWORD='a b'\n")
    assert night.run() == (0, "")
    assert (night.home / "secret").read_text() == "a b\n"


def test_a_folder_for_logs_that_cannot_be_made(night: Night) -> None:
    returned, said = night.run(LOGS=str(night.folder / "crontab" / "logs"))
    assert returned == 4
    assert "logs" in said


@pytest.mark.parametrize("target", ["cron", "systemd"])
def test_both_have_the_same_script_and_it_is_correct(target: str, exporting: Exporting) -> None:
    script = exporting(target, cluster_suite()) / "claims.sh"
    for shell in ("sh", "bash"):
        assert subprocess.run([shell, "-n", script], check=False).returncode == 0
    assert script.stat().st_mode & 0o111


@pytest.mark.parametrize(
    "schedule", ["0 3 * * *", "*/15 1-5 * * 1-5", "5,35 3 1 * 0", "0 0 1-7/2 */3 7", "0 3 * * */2"]
)
def test_systemd_takes_the_units(schedule: str, exporting: Exporting) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd cannot be installed by pip")
    folder = exporting("systemd", schedule=schedule, timezone="Europe/Berlin")
    units = sorted([*folder.glob("*.service"), *folder.glob("*.timer")])
    assert len(units) == 3
    done = subprocess.run([analyze, "verify", *units], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    # It retries what the script would, and nothing else.
    (service,) = (unit for unit in units if unit.name == "evalmatrix-claims.service")
    assert "RestartPreventExitStatus=1 2 3 75\n" in service.read_text()
