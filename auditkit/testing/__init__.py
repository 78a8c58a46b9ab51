"""What plugin authors test with: subjects without a model, and the contract that every check keeps.

One test is enough for a plugin, and needs no model:

    from auditkit.testing import FakeSubject, check_contract

    def test_it_keeps_the_contract():
        check_contract(MyCheck(n_items=20), FakeSubject(logprob=my_script))

The subject must be one that the check's controls can be made from, and that does not itself show what
the check looks for. With `Contract` and `RULES` each rule becomes a test of its own.
"""

from auditkit.testing.contract import Contract
from auditkit.testing.fakes import FakeSubject, Muted, hashed_logprob, hashed_reward
from auditkit.testing.suite import RULES, check_contract

__all__ = [
    "RULES",
    "Contract",
    "FakeSubject",
    "Muted",
    "check_contract",
    "hashed_logprob",
    "hashed_reward",
]
