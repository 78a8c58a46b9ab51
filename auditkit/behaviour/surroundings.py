"""What Inspect would take from its surroundings or leave in them, kept out: a run is decided by its plan."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def quiet(folder: Path) -> Iterator[None]:
    """No settings from ``INSPECT_…`` variables or ``.env`` files, no files outside of a folder, and logging
    as it was: Inspect sets the root logger's level and gives it a handler.

    Args:
        folder: Where Inspect's own files go. It is the caller's to remove.
    """
    kept, root = dict(os.environ), logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    for name in [name for name in os.environ if name.startswith("INSPECT_")]:
        del os.environ[name]
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        # What Inspect logs of itself. It is compressed in place at exit: never a device.
        "INSPECT_TRACE_FILE": str(folder / "trace.log"),
        "PYTHON_DOTENV_DISABLED": "1",
        "XDG_DATA_HOME": str(folder / "data"),
    }
    try:
        yield
    finally:
        for name in [name for name in os.environ if name not in kept]:
            del os.environ[name]
        os.environ.update(kept)
        root.setLevel(level)
        for handler in [handler for handler in root.handlers if handler not in handlers]:
            root.removeHandler(handler)
