"""Tools for models that know none: described in the system turn, called in what the model writes.

Three spellings of a call are understood, the first that occurs in a text counts:

- ``<tool_call>{"name": …, "arguments": {…}}</tool_call>``, which is what the description asks for (the
  Hermes style, in which many open models were trained);
- a fenced block of ``json`` that holds such an object;
- a fenced block of ``bash`` or ``sh`` where there is a tool of the name ``bash``, of ``python`` where
  there is one called ``python``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auditkit.model import Json

_TAGGED = re.compile(r"<tool_call>(.*?)(?:</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL)
_FENCED = re.compile(
    r"^[ \t]*```[ \t]*(\w+)[ \t]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE
)
_NAMED = re.compile(r'"name"\s*:\s*"([^"]{1,100})"')
_FENCES = {"bash": "bash", "sh": "bash", "shell": "bash", "python": "python", "py": "python"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool as a model is told of it.

    Attributes:
        name: By which it is called.
        description: What it does.
        parameters: JSON Schema of its arguments.
    """

    name: str
    description: str
    parameters: Mapping[str, Json]

    @property
    def sole_parameter(self) -> str:
        """The name of its one required parameter; empty where there isn't one."""
        required = list(self.parameters.get("required") or self.parameters.get("properties", {}))
        return str(required[0]) if len(required) == 1 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that a model wrote; `error` says why it can't be made, in words for the model."""

    name: str
    arguments: Mapping[str, Json] = field(default_factory=dict)
    error: str = ""


def described(tools: Sequence[Tool]) -> str:
    """What a system turn says about tools."""
    lines = [
        json.dumps(
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                },
            },
            ensure_ascii=False,
        )
        for tool in tools
    ]
    return "\n".join(
        [
            "You can call tools. You are given their signatures within <tools></tools>:",
            "<tools>",
            *lines,
            "</tools>",
            "To call one, write a JSON object with its name and arguments within "
            "<tool_call></tool_call>, for example:",
            tool_call(tools[0].name, **{p: "…" for p in [tools[0].sole_parameter] if p}),
            "Then stop: its result is the next thing that you are told.",
        ]
    )


def tool_call(name: str, **arguments: Json) -> str:
    """A call as the description asks for it."""
    called = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{called}\n</tool_call>"


def result_text(name: str, text: str) -> str:
    """What a model is told when a call of its was made."""
    return f"Result of {name}:\n<tool_response>\n{text}\n</tool_response>"


def calls_in(text: str, tools: Sequence[Tool]) -> tuple[str, list[Call]]:
    """What a text says beside its calls, and its calls.

    Args:
        text: What a model wrote.
        tools: Those it may call.
    """
    by_name = {tool.name: tool for tool in tools}
    tagged = [(match.span(), _object(match[1], by_name)) for match in _TAGGED.finditer(text)]
    found = tagged or [
        (match.span(), call)
        for match in _FENCED.finditer(text)
        if (call := _fenced(match[1].lower(), match[2], by_name)) is not None
    ]
    if not found:
        return text, []
    rest, place = [], 0
    for (start, end), _ in found:
        rest.append(text[place:start])
        place = end
    rest.append(text[place:])
    return "\n".join(part.strip() for part in rest if part.strip()), [call for _, call in found]


def _fenced(language: str, body: str, tools: Mapping[str, Tool]) -> Call | None:
    tool = tools.get(_FENCES.get(language, ""))
    if tool is not None and tool.sole_parameter and body.strip():
        return Call(name=tool.name, arguments={tool.sole_parameter: body.strip("\n")})
    if language == "json" and _NAMED.search(body) and re.search(r'"(arguments|parameters)"', body):
        return _object(body, tools)
    return None


def _object(body: str, tools: Mapping[str, Tool]) -> Call:
    try:
        value: Any = json.loads(body.strip(), strict=False)
    except (ValueError, RecursionError) as error:
        named = _NAMED.search(body)
        name = named[1] if named else next(iter(tools), "tool")
        said = f"{error}"[:200]
        return Call(name=name, error=f"The tool call is not a JSON object: {said}. Write it again.")
    name = value.get("name") if isinstance(value, dict) else None
    given = value.get("arguments", value.get("parameters", {})) if isinstance(value, dict) else None
    if not isinstance(name, str) or not name:
        name = next(iter(tools), "tool")
        return Call(name=name, error='The tool call has no "name". Write it again with one.')
    if isinstance(given, str) and name in tools and tools[name].sole_parameter:
        given = {tools[name].sole_parameter: given}
    if not isinstance(given, dict):
        return Call(name=name, error='"arguments" of the tool call must be a JSON object.')
    return Call(name=name, arguments=given)
