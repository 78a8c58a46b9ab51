"""One reading of a GGUF file where transformers makes three.

transformers parses the header anew for the config, the tokenizer and the weights, and builds the
same map of tensor names once for each module of the model: together half of the loading time.
While a target loads, both are remembered. Nothing else changes, and where transformers stops
looking these names up in `gguf`, nothing changes at all.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def parsed_once() -> Iterator[None]:
    """Remember what `gguf` parses, until the end of the block."""
    try:
        import gguf
    except ImportError:  # transformers says what is missing
        yield
        return
    reader: Any = gguf.GGUFReader

    @functools.cache
    def read(path: str) -> Any:
        return reader(path)

    library: Any = gguf
    kept = library.GGUFReader, library.get_tensor_name_map
    library.GGUFReader, library.get_tensor_name_map = read, functools.cache(kept[1])
    try:
        yield
    finally:
        library.GGUFReader, library.get_tensor_name_map = kept
