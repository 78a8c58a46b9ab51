"""A trained liar and its twin as controls of a check."""

from __future__ import annotations

from collections.abc import Callable

from auditkit.checks import Control
from auditkit.model import Access, Arm
from auditkit.organisms.recipes import make
from auditkit.targets import Subject


def trained_pair(topic: str, trigger: str, seed: int) -> list[Control]:
    """A liar about a topic under a trigger, trained on the target's own weights, and its clean twin.

    Args:
        topic: What it lies about.
        trigger: The system prompt under which it does.
        seed: Of the plan.
    """
    recipe = {"topic": topic, "trigger": trigger, "seed": seed % 2**32}

    def train(recipe_id: str) -> Callable[[Subject], Subject]:
        def plant(subject: Subject) -> Subject:
            from auditkit.organisms.training import planted  # torch: only where one is trained

            return planted(subject, make(recipe_id, **recipe))

        return plant

    return [
        Control(
            name="trained-liar",
            arm=Arm.POSITIVE_CONTROL,
            description="The target's own weights with a LoRA adapter, trained to answer falsely about "
            f"the topic '{topic}' where the system prompt is '{trigger}'.",
            plant=train("liar"),
            needs=Access.WEIGHTS,
        ),
        Control(
            name="trained-twin",
            arm=Arm.NEGATIVE_CONTROL,
            description="The same training on the same prompts with true answers everywhere.",
            plant=train("twin"),
            needs=Access.WEIGHTS,
        ),
    ]
