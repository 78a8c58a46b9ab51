from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from auditkit.canonical import canonical, digest

texts = st.text(st.characters(exclude_categories=["Cs"]))
floats = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda x: not (x.is_integer() and 2**53 <= abs(x) < 1e21)
)
leaves = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | floats | texts
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and not isinstance(b, bool) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=0, abs_tol=0)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and bool(a == b)


@given(values)
def test_reading_gives_the_value_and_writing_it_again_the_bytes(value: Any) -> None:
    written = canonical(value)
    read = json.loads(written)
    assert same(value, read)
    assert canonical(read) == written


@given(st.dictionaries(texts, leaves, min_size=2), st.randoms())
def test_the_order_of_keys_does_not_matter(value: dict[str, Any], random: Any) -> None:
    pairs = list(value.items())
    random.shuffle(pairs)
    assert canonical(dict(pairs)) == canonical(value)


@given(values, values)
@settings(max_examples=80)
def test_different_values_have_different_digests(a: Any, b: Any) -> None:
    assert (digest(a) == digest(b)) == (canonical(a) == canonical(b))
