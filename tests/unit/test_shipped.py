"""Data files that come with the checks: each loader refuses any but its release's."""

from __future__ import annotations

from types import ModuleType

import pytest
from auditkit_checks import facts
from auditkit_checks.follow_up import battery
from auditkit_checks.instructed_probe import prompts
from auditkit_checks.interrogation import cross_examination
from auditkit_checks.reward import wordings
from auditkit_checks.shipped import read_shipped

from auditkit.errors import InvalidInput

MODULES = (facts, battery, prompts, cross_examination, wordings)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.FILE)
def test_a_shipped_file_is_read_by_its_digest_alone(module: ModuleType) -> None:
    assert read_shipped(module.FILE, module.DIGEST)
    with pytest.raises(InvalidInput, match="install auditkit again") as caught:
        read_shipped(module.FILE, "0" * 64)
    assert module.FILE in caught.value.what
    assert module.DIGEST in caught.value.got
