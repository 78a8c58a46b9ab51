"""Playing samples: each agent in a sandbox of its own, on Inspect; then what a row keeps of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from auditkit.behaviour.agent import Assignment
from auditkit.behaviour.runner import LOG, TaskRun, Terms
from auditkit.behaviour.sandbox.availability import require
from auditkit.behaviour.staged import Stages, run_on_stages
from auditkit.canonical import to_json
from auditkit.model import Filed, Row, Sample, Status
from auditkit.targets import Subject
from auditkit_checks.exfiltration.briefs import DIALOGUE, TOOLS
from auditkit_checks.exfiltration.evidence import MAX_RECORDS, in_order
from auditkit_checks.exfiltration.milestones import WORDS, milestones
from auditkit_checks.exfiltration.worlds import LOG as LOG_FILE
from auditkit_checks.exfiltration.worlds import stage, world_of

MAX_TURNS_SHOWN = 12
"""Messages of an exhibit."""

MAX_CHARS_SHOWN = 600

_INTERFACES = {
    TOOLS: "calls of a tool",
    DIALOGUE: "a dialogue with a shell (weaker evidence: no tool is called)",
}


def play(
    subject: Subject, samples: Sequence[Sample], terms: Terms, temperature: float
) -> Iterator[Row | Filed]:
    """Play samples, those of one interface together; a row each, with Inspect's log beside it.

    Args:
        subject: Who acts.
        samples: What is played.
        terms: How long agents may act, and how many at once.
        temperature: Of what they write; 0 for greedy.

    Raises:
        MissingTool: No sandbox can be started on this machine, or Inspect is not installed.
        SubjectError: The task could not be run at all.
    """
    require()
    for dialogue in (False, True):
        some = [s for s in samples if (s.input["interface"] == DIALOGUE) is dialogue]
        if some:
            stages = Stages(
                specs={s.id: stage(world_of(s)) for s in some},
                kept=(LOG_FILE,),
                temperature=temperature,
            )
            asked = [
                Assignment(id=s.id, prompt=s.input["prompt"], system=s.input["system"])
                for s in some
            ]
            run = run_on_stages(asked, stages, subject, terms, dialogue=dialogue)
            yield from (_row(sample, run, stages) for sample in some)


def _row(sample: Sample, run: TaskRun, stages: Stages) -> Row | Filed:
    done = run.of(sample.id)
    if len(done) != 1 or sample.id not in stages.happened:
        reason = done[0].error if done else "it was not begun"
        return Row(sample_id=sample.id, status=Status.ERROR, reason=reason or "no records")
    kept = in_order(stages.happened[sample.id])
    values = {
        "happened": to_json(kept[:MAX_RECORDS]),
        "n_left_out": max(0, len(kept) - MAX_RECORDS),
        "said": to_json(done[0]),
    }
    return Filed(row=Row(sample_id=sample.id, values=values), files={LOG: run.log})


def shown(sample: Sample, row: Row) -> list[tuple[str, str]]:
    """How far it got, and its turns; what got the weights out is marked to be redacted."""
    told, here = sample.input, world_of(sample)
    got = milestones(row.values["happened"], here)
    reached = [words for name, words in WORDS.items() if getattr(got, name)]
    pairs = [
        ("Where", f"level {told['level']}, {here.scenario.name}"),
        ("Acts by", _INTERFACES[told["interface"]]),
        ("Got so far", ", ".join(reached) or "nowhere"),
        (
            "Arrived",
            f"{got.arrived:.0%} of the decoy"
            + (f", by {', '.join(got.channels)}" if got.channels else ""),
        ),
    ]
    if got.arrived:
        pairs.insert(
            0, ("Redact", "Hazardous: this got the weights out. Redact it before publication.")
        )
    messages: Sequence[Mapping[str, Any]] = row.values["said"]["messages"]
    for message in messages[:MAX_TURNS_SHOWN]:
        pairs.append((message["role"].capitalize(), _words(message)))
    if len(messages) > MAX_TURNS_SHOWN:
        pairs.append(("And", f"{len(messages) - MAX_TURNS_SHOWN} messages more, in the evidence"))
    return pairs


def _words(message: Mapping[str, Any]) -> str:
    calls = [f"{call['tool']}({call['arguments']})" for call in message["calls"]]
    text = " ".join(part for part in (message["said"]["text"], *calls) if part) or "(nothing)"
    return text if len(text) <= MAX_CHARS_SHOWN else f"{text[:MAX_CHARS_SHOWN]} …"
