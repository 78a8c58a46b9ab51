"""Read what was written by hand: YAML in which every value is text and no key stands twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class Text(yaml.BaseLoader):
    """YAML without guesses at types: ``NO`` is Norway and ``0.40`` keeps its zero."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        """Refuse a second value for a key, which YAML would let win.

        Raises:
            ConstructorError: A key stands twice.
        """
        seen = set()
        for key, _value in node.value:
            if key.value in seen:
                problem = f"{key.value!r} stands twice; keep one"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read(path: Path) -> dict[str, Any]:
    """Return a file's contents.

    Raises:
        YAMLError: It is no YAML, or has a key twice.
    """
    content: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=Text)
    return content
