"""From prompts and continuations to token ids, in one documented way for every model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from auditkit.canonical import sha256
from auditkit.errors import SubjectError
from auditkit.model import Prompt

_ANCHOR = "\n"


class Encoder:
    """A tokenizer, as auditkit uses it.

    - A chat goes through the tokenizer's chat template with the generation prompt added. Where its
      last turn is the assistant's, that turn is left open instead, to be read or continued.
    - Without a template (a base model) a chat is written plainly: ``System: …``, ``User: …`` and
      ``Assistant: …`` with a blank line between, ending in ``Assistant:``. `chat_format` says which
      of the two it was. Such a model may go on with turns that it makes up; they are left in.
    - A conversation that a reward model is to score is closed: after its last turn comes what the template
      puts there. Without a template it is the same plain text, with whatever special tokens this tokenizer
      puts around a text by itself.
    - A raw text gets the beginning-of-sequence token if this tokenizer puts one there by itself,
      and never an end-of-sequence token.
    - A continuation is tokenised on its own, without special tokens, and appended to the prompt's
      ids: prompt and continuation never merge into one token. Tokenizers that put a space before
      any text are kept from doing that to a continuation.

    Args:
        tokenizer: Of transformers, fast or slow.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._prefix = _leading_specials(tokenizer)
        self._anchor = self._plain(_ANCHOR)

    @property
    def template_sha256(self) -> str | None:
        """Digest of the chat template, None where there is none."""
        template = getattr(self.tokenizer, "chat_template", None)
        if not template:
            return None
        return sha256(template.encode() if isinstance(template, str) else repr(template).encode())

    @property
    def chat_format(self) -> str:
        """How chats are written, in words for a report."""
        if self.template_sha256:
            return "the target's chat template"
        return "plain text (System:, User:, Assistant:), since the target has no chat template"

    def prompt(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt.

        Raises:
            SubjectError: Where the chat template refuses the turns, or nothing is left.
        """
        if prompt.raw:
            ids = self._prefix + self._plain(prompt.raw)
        elif self.template_sha256:
            ids = self._plain(self._templated(prompt))
        else:
            ids = self._prefix + self._plain(plain_chat(prompt))
        return _some(ids)

    def conversation(self, prompt: Prompt) -> list[int]:
        """Token ids of a whole conversation, as a reward model reads it.

        Raises:
            SubjectError: Where the last turn is not the assistant's, the chat template refuses the turns, or
                nothing is left.
        """
        if prompt.turns and prompt.turns[-1].role != "assistant":
            raise SubjectError(
                "conversation",
                got=f"one that ends with the {prompt.turns[-1].role}",
                expected="an answer at its end, which the reward is for",
            )
        if prompt.turns and self.template_sha256:
            return _some(self._plain(self._templated(prompt, closed=True)))
        text = prompt.raw or plain_chat(prompt)
        return _some(list(self.tokenizer(text)["input_ids"]))

    def continuation(self, text: str) -> list[int]:
        """Token ids of a continuation.

        Raises:
            SubjectError: For a text without tokens.
        """
        anchored = self._plain(_ANCHOR + text)
        n = len(self._anchor)
        ids = self._plain(text)
        if self._adds_space(ids) and anchored[:n] == self._anchor:
            ids = anchored[n:]
        if not ids:
            raise SubjectError("continuation", got=repr(text), expected="a text with tokens")
        return ids

    def text(self, ids: Sequence[int]) -> str:
        """What a model wrote, without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def _plain(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _adds_space(self, ids: list[int]) -> bool:
        """Whether this tokenizer begins any text with a space mark (as Llama 2's does)."""
        probe = self.tokenizer.convert_ids_to_tokens(self._plain("a"))
        return bool(ids and probe) and str(probe[0]).startswith(("▁", "Ġ"))

    def _templated(self, prompt: Prompt, *, closed: bool = False) -> str:
        import jinja2

        turns = [{"role": turn.role, "content": turn.text} for turn in prompt.turns]
        prefilled = prompt.turns[-1].role == "assistant"
        try:
            rendered = self.tokenizer.apply_chat_template(
                turns,
                tokenize=False,
                add_generation_prompt=not prefilled,
                continue_final_message=prefilled and not closed,
            )
        except (jinja2.TemplateError, ValueError, TypeError, KeyError) as error:
            raise SubjectError(
                "chat template",
                got=str(error) or type(error).__name__,
                expected="a template for these turns",
            ) from error
        if not _holds(str(rendered), [turn.text for turn in prompt.turns]):
            raise SubjectError(
                "chat template",
                got="a rendering that leaves out or reorders what was to be said",
                expected="every turn's text, in order: the template is the audited party's file",
            )
        return str(rendered)


def _some(ids: list[int]) -> list[int]:
    if not ids:
        raise SubjectError("prompt", got="no tokens", expected="at least one")
    return ids


def _holds(rendered: str, texts: Sequence[str]) -> bool:
    """Whether all texts stand in a rendering, one after the other."""
    place = 0
    for text in texts:
        found = rendered.find(text.strip(), place)
        if found < 0:
            return False
        place = found + len(text.strip())
    return True


def plain_chat(prompt: Prompt) -> str:
    """A chat for a model without a chat template."""
    words = "\n\n".join(f"{turn.role.capitalize()}: {turn.text}" for turn in prompt.turns)
    return words if prompt.turns[-1].role == "assistant" else f"{words}\n\nAssistant:"


def _leading_specials(tokenizer: Any) -> list[int]:
    """What the tokenizer puts before every text: the beginning-of-sequence token, or nothing."""
    alone = list(tokenizer("")["input_ids"])
    first = tokenizer.bos_token_id
    return [first] if first is not None and alone[:1] == [first] else []
