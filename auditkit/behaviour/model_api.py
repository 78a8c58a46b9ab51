"""A loaded subject as a model of Inspect: no second copy, no network, requests answered in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from inspect_ai.log._samples import sample_active  # no public name says whose request this is
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageTool,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    StopReason,
    modelapi,
)
from inspect_ai.tool import ToolCall, ToolChoice, ToolFunction, ToolInfo

from auditkit.behaviour.batching import Batcher, Request
from auditkit.behaviour.conversation import cut_at, prompt_of, without_system
from auditkit.behaviour.tool_calls import Call, Tool, calls_in, result_text, tool_call
from auditkit.canonical import derive_seed, digest
from auditkit.errors import PromptTooLong, SubjectError
from auditkit.model import Prompt, Turn
from auditkit.targets import Completion

SAID = "auditkit_said"
"""Metadata of a message: the text as the model wrote it, calls and all, which is what it reads again."""

_REFUSED = (
    "best_of",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "presence_penalty",
    "prompt_logprobs",
    "response_schema",
    "top_k",
    "top_logprobs",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a subject is asked.

    Attributes:
        seed: Every request's seed derives from it, from the sample's id and epoch, and from what is read.
        max_new_tokens: Of one turn, where the task doesn't say.
        on_turn: Called after each completion.
    """

    seed: int
    max_new_tokens: int
    on_turn: Callable[[], None]


@modelapi(name="auditkit")
class SubjectAPI(ModelAPI):
    """Answers through a batcher. Without a temperature in the task's config it answers greedily.

    Tools are described in the system turn, whatever the chat template knows of them, and their calls
    read from the text (`auditkit.behaviour.tool_calls`).
    """

    def __init__(self, model_name: str, *, batcher: Batcher, manner: Manner) -> None:
        super().__init__(model_name, config=GenerateConfig())
        self._batcher, self._manner = batcher, manner
        self._folds_system = False
        self._asked: Counter[tuple[str, int, str]] = Counter()

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        """One turn.

        Raises:
            SubjectError: Recorded by Inspect as this sample's error.
        """
        _refuse(config)
        offered = [] if tool_choice == "none" else [_tool(tool) for tool in tools]
        if isinstance(tool_choice, ToolFunction):
            offered = [tool for tool in offered if tool.name == tool_choice.name]
        prompt = prompt_of([_turn(message) for message in input], offered)
        request = self._request(prompt, config)
        try:
            completion = await self._complete(request)
        except PromptTooLong as error:
            return ModelOutput.from_content(
                self.model_name, "", stop_reason="model_length", error=str(error)
            )
        self._manner.on_turn()
        return self._output(completion, offered, config.stop_seqs or [], request)

    async def count_text_tokens(self, text: str) -> int:
        """About how many tokens a text has. Inspect would download a vocabulary to count them."""
        return len(text.encode()) // 3 + 1

    def max_tokens(self) -> int | None:
        """What a turn may have where the task doesn't say."""
        return self._manner.max_new_tokens

    def max_connections(self) -> int:
        """As many at once as make a batch."""
        return self._batcher.max_batch

    def connection_key(self) -> str:
        """Each subject has connections of its own."""
        return self.model_name

    async def _complete(self, request: Request) -> Completion:
        """The batcher's answer, without a system turn once the template has refused one."""
        if self._folds_system:
            request = replace(request, prompt=without_system(request.prompt))
        try:
            return await self._batcher.complete(request)
        except SubjectError as error:
            folded = without_system(request.prompt)
            if error.what != "chat template" or folded == request.prompt:
                raise
        completion = await self._batcher.complete(replace(request, prompt=folded))
        self._folds_system = True
        return completion

    def _request(self, prompt: Prompt, config: GenerateConfig) -> Request:
        """With a seed that follows from who asks what, and how often it was asked before.

        Not from the number of a turn: where agents branch, their order is nobody's.
        """
        active = sample_active()
        name, epoch = (str(active.sample.id), active.epoch) if active else ("", 0)
        read = digest(prompt)
        self._asked[name, epoch, read] += 1
        parts = (name, str(epoch), read, str(self._asked[name, epoch, read]), str(config.seed or 0))
        return Request(
            prompt=prompt,
            max_new_tokens=config.max_tokens or self._manner.max_new_tokens,
            temperature=config.temperature or 0.0,
            top_p=1.0 if config.top_p is None else config.top_p,
            seed=derive_seed(self._manner.seed, *parts),
        )

    def _output(
        self, completion: Completion, tools: Sequence[Tool], stops: Sequence[str], request: Request
    ) -> ModelOutput:
        said, stopped = cut_at(completion.text, stops)
        rest, calls = calls_in(said, tools) if tools else (said, [])
        reason: StopReason = "max_tokens" if completion.truncated and not stopped else "stop"
        message = ChatMessageAssistant(
            content=rest,
            tool_calls=[_tool_call(call, n, request.seed) for n, call in enumerate(calls)] or None,
            model=self.model_name,
            source="generate",
            metadata={SAID: said} if calls else None,
        )
        n_read, n_written = completion.n_prompt_tokens, completion.n_tokens
        return ModelOutput(
            model=self.model_name,
            choices=[
                ChatCompletionChoice(
                    message=message,
                    stop_reason="tool_calls" if calls and reason == "stop" else reason,
                )
            ],
            usage=ModelUsage(
                input_tokens=n_read, output_tokens=n_written, total_tokens=n_read + n_written
            ),
        )


def _refuse(config: GenerateConfig) -> None:
    """What can't be done is an error of the sample, and never silently something else."""
    asked = [name for name in _REFUSED if getattr(config, name, None)]
    if (config.num_choices or 1) > 1:
        asked.append("num_choices")
    if asked:
        raise SubjectError(
            "generate config", got=", ".join(asked), expected="temperature, top_p, seed, max_tokens"
        )


def _tool(info: ToolInfo) -> Tool:
    return Tool(
        name=info.name,
        description=info.description,
        parameters=info.parameters.model_dump(exclude_none=True),
    )


def _turn(message: ChatMessage) -> Turn:
    """What a subject reads of a message; results of tools are told by the user."""
    if not isinstance(message.content, str) and any(
        content.type not in ("text", "reasoning") for content in message.content
    ):
        raise SubjectError("message", got="media", expected="text: this subject reads nothing else")
    if isinstance(message, ChatMessageTool):
        failed = f"Error: {message.error.message}" if message.error else ""
        text = "\n".join(part for part in (failed, message.text) if part)
        return Turn(role="user", text=result_text(message.function or "the tool", text))
    if isinstance(message, ChatMessageAssistant):
        return Turn(role="assistant", text=_said(message))
    return Turn(role=message.role, text=message.text)


def _said(message: ChatMessageAssistant) -> str:
    said: Any = (message.metadata or {}).get(SAID)
    if isinstance(said, str):
        return said
    calls = [tool_call(call.function, **call.arguments) for call in message.tool_calls or []]
    return "\n".join(part for part in (message.text, *calls) if part)


def _tool_call(call: Call, number: int, seed: int) -> ToolCall:
    return ToolCall(
        id=f"call-{seed:08x}-{number}",
        function=call.name,
        arguments=dict(call.arguments),
        parse_error=call.error or None,
    )
