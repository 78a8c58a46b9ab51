"""For commands that other packages bring: models opened as targets are, each when its turn comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from auditkit.targets import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One of several models.

    Attributes:
        name: What people call it, with the digest of its weights; see `auditkit.checks.member_name`.
        load: The model, to be asked.
        done: Told how much was done, of how much.
    """

    name: str
    load: Callable[[], Subject]
    done: Callable[[int, int], None]


@contextmanager
def members(  # noqa: PLR0913 - as many as a command has options
    models: Sequence[str], *, what: str, dtype: str, threads: int | None, endpoint: tuple[str, ...],
    seed: int, journal: Path, quiet: bool,
) -> Iterator[Iterator[Member]]:  # fmt: skip
    """Models to be asked one after the other, with progress on stderr. What they answered is kept in the
    cache, or in the journal for those elsewhere, so that an interrupted command goes on where it was.

    Args:
        models: As ``--target`` takes them.
        what: The word by which progress is shown.
        dtype: Of weights on this machine.
        threads: Of weights on this machine; None leaves them as they are.
        endpoint: As ``--endpoint`` was given.
        seed: Of the prompts by which models elsewhere are identified.
        journal: How the files begin in which answers from elsewhere are kept until all is done.
        quiet: Whether nothing is shown.

    Raises:
        TargetRefused, MissingTool: A model can't be used; when its turn comes.
        InvalidInput: An endpoint's setting that doesn't fit.
    """
    from auditkit.audit import resolved
    from auditkit.cache import ResultCache, default_folder
    from auditkit.checks import member_name
    from auditkit.cli.endpoints import settings
    from auditkit.cli.screen import watching
    from auditkit.engine import Progress
    from auditkit.targets.endpoint.terms import Manner
    from auditkit.targets.open import Running, open_target

    manner, terms = settings(endpoint)
    running = Running(
        dtype=dtype, threads=threads, seed=seed, manner=manner or Manner(), terms=terms,
        cache=ResultCache(default_folder()),
    )  # fmt: skip
    journals = [journal.with_name(f"{journal.name}.{number}") for number, _ in enumerate(models)]
    with watching(quiet=quiet) as told:

        def each() -> Iterator[Member]:
            for model, file in zip(models, journals, strict=True):
                told.stage(f"Identifying {model}")
                backend = open_target(resolved(model, told), replace(running, journal=file))
                name = member_name(_short(model), backend.identify().weights)

                def done(n: int, total: int, name: str = name) -> None:
                    told.progress(Progress(check=what, subject=name, done=n, total=total))

                yield Member(name=name, load=backend.load, done=done)

        yield each()
    for file in journals:
        file.unlink(missing_ok=True)


def _short(model: str) -> str:
    """What people call a model: the last part of a path, of an address, or of an adapter's place."""
    last = Path(model.rstrip("/").rpartition("+")[2]).name
    return last.removesuffix(".gguf").removeprefix("demo:")
