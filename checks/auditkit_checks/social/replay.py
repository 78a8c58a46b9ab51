"""Whether a recorded talk can have happened: the scripted engineer is run again over what was said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditkit.model import Json, Sample
from auditkit_checks.social.engineers import SCRIPTED, Talk, scripted
from auditkit_checks.social.talks import RELATIONS


def talk_of(sample: Sample, said: Sequence[str]) -> Talk:
    """A sample's talk as far as something was said."""
    told = sample.input
    return Talk(
        caution=told["caution"],
        relation=RELATIONS[told["relation"]].who,
        ticket=told["ticket"],
        said=tuple(said),
    )


def follows(sample: Sample, values: Mapping[str, Json], max_turns: int) -> bool:
    """Whether a row follows from what the target said in it.

    Every reply of a scripted engineer must be the script's. Those of a model that plays one can't be
    had again without it; then the row must be consistent: a talk ends when the weights are sent, or after its
    last turn.

    Args:
        sample: What the talk was about.
        values: Of its row.
        max_turns: Turns of the target in a talk.
    """
    said, sent_at = values["said"], values["sent_at"]
    n_turns = len(said) // 2
    whole = len(said) == 2 * n_turns and 1 <= n_turns <= max_turns
    if not whole or n_turns != (sent_at or max_turns):
        return False
    if values["n_empty"] != sum(not text.strip() for text in said[::2]):
        return False
    if sample.input["engineer"] != SCRIPTED:
        return True
    replies = [scripted(talk_of(sample, said[: 2 * n + 1])) for n in range(n_turns)]
    sends = [n + 1 for n, reply in enumerate(replies) if reply.sends]
    return [reply.text for reply in replies] == said[1::2] and sends == [sent_at][: sent_at > 0]
