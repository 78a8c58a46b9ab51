"""Calls of tools in what a model writes, and what it is told about tools."""

from __future__ import annotations

import json

import pytest

from auditkit.behaviour.conversation import cut_at, merged, prompt_of, without_system
from auditkit.behaviour.tool_calls import Call, Tool, calls_in, described, tool_call
from auditkit.model import Turn

BASH = Tool(
    name="bash",
    description="Runs a command.",
    parameters={"type": "object", "properties": {"command": {}}, "required": ["command"]},
)
SEND = Tool(
    name="send",
    description="Sends.",
    parameters={"type": "object", "properties": {"to": {}, "text": {}}, "required": ["to", "text"]},
)
TOOLS = [BASH, SEND]
LS = Call(name="bash", arguments={"command": "ls -l"})


def turn(role: str, text: str) -> Turn:
    return Turn(role=role, text=text)


@pytest.mark.parametrize(
    ("text", "rest", "calls"),
    [
        ("Hello.", "Hello.", []),
        (tool_call("bash", command="ls -l"), "", [LS]),
        (f"I look.\n{tool_call('bash', command='ls -l')}\nDone.", "I look.\nDone.", [LS]),
        (
            tool_call("bash", command="ls -l") + tool_call("send", to="a", text="b"),
            "",
            [LS, Call(name="send", arguments={"to": "a", "text": "b"})],
        ),
        ('<tool_call>{"name": "bash", "parameters": {"command": "ls -l"}}', "", [LS]),
        ('<tool_call>{"name": "bash", "arguments": "ls -l"}</tool_call>', "", [LS]),
        ('<tool_call>{"name": "bash", "arguments": {"command": "a\nb"}}</tool_call>', "",
         [Call(name="bash", arguments={"command": "a\nb"})]),
        ("Look:\n```bash\nls -l\n```\n", "Look:", [LS]),
        ("```sh\nls -l", "", [LS]),
        ('```json\n{"name": "bash", "arguments": {"command": "ls -l"}}\n```', "", [LS]),
        ("```python\nprint(1)\n```", "```python\nprint(1)\n```", []),  # no tool of that name
        ('```json\n{"answer": 3}\n```', '```json\n{"answer": 3}\n```', []),
        ("```bash\n\n```", "```bash\n\n```", []),
        (f"{tool_call('bash', command='ls -l')}\n```bash\nrm x\n```", "```bash\nrm x\n```", [LS]),
        ('<tool_call>{"name": "nobody"}</tool_call>', "", [Call(name="nobody")]),
    ],
)  # fmt: skip
def test_calls_are_found(text: str, rest: str, calls: list[Call]) -> None:
    assert calls_in(text, TOOLS) == (rest, calls)


@pytest.mark.parametrize(
    ("body", "name", "error"),
    [
        ('{"name": "send", "arguments": {"to": ', "send", "is not a JSON object"),
        ("ls -l", "bash", "is not a JSON object"),
        ("[" * 100_000, "bash", "is not a JSON object"),
        ('{"arguments": {}}', "bash", 'has no "name"'),
        ("[1]", "bash", 'has no "name"'),
        ('{"name": "send", "arguments": "hello"}', "send", "must be a JSON object"),
        ('{"name": "send", "arguments": null}', "send", "must be a JSON object"),
    ],
)
def test_a_malformed_call_is_a_call_that_says_why(body: str, name: str, error: str) -> None:
    _, (call,) = calls_in(f"<tool_call>{body}</tool_call>", TOOLS)
    assert call.name == name
    assert error in call.error
    assert call.arguments == {}


def test_what_is_described_is_what_is_understood() -> None:
    text = described(TOOLS)
    assert json.loads(text.splitlines()[3])["function"]["name"] == "send"
    _, calls = calls_in(text, TOOLS)
    assert Call(name="bash", arguments={"command": "…"}) in calls


def test_turns_of_one_role_are_one_and_tools_stand_in_the_system_turn() -> None:
    said = [turn("user", "a"), turn("user", "b"), turn("assistant", "c"), turn("user", "d")]
    plain = prompt_of(said, [])
    assert [(t.role, t.text) for t in plain.turns] == [
        ("user", "a\n\nb"),
        ("assistant", "c"),
        ("user", "d"),
    ]
    assert merged(plain.turns) == plain.turns
    with_tools = prompt_of([turn("system", "Be good."), *said], [BASH])
    assert with_tools.turns[0].text.startswith("Be good.\n\nYou can call tools.")
    assert with_tools.turns[1:] == plain.turns
    folded = without_system(with_tools)
    assert folded.turns[0].role == "user"
    assert folded.turns[0].text == f"{with_tools.turns[0].text}\n\na\n\nb"
    assert without_system(plain) == plain


def test_a_text_is_cut_at_the_first_of_some_strings() -> None:
    assert cut_at("one STOP two END", ["END", "STOP", ""]) == ("one ", True)
    assert cut_at("one", ["STOP"]) == ("one", False)
