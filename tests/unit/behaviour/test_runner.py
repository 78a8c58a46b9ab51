"""Tasks of Inspect on subjects: scripted ones here, so that every turn is known."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from auditkit.behaviour.agent import Assignment, Equipment, agent_task
from auditkit.behaviour.extract import SampleExtract
from auditkit.behaviour.policies import Scripted, Steps, n_answered, n_pieces, tool_call
from auditkit.behaviour.progress import listening
from auditkit.behaviour.runner import Limits, Terms, run_task
from auditkit.canonical import canonical
from auditkit.errors import InvalidInput, PromptTooLong, SubjectError
from auditkit.model import Prompt, Turn
from auditkit.targets import Completion
from auditkit.testing import FakeSubject, Muted

TERMS = Terms(seed=7)


def scripted(policy: Callable[[Sequence[Turn]], str]) -> Scripted:
    return Scripted(subject=FakeSubject(), policy=policy)


def adding() -> Any:
    """A tool that adds, and fails on negative numbers."""
    from inspect_ai.tool import ToolError, tool

    @tool(name="add")
    def add() -> Any:
        async def execute(a: int, b: int) -> str:
            """Add two numbers.

            Args:
                a: One.
                b: The other.
            """
            if a < 0:
                raise ToolError("no negative numbers")
            return str(a + b)

        return execute

    return add()


def sums(n: int = 3, **equipment: Any) -> Callable[[], Any]:
    from inspect_ai.scorer import includes

    wanted = [
        Assignment(id=f"s{i}", prompt=f"What is {i}+1?", system="Be brief.", target=str(i + 1))
        for i in range(n)
    ]
    options = {"tools": [adding()], "scorer": includes(), **equipment}
    return lambda: agent_task("sums", wanted, Equipment(**options))


def worker(turns: Sequence[Turn]) -> str:
    """Calls the tool, then says what it was told."""
    if n_answered(turns) == 0:
        number = int(turns[-1].text.split()[2].partition("+")[0])
        return f"I add.\n{tool_call('add', a=number, b=1)}"
    return "It is " + turns[-1].text.splitlines()[2]


def by_id(samples: Sequence[SampleExtract]) -> dict[str, SampleExtract]:
    return {s.sample_id: s for s in samples}


def test_logging_is_afterwards_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    from inspect_ai._util import logger

    monkeypatch.setitem(logger._logHandler, "handler", None)  # as in a process that ran no task yet
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    run_task(sums(1), scripted(lambda turns: "7"), TERMS)
    assert (root.level, list(root.handlers)) == before


def test_an_agent_calls_tools_is_told_results_and_is_scored() -> None:
    read: list[Sequence[Turn]] = []

    def policy(turns: Sequence[Turn]) -> str:
        read.append(turns)
        return worker(turns)

    heard: list[int] = []
    with listening(heard.append):
        run = run_task(sums(), scripted(policy), TERMS)
    assert [s.sample_id for s in run.samples] == ["s0", "s1", "s2"]
    assert heard == [1, 2, 3]
    first = run.samples[0]
    assert first.scores["includes"].value == "C"
    assert [m.role for m in first.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert first.messages[2].said.text == "I add."
    assert [(c.tool, c.arguments) for c in first.messages[2].calls] == [("add", '{"a": 0, "b": 1}')]
    assert (first.n_turns, first.n_calls, first.n_errors) == (2, {"add": 1}, {})
    assert (first.stop, first.limit, first.error) == ("stop", "", "")
    assert first.n_read > 0 < first.n_written
    second_turn = next(turns for turns in read if n_answered(turns) == 1)
    assert [t.role for t in second_turn] == ["system", "user", "assistant", "user"]
    assert second_turn[0].text.startswith("Be brief.\n\nYou can call tools.")
    assert second_turn[2].text.startswith("I add.\n<tool_call>")  # as it was written
    assert second_turn[3].text.startswith("Result of add:\n<tool_response>")


def test_malformed_calls_and_tools_that_fail_are_told_to_the_model_and_counted() -> None:
    policy = Steps(
        texts=(
            "<tool_call>{oops</tool_call>",
            tool_call("add", a=-1, b=1),
            tool_call("subtract", a=1, b=1),
            tool_call("add", a="x"),
            "I give up.",
        )
    )
    (sample,) = run_task(sums(1), scripted(policy), TERMS).samples
    results = [m for m in sample.messages if m.role == "tool"]
    assert [m.error for m in results] == ["parsing", "unknown", "parsing", "parsing"]
    assert "is not a JSON object" in results[0].said.text
    assert "no negative numbers" in results[1].said.text
    assert sample.n_errors == {"add": 3, "subtract": 1}
    assert sample.n_calls == {"add": 3, "subtract": 1}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_ones() -> None:
    from inspect_ai import Task
    from inspect_ai.dataset import Sample
    from inspect_ai.model import GenerateConfig

    def make() -> Any:
        dataset = [Sample(input="Hello", id=name) for name in ("a", "b", "c")]
        return Task(dataset=dataset, config=GenerateConfig(temperature=1.0), name="greeting")

    def bytes_of(terms: Terms, ids: tuple[str, ...] = ()) -> dict[tuple[str, int], bytes]:
        run = run_task(make, FakeSubject(), terms, ids)
        return {(s.sample_id, s.epoch): canonical(s) for s in run.samples}

    first = bytes_of(Terms(seed=1, epochs=2))
    assert bytes_of(Terms(seed=1, epochs=2)) == first
    assert bytes_of(Terms(seed=1, epochs=2), ("b",)) == {
        k: v for k, v in first.items() if k[0] == "b"
    }
    assert len(set(first.values())) == 6
    said = {canonical(json.loads(v)["messages"]) for v in first.values()}
    assert len(said) == 6  # the same words asked by another sample or in another epoch
    assert bytes_of(Terms(seed=2, epochs=2)) != first


def test_what_fails_in_one_sample_is_that_samples_error() -> None:
    def policy(turns: Sequence[Turn]) -> str:
        if "1+1" in turns[1].text:
            raise ValueError("cannot add in /home/somebody/secret/place.txt")
        return worker(turns)

    samples = by_id(run_task(sums(), scripted(policy), TERMS).samples)
    assert samples["s0"].error == samples["s2"].error == ""
    assert "cannot add" in samples["s1"].error
    assert "/home" not in samples["s1"].error
    assert samples["s1"].scores == {}


def test_a_mute_subject_is_an_error_of_each_sample() -> None:
    run = run_task(sums(2), Muted(subject=FakeSubject()), TERMS)
    assert ["muted" in s.error for s in run.samples] == [True, True]


@pytest.mark.parametrize(
    ("limits", "limit"), [(Limits(messages=4), "message"), (Limits(tokens=60), "token"),
                          (Limits(turns=2), "turn")]
)  # fmt: skip
def test_limits_end_a_sample_and_are_named(limits: Limits, limit: str) -> None:
    never_done = Steps(texts=(tool_call("add", a=1, b=1),))
    run = run_task(sums(1), scripted(never_done), replace(TERMS, limits=limits))
    assert run.samples[0].limit == limit
    assert run.samples[0].n_turns <= 3


class Forgetful(Scripted):
    def generate(self, prompts: Sequence[Prompt], **options: Any) -> list[Completion]:
        if any(len(p.turns) > 3 for p in prompts):
            raise PromptTooLong("prompt", got="9 tokens", expected="at most 8")
        return super().generate(prompts, **options)


def test_a_conversation_that_outgrows_the_context_window_is_said_to() -> None:
    subject = Forgetful(subject=FakeSubject(), policy=worker)
    (sample,) = run_task(sums(1, n_nudges=3), subject, TERMS).samples
    assert (sample.stop, sample.error) == ("model_length", "")
    assert sample.n_turns == 2


class NoSystem(Scripted):
    def generate(self, prompts: Sequence[Prompt], **options: Any) -> list[Completion]:
        if any(p.turns[0].role == "system" for p in prompts):
            raise SubjectError("chat template", got="no system role")
        return super().generate(prompts, **options)


def test_a_template_without_a_system_role_reads_it_from_the_user() -> None:
    read: list[str] = []

    def policy(turns: Sequence[Turn]) -> str:
        read.append(turns[0].text)
        return "Hm."

    run_task(sums(1), NoSystem(subject=FakeSubject(), policy=policy), TERMS)
    assert read[0].startswith("Be brief.")
    assert "What is 0+1?" in read[0]


def test_a_cut_off_turn_and_stop_strings() -> None:
    from inspect_ai import Task
    from inspect_ai.dataset import Sample
    from inspect_ai.model import GenerateConfig

    def make(**config: Any) -> Callable[[], Any]:
        task = {"dataset": [Sample(input="Say", id="a")], "config": GenerateConfig(**config)}
        return lambda: Task(**task)

    speaker = FakeSubject(answer=lambda _: "one two three four five")
    (cut,) = run_task(make(max_tokens=3), speaker, TERMS).samples
    assert (cut.messages[-1].said.text, cut.stop) == ("one two three", "max_tokens")
    (stopped,) = run_task(make(max_tokens=3, stop_seqs=[" two"]), speaker, TERMS).samples
    assert (stopped.messages[-1].said.text, stopped.stop) == ("one", "stop")
    (refused,) = run_task(make(logprobs=True), speaker, TERMS).samples
    assert "generate config" in refused.error


def test_an_agent_that_stops_is_nudged_so_often() -> None:
    policy = Steps(texts=("Let me think.", "Hm.", tool_call("add", a=1, b=1), "Done."))
    (sample,) = run_task(sums(1, n_nudges=2, nudge="Go on."), scripted(policy), TERMS).samples
    assert [m.said.text for m in sample.messages if m.role == "user"][1:] == ["Go on.", "Go on."]
    assert sample.n_calls == {"add": 1}


def test_other_roles_are_other_subjects() -> None:
    from inspect_ai import Task
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ChatMessageUser, get_model
    from inspect_ai.solver import solver

    @solver
    def asking() -> Any:
        async def solve(state: Any, generate: Any) -> Any:
            said = await get_model(role="engineer").generate("May I?")
            state.messages.append(ChatMessageUser(content=said.completion))
            return await generate(state)

        return solve

    def make() -> Any:
        return Task(dataset=[Sample(input="Ask.", id="a")], solver=asking(), name="asks")

    engineer = scripted(lambda _: "No.")
    terms = replace(TERMS, roles={"engineer": engineer})
    (sample,) = run_task(make, scripted(lambda turns: f"It said: {turns[-1].text}"), terms).samples
    assert sample.messages[-1].said.text == "It said: Ask.\n\nNo."
    assert sample.n_turns == 1
    assert sample.n_written == n_pieces("It said: Ask.\n\nNo.")  # its own words alone


def test_samples_that_are_not_there_are_refused() -> None:
    with pytest.raises(SubjectError, match="no sample 'nobody'"):
        run_task(sums(1), FakeSubject(), TERMS, ("nobody",))
    with pytest.raises(InvalidInput, match="'teleport'"):
        run_task(sums(1, tools=["teleport"]), FakeSubject(), TERMS)


def test_the_log_is_inspects_and_names_no_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def policy(turns: Sequence[Turn]) -> str:
        raise ValueError("no")

    monkeypatch.chdir(Path(__file__).parent)  # in a repository
    log = run_task(sums(1), scripted(policy), TERMS).log
    path = tmp_path / "a.eval"
    path.write_bytes(log)
    from inspect_ai.log import read_eval_log

    read = read_eval_log(str(path))
    assert read.samples is not None
    assert read.samples[0].error is not None
    import zstandard

    text = ""
    with zipfile.ZipFile(BytesIO(log)) as archive:
        for info in archive.infolist():
            with archive.open(info) if info.compress_type < 90 else _raw(log, info) as stream:
                data = stream.read()
            if info.compress_type >= 90:
                data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
            text += data.decode()
    assert '"revision":null' in text.replace(" ", "") or '"revision"' not in text
    for private in (socket.gethostname(), str(Path.home()) + "/", str(Path(__file__).parents[3])):
        assert private not in text


def _raw(log: bytes, info: zipfile.ZipInfo) -> BytesIO:
    head = log[info.header_offset : info.header_offset + 30]
    start = info.header_offset + 30 + int.from_bytes(head[26:28], "little")
    start += int.from_bytes(head[28:30], "little")
    return BytesIO(log[start : start + info.compress_size])


PROGRAM = """
import os, sys
from auditkit.behaviour.policies import Scripted
from auditkit.behaviour.runner import Terms, run_task
from auditkit.testing import FakeSubject
assert "inspect_ai" not in sys.modules and "torch" not in sys.modules
def make():
    from inspect_ai import Task
    from inspect_ai.dataset import Sample
    return Task(dataset=[Sample(input="Hi", id="a")])
run = run_task(make, Scripted(subject=FakeSubject(), policy=lambda turns: "Hello."), Terms(seed=1))
assert run.samples[0].messages[-1].said.text == "Hello."
assert "SECRET_OF_DOTENV" not in os.environ
assert os.environ["INSPECT_EVAL_MODEL"] == "openai/gpt"
"""


def test_nothing_is_printed_left_behind_or_taken_from_the_surroundings(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SECRET_OF_DOTENV=1\nINSPECT_LOG_DIR=elsewhere\n")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("XDG")}
    odd = {
        "HOME": str(tmp_path),
        "INSPECT_EVAL_MODEL": "openai/gpt",
        "INSPECT_TELEMETRY": "no.such",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**inherited, **odd},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == [".env"]


def test_a_task_runs_in_a_process_in_which_activations_were_read(folder: Path) -> None:
    code = (
        "import sys\n"
        "from auditkit.model import Prompt\n"
        "from auditkit.targets.local import load, parse_spec\n"
        "target = load(parse_spec(sys.argv[1]))\n"
        "target.activations([Prompt(raw='a')])\n"
        "assert 'save' not in dir(object)\n"
        "import inspect_ai\n"
    )
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
