"""Agents on stages: each sample's agent in a sandbox of its own, with one shell that stays.

The agent calls a tool, or, in a dialogue, whatever it writes is run as a command: for models that were not
trained to call tools. What happened on the stage is told by the sandbox, not by the agent.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from auditkit.behaviour.agent import DONE, Assignment, call_tools, is_over, task_of
from auditkit.behaviour.offers import offered, sandbox_of
from auditkit.behaviour.runner import TaskRun, Terms, run_task
from auditkit.behaviour.sandbox.stage import ExecResult, Record, StageSpec
from auditkit.errors import SandboxError

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.solver import Generate, Solver, TaskState
    from inspect_ai.tool import Tool

    from auditkit.behaviour.sandbox.sandbox import Sandbox
    from auditkit.targets import Subject

    Act = Callable[[TaskState, Generate, Sandbox], Awaitable[None]]

_STAGE = "stage"

KEPT_FILE = "kept_file"
"""Kind of the records that say what became of a file in the end."""

MAX_SHOWN = 800
"""Characters of a command's output that the agent is shown."""

NUDGE = "Go on: call the tool. If there is nothing left to do, write exit."
N_NUDGES = 2

_FENCE = re.compile(r"```(?:bash|sh|shell|console)?[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL)
_PROMPT_SIGN = re.compile(r"^\s*[$#>]\s+", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The stages of some samples, and what happened on them.

    Attributes:
        specs: The stage of each sample, by its id.
        kept: Absolute paths, the same on every stage, of files whose content at the end is recorded
            (`KEPT_FILE`): what an agent made of them.
        temperature: Of what agents write; 0 for greedy.
        happened: By sample's id, once its agent has ended: what the sandbox recorded, in order, then a record
            of kind ``unsettled`` where something still ran, then the kept files. A sample whose sandbox did
            not start is not there. Filled in by a run, so make a new `Stages` for each.
    """

    specs: Mapping[str, StageSpec]
    kept: tuple[str, ...] = ()
    temperature: float = 0.0
    happened: dict[str, tuple[Record, ...]] = field(default_factory=dict)


def run_on_stages(
    assignments: Sequence[Assignment],
    stages: Stages,
    subject: Subject,
    terms: Terms,
    *,
    dialogue: bool,
) -> TaskRun:
    """Let each agent act on its stage until it is done or a limit ends it.

    Args:
        assignments: What the agents are told; their ids are those of the stages.
        stages: Where they act; `happened` is filled in.
        subject: Who answers for all of them.
        terms: How. Set a limit on turns: nothing else ends a dialogue with an agent that never says `DONE`.
        dialogue: Whether what an agent writes is the command (say so in the system turn); else it calls a
            tool ``bash``, which is described there without your doing.

    Returns:
        What was said, sample by sample, and Inspect's log. A sample that broke off has `error` there.

    Raises:
        SubjectError: The task could not be run at all.
        MissingTool: Inspect is not installed.
        KeyboardInterrupt: The run was interrupted; nothing of this call is kept.
    """
    placed = [replace(a, metadata={**a.metadata, _STAGE: a.id}) for a in assignments]
    with offered(lambda metadata: stages.specs[metadata[_STAGE]]) as sandbox:

        def make() -> Task:
            from inspect_ai.model import GenerateConfig

            config = GenerateConfig(temperature=stages.temperature or None)
            solver = _on_stage(stages, _talks if dialogue else _calls)
            return task_of("stage", placed, solver, config=config, sandbox=sandbox)

        return run_task(make, subject, terms)


def _on_stage(stages: Stages, act: Act) -> Solver:
    from inspect_ai.solver import solver
    from inspect_ai.util import sandbox as current

    @solver(name="auditkit_staged")
    def acting() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            sandbox = sandbox_of(current())
            try:
                await act(state, generate, sandbox)
            finally:
                # Twice, since whoever is cut off may not be left the time to wait.
                stages.happened[str(state.sample_id)] = _unsettled(sandbox, "it was cut off")
                happened = await _settled(sandbox)
                ends = [end for path in stages.kept for end in await end_of(sandbox, path)]
                stages.happened[str(state.sample_id)] = (*happened, *ends)
            return state

        return solve

    return acting()


async def end_of(sandbox: Sandbox, path: str) -> tuple[Record, ...]:
    """What became of a file, with the agent's own rights: ``path``, and ``body`` in base64 or None where it
    can't be read any more.

    Nothing where the sandbox is dead: then nobody knows, and it is nobody's doing.
    """
    try:
        body: str | None = base64.b64encode(await sandbox.read_file(path)).decode()
    except (OSError, SandboxError):
        if not sandbox.alive:
            return ()
        body = None
    return (Record(t_s=0.0, kind=KEPT_FILE, detail={"path": path, "body": body}),)


async def _settled(sandbox: Sandbox) -> tuple[Record, ...]:
    """The records once all has ended; with one of kind `unsettled` behind them where it had not."""
    try:
        done = await sandbox.settle()
    except SandboxError:
        return _unsettled(sandbox, "the sandbox was dead")
    return sandbox.records() if done else _unsettled(sandbox, "something still ran")


def _unsettled(sandbox: Sandbox, why: str) -> tuple[Record, ...]:
    found = sandbox.records()
    last_s = found[-1].t_s if found else 0.0
    return (*found, Record(t_s=last_s, kind="unsettled", detail={"why": why}))


async def _calls(state: TaskState, generate: Generate, sandbox: Sandbox) -> None:
    state.tools.append(_shell(sandbox))
    await call_tools(state, generate, NUDGE, N_NUDGES)


async def _talks(state: TaskState, generate: Generate, sandbox: Sandbox) -> None:
    from inspect_ai.model import ChatMessageUser

    while True:  # a limit on turns ends it
        state = await generate(state, tool_calls="none")
        if is_over(state):
            return
        command = command_in(state.output.completion)
        if command.lower() in DONE:
            return
        result = await sandbox.shell(command) if command else None
        state.messages.append(ChatMessageUser(content=shown(result) if result else "(no command)"))


def _shell(sandbox: Sandbox) -> Tool:
    from inspect_ai.tool import tool

    @tool(name="bash")
    def bash() -> Tool:
        async def execute(command: str) -> str:
            """Run a bash command.

            Args:
                command: The command.
            """
            return shown(await sandbox.shell(command.replace("\0", "")))

        return execute

    return bash()


def command_in(text: str) -> str:
    """The command in a message: what stands in its first fence, else all of it, without a prompt's sign."""
    fenced = _FENCE.search(text)
    return _PROMPT_SIGN.sub("", (fenced[1] if fenced else text).replace("\0", "")).strip()


def shown(result: ExecResult) -> str:
    """What an agent reads of a command's end."""
    text = "\n".join(part for part in (_text(result.stdout), _text(result.stderr)) if part).strip()
    if len(text) > MAX_SHOWN:
        text = f"{text[:MAX_SHOWN]}\n[{len(text) - MAX_SHOWN} more characters]"
    if result.timed_out:
        return f"{text}\n[stopped: it took too long]".strip()
    if result.returncode:
        return f"{text}\n[exit code {result.returncode}]".strip()
    return text or "[no output]"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").rstrip("\n")
