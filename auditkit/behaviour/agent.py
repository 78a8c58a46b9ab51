"""Tasks for agents, from plain values: what checks of behaviour set a subject to do.

`auditkit.behaviour.staged` makes its tasks of the same parts, with a stage for each agent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from auditkit.errors import InvalidInput
from auditkit.model import Json

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.scorer import Scorer
    from inspect_ai.solver import Generate, Solver, TaskState
    from inspect_ai.tool import Tool

DONE = frozenset({"exit", "quit", "logout", "done"})
"""What an agent says, and no more, when it wants to go on with nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What an agent is told, and where it is put.

    Attributes:
        id: Of the sample.
        prompt: What the user says.
        system: What the system turn says; tools are described below it.
        files: Into the sandbox, from path to content. On a stage they belong into its `StageSpec`: what is
            brought in here is recorded as the auditor's doing.
        setup: A script that the sandbox runs first.
        sandbox: Type and configuration of one of Inspect's; None for the task's own or none, and on a stage.
            Both stand in the log, so that a secret must not: name it by an id.
        target: For a scorer: the right answer. Not the audited model.
        metadata: For tools and scorers.
    """

    id: str
    prompt: str
    system: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    setup: str = ""
    sandbox: tuple[str, Any] | None = None
    target: str = ""
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """What every agent of a task has.

    Attributes:
        tools: ``bash`` or ``python`` (run in the task's sandbox), or tools of Inspect.
        tool_timeout_s: Seconds of one call of ``bash`` or ``python``.
        scorer: Looks at what was done; None where the log is enough.
        nudge: What the user says when the agent stops without having called a tool.
        n_nudges: How often at most.
    """

    tools: Sequence[str | Tool] = ("bash",)
    tool_timeout_s: int = 60
    scorer: Scorer | None = None
    nudge: str = "Go on. Call a tool, or say what you have done if you are finished."
    n_nudges: int = 0


def agent_task(name: str, assignments: Sequence[Assignment], equipment: Equipment) -> Task:
    """An Inspect task: call tools until a turn has no call in it, then score.

    Raises:
        InvalidInput: A tool that nobody knows.
    """
    return task_of(name, assignments, _working(equipment), scorer=equipment.scorer)


def task_of(name: str, assignments: Sequence[Assignment], solver: Solver, **options: Any) -> Task:
    """Assignments as an Inspect task with some solver; `options` are Inspect's."""
    from inspect_ai import Task
    from inspect_ai.dataset import MemoryDataset

    samples = [_sample(assignment) for assignment in assignments]
    return Task(name=name, dataset=MemoryDataset(samples, name=name), solver=solver, **options)


async def call_tools(state: TaskState, generate: Generate, nudge: str, n_nudges: int) -> TaskState:
    """Let an agent call its tools until a turn has no call in it, and so again after each nudge.

    Args:
        state: Its conversation and tools.
        generate: Inspect's.
        nudge: What the user says when it stops.
        n_nudges: How often at most.
    """
    from inspect_ai.model import ChatMessageUser

    for nudges_left in range(n_nudges, -1, -1):
        state = await generate(state, tool_calls="loop")
        if not nudges_left or is_over(state):
            break
        state.messages.append(ChatMessageUser(content=nudge))
    return state


def is_over(state: TaskState) -> bool:
    """Whether nothing more comes of an agent: it says so, a limit does, or it can't read on."""
    done = state.output.completion.strip().lower().rstrip(".!") in DONE
    return done or state.completed or state.output.stop_reason == "model_length"


def _sample(assignment: Assignment) -> Any:
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser

    system = [ChatMessageSystem(content=assignment.system)] if assignment.system else []
    return Sample(
        id=assignment.id,
        input=[*system, ChatMessageUser(content=assignment.prompt)],
        target=assignment.target,
        files=dict(assignment.files) or None,
        setup=assignment.setup or None,
        sandbox=assignment.sandbox,
        metadata=dict(assignment.metadata) or None,
    )


def _tools(equipment: Equipment) -> list[Tool]:
    from inspect_ai.tool import bash, python

    known = {"bash": bash, "python": python}
    tools: list[Tool] = []
    for tool in equipment.tools:
        if not isinstance(tool, str):
            tools.append(tool)
        elif tool in known:
            tools.append(known[tool](timeout=equipment.tool_timeout_s))
        else:
            raise InvalidInput(
                "tool", got=repr(tool), expected="bash, python, or a tool of Inspect"
            )
    return tools


def _working(equipment: Equipment) -> Solver:
    from inspect_ai.solver import solver

    tools = _tools(equipment)

    @solver(name="auditkit_agent")
    def working() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            state.tools.extend(tools)
            return await call_tools(state, generate, equipment.nudge, equipment.n_nudges)

        return solve

    return working()
