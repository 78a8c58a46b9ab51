"""A model on an NDIF server: the same weights here and there give the same evidence, and what is sent tells
nothing of this machine.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ndif_server import Serving, serving
from scoring_server import OneByOne

from auditkit.errors import EndpointError, PromptTooLong, SubjectError, TargetRefused
from auditkit.model import Access, Prompt, Turn
from auditkit.targets import Sampling, Steering
from auditkit.targets.endpoint.terms import Manner, Terms
from auditkit.targets.loaded import LocalTarget
from auditkit.targets.local import load, parse_spec
from auditkit.targets.ndif import passes
from auditkit.targets.ndif.backend import NdifBackend
from auditkit.targets.ndif.subject import NdifSubject
from auditkit.targets.open import Running, open_target

PROMPTS = [Prompt(turns=(Turn(role="user", text="ab" * n),)) for n in (2, 9, 4, 30, 7)]
OPTIONS = [["yes", "no", "yesterday"], [], ["a"], ["no", "nope", "n"], ["b", "bcd"]]
NATS = 2e-6
"""What batching moves in float32, an answer of this model."""
SECRET = "very-secret-42"


@pytest.fixture(scope="module")
def bare(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's config and tokenizer, without weights."""
    folder = tmp_path_factory.mktemp("bare") / "model"
    return Path(shutil.copytree(saved, folder, ignore=shutil.ignore_patterns("*.safetensors")))


@pytest.fixture(scope="module")
def here(saved: Path) -> LocalTarget:
    return load(parse_spec(str(saved)), threads=1)


@pytest.fixture(scope="module")
def served(saved: Path) -> Iterator[Serving]:
    target = load(parse_spec(str(saved)), threads=1)
    with serving(Serving(model=target.model, tokenizer=target.encoder.tokenizer)) as it:
        yield it


def opened(served: Serving, folder: Path, **more: Any) -> NdifBackend:
    terms = more.pop("terms", Terms(timeout_s=120, attempts=2))
    running = Running(manner=Manner(tokenizer=str(folder)), terms=terms, **more)
    backend = open_target(served.target, running)
    assert isinstance(backend, NdifBackend)
    return backend


@pytest.fixture(scope="module")
def there(served: Serving, bare: Path) -> NdifSubject:
    backend = opened(served, bare)
    backend.identify()
    return backend.load()


def vectors() -> Any:
    return np.random.default_rng(0).normal(size=(len(PROMPTS), 32)).astype(np.float32)


@pytest.mark.parametrize("reduction", ["last", "mean"])
def test_activations_are_equal_bit_by_bit(
    here: LocalTarget, there: NdifSubject, reduction: str
) -> None:
    assert there.access is Access.ACTIVATIONS
    for layers in (None, [0, 2]):
        mine = here.activations(PROMPTS, layers=layers, reduction=reduction)
        assert np.array_equal(there.activations(PROMPTS, layers=layers, reduction=reduction), mine)


@pytest.mark.parametrize("mode", ["add", "ablate"])
def test_steering_is_equal_too(here: LocalTarget, there: NdifSubject, mode: Any) -> None:
    steering = Steering(layer=1, vectors=vectors(), mode=mode)
    for layers in ([0], [0, 1, 3]):
        mine = here.activations(PROMPTS, layers=layers, steering=steering)
        theirs = there.activations(PROMPTS, layers=layers, steering=steering)
        assert np.array_equal(theirs, mine)
    mine_said = here.generate(PROMPTS, max_new_tokens=6, steering=steering)
    assert there.generate(PROMPTS, max_new_tokens=6, steering=steering) == mine_said
    plain = there.logprobs(PROMPTS, OPTIONS)
    steered = there.logprobs(PROMPTS, OPTIONS, steering=steering)
    mine_scored = here.logprobs(PROMPTS, OPTIONS, steering=steering)
    assert steered != plain
    for one, other in zip(steered, mine_scored, strict=True):
        assert [s.logprob for s in one] == pytest.approx([s.logprob for s in other], abs=NATS)


def test_log_probabilities_are_equal(here: LocalTarget, there: NdifSubject) -> None:
    """Bit by bit where each text has a pass of its own; batches move last bits."""
    alone = NdifSubject(there.server, there.skeleton, token_budget=1)
    single = [[options[0]] if options else [] for options in OPTIONS]
    assert alone.logprobs(PROMPTS, single) == OneByOne(subject=here).logprobs(PROMPTS, single)
    mine, theirs = here.logprobs(PROMPTS, OPTIONS), there.logprobs(PROMPTS, OPTIONS)
    for one, other in zip(theirs, mine, strict=True):
        assert [s.n_tokens for s in one] == [s.n_tokens for s in other]
        assert [s.logprob for s in one] == pytest.approx([s.logprob for s in other], abs=NATS)


def test_texts_are_equal_greedy_and_drawn(here: LocalTarget, there: NdifSubject) -> None:
    raw = [*PROMPTS, Prompt(raw="Once upon")]
    assert there.generate(raw, max_new_tokens=8) == here.generate(raw, max_new_tokens=8)
    sampling = Sampling(temperature=1.2, top_p=0.8, seeds=(1, 2, 3, 4, 5))
    mine = here.generate(PROMPTS, max_new_tokens=8, sampling=sampling)
    assert there.generate(PROMPTS, max_new_tokens=8, sampling=sampling) == mine


def test_an_untrained_twin_is_made_here(
    here: LocalTarget, there: NdifSubject, served: Serving
) -> None:
    before = len(served.blobs)
    twin, mine = there.counterpart("untrained"), here.counterpart("untrained")
    assert twin is not None
    assert mine is not None
    assert np.array_equal(twin.activations(PROMPTS), mine.activations(PROMPTS))
    assert len(served.blobs) == before
    assert there.counterpart("reference") is None
    with pytest.raises(SubjectError):
        there.counterpart("twin")


def test_what_is_sent_tells_nothing_of_this_machine(
    served: Serving, bare: Path, there: NdifSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDITKIT_TEST_VARIABLE", "only-in-the-environment")
    first = len(served.blobs)
    steering = Steering(layer=0, vectors=vectors())
    there.afresh.activations(PROMPTS, steering=steering)
    there.afresh.logprobs(PROMPTS, OPTIONS, steering=steering)
    there.afresh.generate(
        PROMPTS, max_new_tokens=2, sampling=Sampling(temperature=1.0, seeds=(1, 2, 3, 4, 5))
    )
    blobs = served.blobs[first:]
    assert len(blobs) == 3
    private = [str(bare), os.getcwd(), str(Path.home()), socket.gethostname(), "site-packages"]
    private += [
        "only-in-the-environment",
        __file__,
        os.sep + "auditkit" + os.sep,
        "import auditkit",
    ]
    for words in private:
        if len(words) > 4:
            assert not [blob for blob in blobs if words.encode() in blob], words
    headers = {key.lower(): value for key, value in served.headers[-1].items()}
    assert headers["user-agent"] == "auditkit"
    assert headers["python-version"].count(".") == 2
    assert "ndif-timestamp" not in headers


def test_passes_are_packed_into_few_requests_of_bounded_size(
    served: Serving, there: NdifSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = NdifSubject(there.server, there.skeleton, token_budget=64)
    first = len(served.blobs)
    whole = fresh.afresh.activations(PROMPTS)
    assert len(served.blobs) == first + 1
    monkeypatch.setattr(passes, "MOST_BYTES", 2 * 4 * 32 * 4)  # two prompts' vectors
    assert np.array_equal(fresh.afresh.activations(PROMPTS), whole)
    assert len(served.blobs) == first + 4


def test_what_is_known_is_asked_once(served: Serving, there: NdifSubject) -> None:
    fresh = NdifSubject(there.server, there.skeleton)
    one = fresh.activations(PROMPTS)
    first = len(served.blobs)
    assert np.array_equal(fresh.activations(PROMPTS), one)
    assert len(served.blobs) == first
    assert np.array_equal(fresh.afresh.activations(PROMPTS), one)
    assert len(served.blobs) == first + 1


def test_what_does_not_fit_is_refused_before_it_is_sent(
    served: Serving, there: NdifSubject
) -> None:
    first = len(served.blobs)
    with pytest.raises(PromptTooLong):
        there.generate([Prompt(raw="x" * 510)], max_new_tokens=4)
    for layers in ([4], [1, 0], []):
        with pytest.raises(SubjectError):
            there.activations(PROMPTS, layers=layers)
    with pytest.raises(SubjectError):
        there.activations(PROMPTS, reduction="most")
    with pytest.raises(SubjectError):
        there.logprobs(PROMPTS, OPTIONS, steering=Steering(layer=0, vectors=vectors()[:2]))
    with pytest.raises(SubjectError):
        there.rewards(PROMPTS)
    with pytest.raises(SubjectError):
        there.generate(PROMPTS, max_new_tokens=0)
    assert len(served.blobs) == first


def test_nothing_asked_is_nothing_answered(there: NdifSubject) -> None:
    assert there.logprobs([], []) == []
    assert there.generate([], max_new_tokens=3) == []
    assert there.activations([]).shape == (4, 0, 32)


def test_without_a_folder_for_the_structure_it_is_refused(served: Serving) -> None:
    with pytest.raises(TargetRefused, match="tokenizer=FOLDER"):
        open_target(served.target, Running())


def test_another_models_name_is_refused(served: Serving, bare: Path) -> None:
    running = Running(manner=Manner(tokenizer=str(bare)), terms=Terms(timeout_s=60, attempts=1))
    with pytest.raises(TargetRefused, match="no model other"):
        open_target(f"ndif://{served.url}/other", running).identify()


def test_another_structure_is_refused(
    served: Serving, tmp_path: Path, tiny: Any, new_tokenizer: Any
) -> None:
    tiny("gpt2").config.save_pretrained(tmp_path)
    new_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(TargetRefused, match="structure"):
        opened(served, tmp_path).identify()


def test_a_wrong_key_is_said_and_not_shown(
    served: Serving, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "key", "the-right-one")
    monkeypatch.setenv("AUDITKIT_API_KEY", SECRET)
    with pytest.raises(EndpointError, match="AUDITKIT_API_KEY") as error:
        opened(served, bare).identify()
    assert SECRET not in str(error.value)
    monkeypatch.setenv("AUDITKIT_API_KEY", "the-right-one")
    assert opened(served, bare).identify().fingerprint is not None


def test_nobody_there_is_said(bare: Path) -> None:
    running = Running(manner=Manner(tokenizer=str(bare)), terms=Terms(timeout_s=5, attempts=1))
    with pytest.raises(EndpointError, match="no connection"):
        open_target("ndif://127.0.0.1:9/m", running).identify()
