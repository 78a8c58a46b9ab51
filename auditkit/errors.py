"""The one exception tree. Only the command line turns an error into an exit.

AuditkitError
├── InvalidInput            what a person or a file gave us is not what we can use
│   ├── PlanError           a plan does not parse, does not validate, or was changed after locking
│   ├── UnknownCheck        no installed package registers a check of that id
│   └── TargetRefused       missing, unreadable, pickled, wanting trust_remote_code, symlinked out …
├── PluginError             a check plugin fails to load or breaks the protocol: the run stops
├── SandboxError            a sandbox could not be started, died, or can't do what it was asked for
├── SubjectError            the model could not answer one request; recorded, never fatal
│   └── PromptTooLong       prompt and answer don't fit into the model's context window
├── EndpointError           a model behind an API is not there or refuses us: the run stops and can go on
│   └── BudgetSpent         another question would cost more than the auditor allows
├── IdentityChanged         the target is no longer the one that was identified
├── StoreError              evidence on disk can't be used (another plan's, damaged, disk full)
├── MissingTool             a library, extra, sandbox or font that this command needs is not here
├── SigningError            a key can't be read, written or used
└── VerificationError       a bundle or PDF is not what its signer signed
"""

from __future__ import annotations


class AuditkitError(Exception):
    """Anything auditkit tells a person. Its message says what, got, expected, next step.

    Args:
        what: The thing that is wrong, with its place (``plan.yaml: checks[0].params.n_items``).
        got: What was found there.
        expected: What would have been right.
        next_step: What the reader can do about it.
    """

    code = "error"

    def __init__(
        self, what: str, *, got: str = "", expected: str = "", next_step: str = ""
    ) -> None:
        self.what, self.got, self.expected, self.next_step = what, got, expected, next_step
        parts = [what]
        if got:
            parts.append(f"got {got}")
        if expected:
            parts.append(f"expected {expected}")
        sentence = ", ".join(parts)
        super().__init__(f"{sentence}; {next_step}." if next_step else f"{sentence}.")


class InvalidInput(AuditkitError):
    code = "invalid-input"


class PlanError(InvalidInput):
    code = "plan"


class UnknownCheck(InvalidInput):
    code = "unknown-check"


class TargetRefused(InvalidInput):
    code = "target-refused"


class PluginError(AuditkitError):
    code = "plugin"


class SandboxError(AuditkitError):
    code = "sandbox"


class SubjectError(AuditkitError):
    code = "subject"


class PromptTooLong(SubjectError):
    code = "prompt-too-long"


class EndpointError(AuditkitError):
    code = "endpoint"


class BudgetSpent(EndpointError):
    code = "budget"


class IdentityChanged(AuditkitError):
    code = "identity-changed"


class StoreError(AuditkitError):
    code = "store"


class MissingTool(AuditkitError):
    code = "missing-tool"


class SigningError(AuditkitError):
    code = "signing"


class VerificationError(AuditkitError):
    """A bundle or PDF that must not be believed.

    Args:
        code: The named reason, stable across releases (``file-changed``, ``wrong-signer`` …).
        what: As in `AuditkitError`.
        got: As in `AuditkitError`.
        expected: As in `AuditkitError`.
        next_step: As in `AuditkitError`.
    """

    def __init__(
        self, code: str, what: str, *, got: str = "", expected: str = "", next_step: str = ""
    ) -> None:
        super().__init__(what, got=got, expected=expected, next_step=next_step)
        self.code = code
