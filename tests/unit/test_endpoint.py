"""A subject behind an API: what it gives, and what becomes of every kind of answer that is none."""

from __future__ import annotations

import json
import math
import pickle
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from auditkit.errors import (
    BudgetSpent,
    EndpointError,
    IdentityChanged,
    PromptTooLong,
    SubjectError,
    TargetRefused,
)
from auditkit.model import Access, Prompt, Turn
from auditkit.targets import Sampling
from auditkit.targets.endpoint.backend import EndpointBackend
from auditkit.targets.endpoint.ledger import Ledger, Pace, Usage
from auditkit.targets.endpoint.subject import EndpointSubject
from auditkit.targets.endpoint.terms import Manner, Terms
from auditkit.targets.open import Running, open_target
from auditkit.testing import FakeSubject
from auditkit.testing.serving import Fault, Served, serving

QUICK = Terms(timeout_s=1.0, attempts=3)
SECRET = "sk-very-secret-42"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditkit.targets.endpoint.client.pause", lambda state: 0.0)
    monkeypatch.delenv("AUDITKIT_API_KEY", raising=False)


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Served(subject=FakeSubject())) as it:
        yield it


def chat(text: str) -> Prompt:
    return Prompt(turns=(Turn(role="user", text=text),))


def opened(served: Served, terms: Terms = QUICK, **more: Any) -> EndpointBackend:
    backend = open_target(served.target, Running(terms=terms, **more))
    assert isinstance(backend, EndpointBackend)
    return backend


def loaded(served: Served, terms: Terms = QUICK) -> EndpointSubject:
    backend = opened(served, terms)
    backend.identify()
    return backend.load()


def once(fault: Fault, n_times: int = 1) -> Callable[[int, str], Fault | None]:
    left = iter(range(n_times))
    return lambda _n, _route: fault if next(left, None) is not None else None


def always(fault: Fault, only: str = "") -> Callable[[int, str], Fault | None]:
    return lambda _n, route: fault if route.endswith(only) else None


# --- what it gives ---------------------------------------------------------------------------------


def test_it_answers_as_the_subject_behind_it(served: Served) -> None:
    subject = loaded(served)
    prompts = [chat(f"question {i}") for i in range(20)]
    here = FakeSubject().generate(prompts, max_new_tokens=4)
    there = subject.generate(prompts, max_new_tokens=4)
    assert [(c.text, c.truncated) for c in there] == [(c.text, c.truncated) for c in here]
    assert subject.access is Access.TEXT
    assert all(c.logprob is not None and c.logprob < 0 for c in there)


def test_sampling_is_asked_for_by_seed(served: Served) -> None:
    subject = loaded(served)
    sampling = Sampling(temperature=0.7, top_p=0.9, seeds=(5, 2**40, 5))
    said = subject.generate([chat("a")] * 3, max_new_tokens=4, sampling=sampling)
    assert said[0] == said[2] != said[1]
    body = served.seen[-1][1]
    assert (body["temperature"], body["top_p"]) == (0.7, 0.9)
    assert all(0 <= b["seed"] < 2**31 for _, b in served.seen if "seed" in b)


def test_a_server_that_ignores_seeds_is_named(served: Served) -> None:
    assert loaded(served).means.repeats
    served.heeds_seeds = False
    subject = loaded(served)
    assert not subject.means.repeats
    assert "not honoured" in str(subject.describe()["sampling"])


@pytest.mark.parametrize("given", [True, False])
def test_raw_texts_are_gone_on_from_where_the_server_can(served: Served, given: bool) -> None:
    if not given:
        served.fault = always(Fault(status=404, body=b"{}"), only="/v1/completions")
    subject = loaded(served)
    assert subject.means.completes is given
    if given:
        (said,) = subject.generate([Prompt(raw="Once upon")], max_new_tokens=3)
        (same,) = FakeSubject().generate([Prompt(raw="Once upon")], max_new_tokens=3)
        assert said.text == same.text
    else:
        with pytest.raises(SubjectError, match="rest of a text"):
            subject.generate([Prompt(raw="Once upon")], max_new_tokens=3)


def test_what_goes_beyond_its_access_is_said(served: Served) -> None:
    subject = loaded(served)
    begun = Prompt(turns=(Turn(role="user", text="a"), Turn(role="assistant", text="Well, ")))
    asked: list[Callable[[], Any]] = [
        lambda: subject.logprobs([chat("a")], [[" b"]]),
        lambda: subject.activations([chat("a")]),
        lambda: subject.rewards([chat("a")]),
        lambda: subject.n_layers,
        lambda: subject.generate([begun], max_new_tokens=2),
        lambda: subject.generate([chat("a")], max_new_tokens=0),
    ]
    n = len(served.seen)
    for ask in asked:
        with pytest.raises(SubjectError):
            ask()
    assert len(served.seen) == n
    assert subject.counterpart("untrained") is None
    assert subject.counterpart("reference") is None


def test_what_was_answered_once_is_not_asked_again(served: Served) -> None:
    subject = loaded(served)
    first = subject.generate([chat("a"), chat("b"), chat("a")], max_new_tokens=4)
    n = len(served.seen)
    assert subject.generate([chat("b"), chat("a")], max_new_tokens=4) == [first[1], first[0]]
    assert len(served.seen) == n


def test_several_are_asked_at_once_and_come_back_in_order(served: Served) -> None:
    served.fault = lambda _n, _route: time.sleep(0.02)  # type: ignore[func-returns-value]
    subject = loaded(served, Terms(concurrency=8))
    prompts = [chat(f"{i}") for i in range(24)]
    here = FakeSubject().generate(prompts, max_new_tokens=4)
    assert [c.text for c in subject.generate(prompts, max_new_tokens=4)] == [c.text for c in here]


# --- what is no answer -----------------------------------------------------------------------------

BROKEN = {
    "busy": Fault(status=429, body=b'{"error": {"message": "slow down"}}'),
    "error": Fault(status=500, body=b"<html>oops</html>"),
    "overloaded": Fault(status=503),
    "half an answer": Fault(body=b'{"choices": [{"message": {"content": "ye', cut=20),
    "cut-off JSON": Fault(body=b'{"choices": [{"message": {"content": "ye'),
    "HTML": Fault(body=b"<!DOCTYPE html><p>login</p>", headers={"Content-Type": "text/html"}),
    "pickle": Fault(
        body=pickle.dumps({"choices": []}), headers={"Content-Type": "application/json"}
    ),
    "zip": Fault(body=b"PK\x03\x04" + b"x" * 100),
    "nothing": Fault(),
    "no JSON": Fault(body=b"\xff\xfe\x00"),
    "NaN": Fault(body=b'{"choices": NaN}'),
    "deep JSON": Fault(body=b"[" * 200_000),
    "another form": Fault(body=b'{"choices": {"message": 1}}'),
    "no choice": Fault(body=b'{"choices": []}'),
    "two choices": Fault(body=b'{"choices": [{"message": {}}, {"message": {}}]}'),
    "half a surrogate": Fault(body=b'{"choices": [{"message": {"content": "\\ud800"}}]}'),
    "text as number": Fault(body=b'{"choices": [{"message": {"content": 7}}]}'),
    "negative tokens": Fault(
        body=b'{"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": -5}}'
    ),
    "a certain token more than certain": Fault(
        body=b'{"choices": [{"message": {"content": "a"}, "logprobs": {"content": '
        b'[{"token": "a", "logprob": 3.0}]}}]}'
    ),
    "gzip": Fault(body=b"\x1f\x8b\x08", headers={"Content-Encoding": "gzip"}),
    "slow": Fault(body=b"{}", after_s=1.6),
    "dripping": Fault(body=b"{" + b" " * 100, drip_s=0.1),
    "huge": Fault(body=b'"' + b"x" * (17 * 2**20) + b'"'),
    "no HTTP": Fault(status=200, headers={"Content-Length": "abc"}, body=b"{}"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_answer_once_is_asked_again(served: Served, name: str) -> None:
    subject = loaded(served)
    served.fault = once(BROKEN[name])
    (said,) = subject.generate([chat(name)], max_new_tokens=4)
    (same,) = FakeSubject().generate([chat(name)], max_new_tokens=4)
    assert said.text == same.text


@pytest.mark.parametrize(
    "name", ["busy", "half an answer", "HTML", "pickle", "another form", "huge"]
)
def test_an_endpoint_that_answers_nothing_stops_the_run(served: Served, name: str) -> None:
    subject = loaded(served)
    served.fault = always(BROKEN[name])
    with pytest.raises(EndpointError, match="run the same command again") as error:
        subject.generate([chat("a")], max_new_tokens=4)
    if name == "pickle":
        assert "a pickle, which was not opened" in str(error.value)
    served.fault = lambda _n, _route: None
    with pytest.raises(EndpointError):  # for good: a check may have swallowed the first
        subject.generate([chat("b")], max_new_tokens=4)
    with pytest.raises(EndpointError):
        subject.standing()


def test_one_question_that_breaks_the_server_is_that_questions_error(served: Served) -> None:
    subject = loaded(served)

    def poisoned(number: int, _route: str) -> Fault | None:
        return BROKEN["error"] if "poison" in json.dumps(served.seen[number]) else None

    served.fault = poisoned
    with pytest.raises(SubjectError, match="status 500"):
        subject.generate([chat("poison"), chat("fine")], max_new_tokens=4)
    n = len(served.seen)
    assert subject.generate([chat("fine")], max_new_tokens=4)[0].text
    assert len(served.seen) == n  # the other answer was not thrown away
    subject.standing()


def test_a_prompt_that_is_too_long_is_said_so(served: Served) -> None:
    subject = loaded(served)
    message = b'{"error": {"message": "This model\'s maximum context length is 10 tokens."}}'
    served.fault = once(Fault(status=400, body=message))
    with pytest.raises(PromptTooLong):
        subject.generate([chat("a")], max_new_tokens=4)


def test_a_filtered_answer_is_no_answer(served: Served) -> None:
    subject = loaded(served)
    body = b'{"choices": [{"message": {"content": "As"}, "finish_reason": "content_filter"}]}'
    served.fault = once(Fault(body=body))
    with pytest.raises(SubjectError, match="filter"):
        subject.generate([chat("a")], max_new_tokens=4)


INSIDE = (
    b'{"choices": [{"message": {"content": "As"}, "finish_reason": "error"}]}',
    b'{"error": {"message": "no memory"}, "choices": [{"message": {"content": "As"}}]}',
    b'{"choices": [{"message": {"content": "As"}, "error": {"code": 502}}]}',
)


@pytest.mark.parametrize("body", INSIDE)
def test_an_error_inside_an_answer_is_no_answer(served: Served, body: bytes) -> None:
    subject = loaded(served)
    served.fault = once(Fault(body=body))
    (said,) = subject.generate([chat("a")], max_new_tokens=4)
    assert said.text == FakeSubject().generate([chat("a")], max_new_tokens=4)[0].text


def test_a_count_of_tokens_that_no_answer_has_is_refused_at_once(served: Served) -> None:
    body = b'{"choices": [{"message": {"content": "As"}}], "usage": {"completion_tokens": 200000}}'
    served.fault = always(Fault(body=body), only="/chat/completions")
    with pytest.raises(EndpointError, match="200,000 tokens"):
        opened(served).identify()


def test_redirects_are_not_followed(served: Served) -> None:
    subject = loaded(served)
    served.fault = once(Fault(status=307, headers={"Location": "http://127.0.0.1:1/"}))
    with pytest.raises(EndpointError, match="no redirect"):
        subject.generate([chat("a")], max_new_tokens=4)


def test_a_server_that_is_gone_stops_the_run() -> None:
    with serving(Served(subject=FakeSubject())) as served:
        subject = loaded(served, Terms(timeout_s=1.0, attempts=8))
    with pytest.raises(EndpointError, match="no connection"):
        subject.generate([chat("a")], max_new_tokens=4)
    with pytest.raises(EndpointError, match="host and port"):
        opened(served).identify()


def test_what_a_server_asks_for_is_waited(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    subject = loaded(served)
    served.fault = once(Fault(status=429, headers={"Retry-After": "1"}))
    began = time.monotonic()
    subject.generate([chat("a")], max_new_tokens=4)
    assert 1.0 <= time.monotonic() - began < 3.0


# --- keys and models -------------------------------------------------------------------------------


def test_a_wrong_key_is_a_clear_error_without_the_key(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.key = "another"
    monkeypatch.setenv("AUDITKIT_API_KEY", SECRET)
    with pytest.raises(EndpointError, match="AUDITKIT_API_KEY") as error:
        opened(served).identify()
    assert SECRET not in str(error.value)
    assert "[key]" in str(error.value)


def test_the_key_goes_to_the_server_and_nowhere_else(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.key = SECRET
    monkeypatch.setenv("AUDITKIT_API_KEY", SECRET)
    backend = opened(served)
    identity = backend.identify()
    subject = backend.load()
    assert served.headers[-1]["Authorization"] == f"Bearer {SECRET}"
    said = f"{identity} {subject.describe()} {vars(subject.client)!r} {subject.means}"
    assert SECRET not in said.replace(f"'Authorization': 'Bearer {SECRET}'", "")


def test_a_server_that_tells_our_key_is_not_listened_to(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDITKIT_API_KEY", SECRET)
    subject = loaded(served)
    escaped = "".join(f"\\u{ord(c):04x}" for c in SECRET)
    body = f'{{"choices": [{{"message": {{"content": "I know {escaped}"}}}}]}}'.encode()
    served.fault = once(Fault(body=body))
    with pytest.raises(EndpointError, match="withdraw that key") as error:
        subject.generate([chat("a")], max_new_tokens=4)
    assert SECRET not in str(error.value)


def test_a_model_that_is_not_served_is_refused(served: Served) -> None:
    with pytest.raises(TargetRefused, match="a server of fake"):
        open_target(f"openai://{served.url}/other", Running(terms=QUICK)).identify()


def test_a_model_that_is_not_listed_but_refused_is_refused(served: Served) -> None:
    served.fault = always(Fault(status=404, body=b'{"error": {"message": "no such model"}}'))
    with pytest.raises(TargetRefused, match="no such model"):
        opened(served).identify()


def test_another_models_name_in_the_answers_stops_the_run(served: Served) -> None:
    subject = loaded(served)
    served.fault = once(
        Fault(body=b'{"model": "cheaper", "choices": [{"message": {"content": "a"}}]}')
    )
    with pytest.raises(IdentityChanged, match="cheaper"):
        subject.generate([chat("a")], max_new_tokens=4)
    with pytest.raises(IdentityChanged):
        subject.standing()


def test_a_server_that_can_not_list_its_models_is_asked_all_the_same(served: Served) -> None:
    served.lists = False
    backend = opened(served)
    backend.identify()
    assert backend.load().generate([chat("a")], max_new_tokens=4)[0].text


# --- who it is -------------------------------------------------------------------------------------


def test_a_swap_in_mid_run_is_caught_before_its_answers_count(served: Served) -> None:
    backend = opened(served)
    backend.identify()
    subject = backend.load()
    subject.generate([chat("before")], max_new_tokens=4)
    subject.standing()
    n_known = len(subject.answers.known)
    served.subject = FakeSubject(seed=1)
    with pytest.raises(IdentityChanged, match="answers of another model"):
        subject.generate([chat(f"{i}") for i in range(80)], max_new_tokens=4)
    assert len(subject.answers.known) == n_known
    with pytest.raises(IdentityChanged):
        subject.standing()


def test_a_swap_after_the_last_question_is_caught(served: Served) -> None:
    backend = opened(served)
    before = backend.identify()
    backend.load().generate([chat("a")], max_new_tokens=4)
    served.subject = FakeSubject(seed=1)
    with pytest.raises(IdentityChanged):
        backend.compare(before)


def test_what_was_known_before_is_recognised_or_refused(served: Served) -> None:
    first = opened(served).identify()
    again = opened(served, known=first.fingerprint).identify()
    assert again.digest == first.digest
    served.subject = FakeSubject(seed=1)
    with pytest.raises(IdentityChanged):
        opened(served, known=first.fingerprint).identify()
    served.subject, served.logprobs = FakeSubject(), False
    with pytest.raises(IdentityChanged, match="without log-probabilities"):
        opened(served, known=first.fingerprint).identify()


def test_a_wrong_model_is_refused_before_anything_is_asked(served: Served) -> None:
    expected = opened(served).identify().fingerprint
    moments = opened(served, expected=expected).identify().moments
    assert [m.when for m in moments] == ["expected", "before"]
    served.subject = FakeSubject(seed=1)
    with pytest.raises(TargetRefused, match="another model than expected"):
        opened(served, expected=expected).identify()


def test_an_endpoint_that_differs_from_itself_is_refused(served: Served) -> None:
    numbers = iter(range(10_000))
    served.subject = FakeSubject(answer=lambda _: f"answer {next(numbers)}")
    with pytest.raises(TargetRefused, match="differs from itself"):
        opened(served).identify()


# --- what it costs ---------------------------------------------------------------------------------


def test_a_budget_is_kept_and_what_was_answered_stays(served: Served) -> None:
    free = loaded(served)
    spent = free.client.ledger.n_tokens
    subject = loaded(served, Terms(budget_tokens=spent + 400, timeout_s=1.0, attempts=3))
    with pytest.raises(BudgetSpent, match="larger budget"):
        subject.generate([chat(f"{i}") for i in range(400)], max_new_tokens=4)
    assert subject.client.ledger.n_tokens <= spent + 400


def test_a_budget_in_money_follows_the_prices() -> None:
    ledger = Ledger(Terms(price_in=1.0, price_out=10.0, budget_cost=0.01))
    with ledger.promised(Usage(n_read=1_000, n_written=100)):
        ledger.spend(Usage(n_read=1_000, n_written=800))
    assert ledger.cost == pytest.approx(0.009)
    assert "0.01 USD of 0.01" in ledger.words
    with pytest.raises(BudgetSpent, match="budget_cost"), ledger.promised(Usage(n_written=200)):
        pass


def test_what_is_under_way_counts_against_the_budget() -> None:
    ledger = Ledger(Terms(budget_tokens=100))
    with (
        ledger.promised(Usage(n_read=60)),
        pytest.raises(BudgetSpent),
        ledger.promised(Usage(n_read=60)),
    ):
        pass
    with ledger.promised(Usage(n_read=60)):
        pass


@pytest.mark.parametrize(
    ("terms", "n_tokens", "wanted_s"),
    [
        (Terms(requests_per_minute=60), 0, 9.0),
        (Terms(tokens_per_minute=600), 20, 18.0),
        (Terms(requests_per_minute=60, tokens_per_minute=600), 5, 9.0),
        (Terms(), 1_000, 0.0),
    ],
)
def test_requests_are_spread(terms: Terms, n_tokens: int, wanted_s: float) -> None:
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(terms, clock=lambda: now[0], sleep=sleep)
    for _ in range(10):
        pace.wait(n_tokens)
    assert math.isclose(now[0] - 100.0, wanted_s)


def test_a_plan_takes_no_bad_manner() -> None:
    from pydantic import TypeAdapter, ValidationError

    for bad in ({"base_path": "no slash"}, {"base_path": "/v1/"}, {"unknown": 1}):
        with pytest.raises(ValidationError):
            TypeAdapter(Manner).validate_python(bad)
