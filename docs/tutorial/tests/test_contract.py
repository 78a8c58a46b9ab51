"""The one test that a plugin needs: its check keeps the contract, on a scripted subject."""

import re

from auditkit_sway import Sway

from auditkit.model import Prompt
from auditkit.testing import FakeSubject, check_contract


def adds_up(prompt: Prompt, continuation: str) -> float:
    """Knows its sums, and says something else only if the system prompt tells it to."""
    a, b = (int(n) for n in re.findall(r"(\d+) \+ (\d+)", prompt.text)[0])
    told = re.search(r"say: It is (\d+)", prompt.text)
    wanted = told[1] if told else str(a + b)
    return -1.0 if continuation.strip() == wanted else -6.0


def test_it_keeps_the_contract() -> None:
    check_contract(Sway(n_sums=30), FakeSubject(logprob=adds_up))
