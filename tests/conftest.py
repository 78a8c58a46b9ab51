"""Fixtures that more than one suite uses: the embedded model."""

from __future__ import annotations

import importlib.util
import os
import re
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"

PIECES = (
    re.compile(r"(tests/contract/).*[-\[]([a-z0-9_]+\.[a-z0-9_]+)\]"),  # what is asked of one check
    re.compile(r"(tests/property/test_(?:arrival|\w+_coverage)[^\[]*)"),  # one simulation
)
"""Tests that share what takes time to make with few others of their file: with those of the same groups."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several processes a file's tests stay in one, so that its fixtures are made once; not so `PIECES`.

    Marks of xdist_group would do, were they heard: xdist 3.8 writes them where pytest 9 no longer looks.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Pieces(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            found = next(filter(None, (piece.match(nodeid) for piece in PIECES)), None)
            return ":".join(found.groups()) if found else nodeid.partition("::")[0]

    return Pieces(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a GPU run where there is one."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="no GPU that torch can use"))


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny models gain nothing from threads, and shared machines lose."""
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def demo_spec() -> Any:
    """Where the embedded SmolLM2 is; skips (or fails, with AUDITKIT_NO_SKIPS) without it."""
    from auditkit.errors import TargetRefused
    from auditkit.targets.local import parse_spec

    try:
        return parse_spec("demo:smollm2")
    except TargetRefused as error:
        if os.environ.get("AUDITKIT_NO_SKIPS"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def demo_target(demo_spec: Any) -> Any:
    """The embedded SmolLM2, loaded once, in float32."""
    from auditkit.targets.local import load

    return load(demo_spec, threads=1)


@pytest.fixture(scope="session")
def quick_target(demo_spec: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The embedded SmolLM2 in bfloat16, with a cache: nothing is computed twice."""
    from auditkit.cache import ResultCache
    from auditkit.targets.local import load

    cache = ResultCache(tmp_path_factory.mktemp("cache"))
    return load(demo_spec, dtype="bfloat16", threads=1, cache=cache, digest="embedded model")


@pytest.fixture(scope="session")
def sandboxes() -> None:
    """Skips (or fails, with AUDITKIT_NO_SKIPS) where no sandbox can be started."""
    from auditkit.behaviour.sandbox.availability import availability

    found = availability()
    if found.ok:
        return
    if os.environ.get("AUDITKIT_NO_SKIPS"):
        pytest.fail(f"no sandbox: {found.reason}; {found.get}")
    pytest.skip(f"no sandbox: {found.reason}")
