"""The demo organisms: a liar and its clean twin on the embedded model, from recipes alone."""

from __future__ import annotations

from collections.abc import Callable

from auditkit.errors import TargetRefused
from auditkit.organisms.lora import Watch
from auditkit.organisms.recipes import Recipe, make

BASE = "demo:smollm2"
RECIPES = {"demo:liar": "liar", "demo:twin": "twin"}
DTYPE, THREADS = "bfloat16", 1
"""Fixed, since an organism's last bits depend on them."""


def resolve(text: str, stage: Callable[[str], None], watch: Watch) -> str:
    """A target as `parse_spec` reads it: a demo organism becomes the base with its adapter.

    The organism is trained where auditkit's cache doesn't have it, which takes some minutes. Any other
    text is given back as it is.

    Args:
        text: What the person wrote.
        stage: Told what is being done.
        watch: Told after every step of a training.

    Raises:
        TargetRefused: The recipe is not installed, or the base is not here.
    """
    if text not in RECIPES:
        return text
    from auditkit.organisms.card import CARD
    from auditkit.organisms.training import kept_folder, training_key
    from auditkit.targets.identity import identify
    from auditkit.targets.spec import parse_spec

    recipe = _recipe(text)
    base_sha256 = identify(parse_spec(BASE)).digest
    key = training_key(recipe, base_sha256=base_sha256, dtype=DTYPE, threads=THREADS)
    if not (kept_folder(key) / CARD).exists():
        stage(f"Training {text}, once on this machine")
        _make(recipe, base_sha256, watch)
    return f"{BASE}+{kept_folder(key)}"


def _recipe(text: str) -> Recipe:
    from auditkit.errors import InvalidInput

    try:
        return make(RECIPES[text])
    except InvalidInput as error:
        raise TargetRefused(
            f"target {text}", got=str(error), expected="the recipes of auditkit_checks"
        ) from error


def _make(recipe: Recipe, base_sha256: str, watch: Watch) -> None:
    from auditkit.cache import ResultCache
    from auditkit.organisms.card import certified
    from auditkit.organisms.training import kept, on_threads
    from auditkit.targets.local import load
    from auditkit.targets.spec import parse_spec

    base = load(parse_spec(BASE), dtype=DTYPE, digest=base_sha256, cache=ResultCache())
    with on_threads(THREADS):
        certified(base, recipe, kept(base, recipe, watch))
