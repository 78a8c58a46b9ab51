"""What can be set of a plugin: a line a parameter, with its default."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from auditkit.cli.plain import plain
from auditkit.model import Json


def parameter_lines(schema: dict[str, Json]) -> Iterator[str]:
    """``name = default   description`` for each property of a JSON Schema."""
    for name, detail in cast("dict[str, Any]", schema.get("properties", {})).items():
        default = json.dumps(detail.get("default"), ensure_ascii=False)
        yield plain(f"{name} = {default}   {detail.get('description', '')}".rstrip())
