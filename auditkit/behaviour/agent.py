"""Tasks for an agent with tools, from plain values: what checks of behaviour set a subject to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from auditkit.errors import InvalidInput
from auditkit.model import Json

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.scorer import Scorer
    from inspect_ai.solver import Solver
    from inspect_ai.tool import Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What an agent is told, and where it is put.

    Attributes:
        id: Of the sample.
        prompt: What the user says.
        system: What the system turn says; tools are described below it.
        files: Into the sandbox, from path to content.
        setup: A script that the sandbox runs first.
        sandbox: Type and configuration; None for the task's own or none. Both stand in the log, so
            that a secret must not: name it by an id.
        target: For a scorer.
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
        tools: ``bash`` or ``python`` (run in the sandbox), or tools of Inspect.
        tool_timeout_s: Of one command.
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
    from inspect_ai import Task
    from inspect_ai.dataset import MemoryDataset

    return Task(
        name=name,
        dataset=MemoryDataset([sample_of(assignment) for assignment in assignments], name=name),
        solver=_working(equipment, _tools(equipment)),
        scorer=equipment.scorer,
    )


def sample_of(assignment: Assignment) -> Any:
    """An assignment as a sample of Inspect."""
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


def _working(equipment: Equipment, tools: Sequence[Tool]) -> Solver:
    from inspect_ai.model import ChatMessageUser
    from inspect_ai.solver import Generate, TaskState, solver

    @solver(name="auditkit_agent")
    def working() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            state.tools.extend(tools)
            for nudges_left in range(equipment.n_nudges, -1, -1):
                state = await generate(state, tool_calls="loop")
                if not nudges_left or state.completed or state.output.stop_reason == "model_length":
                    break
                state.messages.append(ChatMessageUser(content=equipment.nudge))
            return state

        return solve

    return working()
