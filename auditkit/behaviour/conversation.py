"""From an agent's messages to the turns that a subject reads."""

from __future__ import annotations

from collections.abc import Sequence

from auditkit.behaviour.tool_calls import Tool, described
from auditkit.model import Prompt, Turn


def prompt_of(said: Sequence[Turn], tools: Sequence[Tool]) -> Prompt:
    """One prompt: tools described in the system turn, consecutive turns of one role made one.

    Some chat templates refuse two turns of a role in a row; results of tools are turns of the user,
    since few templates know another place for them.
    """
    system = [turn.text for turn in said if turn.role == "system"]
    if tools:
        system.append(described(tools))
    rest = [turn for turn in said if turn.role != "system"]
    first = [Turn(role="system", text="\n\n".join(system))] if any(system) else []
    turns = merged([*first, *rest])
    return Prompt(turns=turns or (Turn(role="user", text=""),))


def merged(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The same words with no two turns of one role in a row."""
    result: list[Turn] = []
    for turn in turns:
        if result and result[-1].role == turn.role:
            text = "\n\n".join(t for t in (result[-1].text, turn.text) if t)
            result[-1] = Turn(role=turn.role, text=text)
        else:
            result.append(turn)
    return tuple(result)


def without_system(prompt: Prompt) -> Prompt:
    """The system turn's words at the head of the first turn of the user: for templates that refuse one."""
    if not prompt.turns or prompt.turns[0].role != "system":
        return prompt
    system, *rest = prompt.turns
    return Prompt(turns=merged([Turn(role="user", text=system.text), *rest]))


def cut_at(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """A text up to the first of some strings, and whether one of them was there."""
    places = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)
