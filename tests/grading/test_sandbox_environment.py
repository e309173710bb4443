"""The grading environment, the probe, and sandboxes on machines that cannot have one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import autograder
from autograder.run import SandboxUnavailable, bubblewrap, environment, probe, seccomp

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
]
REPOSITORY = Path(autograder.__file__).parents[1]


def test_the_probe_finds_every_wall_standing() -> None:
    assert probe().startswith("sandbox works: bubblewrap")


def test_the_environment_holds_what_grading_needs_and_nothing_else() -> None:
    names = {path.name for path in (environment.prepare().root / environment.PACKAGES).iterdir()}
    assert {"numpy", "IPython", "matplotlib"} <= names
    assert not names & {"torch", "rnnlib", "autograder", "nbgrader", "jupyterlab", "pip"}


def test_the_environment_is_readable_by_all_and_writable_by_its_owner_only() -> None:
    root = environment.prepare().root
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            mode = os.lstat(Path(folder, name)).st_mode
            assert mode & 0o444 == 0o444
            assert not mode & 0o022


def test_the_environment_is_built_once() -> None:
    assert environment.prepare() == environment.prepare()


def test_a_cache_that_somebody_else_prepared_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_to_all, link = tmp_path / "open", tmp_path / "link"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    link.symlink_to(tmp_path)
    monkeypatch.setattr(environment, "_cache_folders", lambda: [open_to_all, link])
    monkeypatch.setattr(environment, "_SYSTEM_CACHE", tmp_path / "nowhere")
    with pytest.raises(SandboxUnavailable, match="others may write"):
        environment.prepare()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_cache_of_another_owner_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    assert not environment._is_trustworthy(tmp_path)


def test_a_missing_distribution_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "WANTED", ("no-such-distribution",))
    with pytest.raises(SandboxUnavailable, match="pip install no-such-distribution"):
        environment.prepare()


def test_without_bubblewrap_grading_refuses_and_names_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SandboxUnavailable, match="apt install bubblewrap"):
        bubblewrap.find()


def test_off_linux_grading_points_to_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxUnavailable, match="podman"):
        bubblewrap.find()


def test_a_bwrap_that_fails_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'setting up uid map: Permission denied' >&2\nexit 1\n")
    fake.chmod(0o755)
    for folder in [tmp_path, *tmp_path.parents][:4]:
        folder.chmod(folder.stat().st_mode | 0o011)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(SandboxUnavailable, match="uid map: Permission denied"):
        probe()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_the_sandbox_works_for_an_ordinary_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Runs the copied interpreter itself, which everyone can read, as user 65534 with an empty home."""
    found = environment.prepare().root
    program = "import os\nassert os.getuid() == 65534\nfrom autograder.run import probe\nprint(probe())"
    done = subprocess.run(
        [found / "bin" / "python3", "-P", "-s", "-S", "-c", program],
        env={
            "PYTHONPATH": f"{found / environment.PACKAGES}:{REPOSITORY}",
            "LD_LIBRARY_PATH": str(found / environment.LIBRARIES),
            "PATH": "/usr/bin:/bin",
            "HOME": "/nonexistent",
        },
        cwd="/",
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("sandbox works"), done.stderr


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_jump_of_the_system_call_filter_lands_inside_it(machine: str) -> None:
    rows = seccomp.program(machine)
    assert rows is not None
    for place, (code, if_true, if_false, _) in enumerate(rows):
        if code != seccomp.RETURN and code != seccomp.LOAD:
            assert place + 1 + max(if_true, if_false) < len(rows)
    assert rows[-1][0] == seccomp.RETURN
    assert seccomp.program("unknown") is None
