"""One reading of a GGUF file where transformers makes three.

transformers parses the header anew for the config, the tokenizer and the weights, and builds the
same map of tensor names once for each module of the model: together half of the loading time.
While a target loads, both are remembered. `gguf` itself reads a vocabulary piece by piece out of a
memory map; out of a plain view of the same bytes it takes a third of the time, which is seconds
where there are 262,144 tokens. Nothing else changes, and where transformers stops looking these
names up in `gguf`, nothing changes at all.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def parsed_once() -> Iterator[None]:
    """Remember what `gguf` parses, until the end of the block."""
    try:
        import gguf
    except ImportError:  # transformers says what is missing
        yield
        return
    library: Any = gguf
    kept = library.GGUFReader, library.get_tensor_name_map
    library.GGUFReader = functools.cache(_quick(library.GGUFReader))
    library.get_tensor_name_map = functools.cache(kept[1])
    try:
        yield
    finally:
        library.GGUFReader, library.get_tensor_name_map = kept


def _quick(reader: Any) -> Any:
    """The reader, with the header read out of a plain view of the file; tensors stay a memory map."""

    class Quick(reader):  # type: ignore[misc]
        data: Any

        def _build_fields(self, offset: int, count: int) -> int:
            mapped, self.data = self.data, self.data.view(np.ndarray)
            try:
                return int(super()._build_fields(offset, count))
            finally:
                self.data = mapped

    return Quick
