"""The report as data: report.json, derived from plan, identity, environment and evidence alone.

The run writes it with the same function that every verification calls again.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from auditkit_reports.view import SMALL_N_PARAMETERS

import auditkit
from auditkit.canonical import derive_seed, digest, to_json
from auditkit.checks import (
    Check,
    check_left_out,
    folder_name,
    parameter_schema,
    parameters,
    planted_controls,
    valid_row,
)
from auditkit.claims import claim_results
from auditkit.conclude import TARGET, CheckEvidence, conclude, not_assessable
from auditkit.errors import VerificationError
from auditkit.model import (
    Access,
    CheckResult,
    Detection,
    Json,
    ModelKind,
    Observations,
    Outcome,
    Row,
    Sample,
    Status,
)
from auditkit.plan import LockedPlan, Plan, PlannedCheck, configured, parse
from auditkit.recognition import seen
from auditkit.targets.files import weights

if TYPE_CHECKING:
    from auditkit.bundle import Bundle

SCHEMA = "auditkit/report/v1"
N_SHOWN = 5
"""Random samples a check in the report (EU Code of Practice, 7.3(1)(f))."""

PUBLIC_SEEDS = frozenset({0, 20261122})
"""Those of a plan that says none, and of the plans that come with auditkit."""


def assemble(
    locked: LockedPlan, identity: Json, environment: Json, evidence: Sequence[CheckEvidence]
) -> Json:
    """Everything the report says, as JSON.

    Args:
        locked: The plan that was run.
        identity: The bundle's identity.json.
        environment: The bundle's environment.json.
        evidence: Every check's evidence, in the plan's order.

    Raises:
        PluginError: A check's `judge` breaks the protocol.
    """
    plan = locked.plan
    results = conclude(evidence, plan)
    outcomes = {o.value: sum(r.verdict.outcome is o for r in results) for o in Outcome}
    return to_json(
        {
            "schema": SCHEMA,
            "auditkit_version": auditkit.__version__,
            "engagement": plan.engagement,
            "plan": {
                "name": plan.name,
                "sha256": locked.sha256,
                "locked_at": locked.locked_at,
                "seed": plan.seed,
                "alpha": plan.alpha,
                "primary": [c.id for c in plan.checks if c.primary],
                "max_unusable": plan.max_unusable,
            },
            "target": {
                "spec": plan.target,
                "reference": _reference(plan),
                "access": environment["access"],
                "digest": identity["digest"],
                "method": identity["method"],
                "files": identity["files"],
                "unchanged": identity["unchanged"],
                **_fingerprint(identity),
                "description": environment["target"],
            },
            "run": {
                key: environment[key]
                for key in ("started_at", "finished_at", "duration_s", "resumed", "machine")
            },
            "outcomes": outcomes,
            "claims": claim_results(plan.claims, results),
            "checks": [_check(e, r, plan.seed) for e, r in zip(evidence, results, strict=True)],
            "limits": [
                *_out_of_reach(identity, environment),
                *_foreseen(plan),
                *_limits(environment, results),
            ],
            "deviations": _deviations(environment),
        }
    )


def _fingerprint(identity: Json) -> dict[str, Json]:
    """What identified a target whose files are out of reach; nothing for one that has files."""
    said = seen(identity)
    return {} if said is None else {"fingerprint": said}


def _reference(plan: Plan) -> Json:
    """The other model that read the same text, or None."""
    return {"spec": plan.reference, "digest": plan.reference_digest} if plan.reference else None


def recompute(bundle: Bundle) -> Json:
    """report.json derived again from a bundle's plan, identity, environment and evidence.

    Raises:
        VerificationError: The evidence is not that of the plan's samples (`evidence-incomplete`).
        UnknownCheck, PlanError: A check is not installed in the plan's version.
    """
    locked = parse(bundle.plan_text, "plan.json")
    if not isinstance(locked, LockedPlan):
        raise VerificationError("plan-not-locked", "plan.json", expected="a locked plan")
    evidence = [
        evidence_in(bundle, check, planned, locked.plan.seed)
        for planned, check in zip(locked.plan.checks, configured(locked.plan), strict=True)
    ]
    return assemble(locked, bundle.identity, bundle.environment, evidence)


def evidence_in(bundle: Bundle, check: Check, planned: PlannedCheck, seed: int) -> CheckEvidence:
    """A check's evidence, once it is that of the planned samples and of every planned subject.

    Raises:
        VerificationError: ``not-assessed-unfounded``, ``subjects-not-planned``,
            ``samples-not-planned`` or ``row-invalid``.
        PlanError: The target had a say in what it was asked; see `check_left_out`.
    """
    files = {file["path"]: file["sha256"] for file in bundle.identity["files"]}
    check_left_out(check, weights(files, bundle.identity["digest"]))
    record = bundle.evidence[check.about.id]
    access = Access(bundle.environment["access"])
    missing = not_assessable(check, access, kind_of(bundle.environment))
    if record.not_assessed != missing:
        raise VerificationError(
            "not-assessed-unfounded",
            f"evidence of {check.about.id}",
            got=(record.not_assessed or ("an assessment",))[0],
            expected=missing[0] if missing else "evidence: the auditor had the access it needs",
        )
    subjects = [TARGET, *(c.info for c in planted_controls(check, seed, access))]
    if record.subjects and [o.subject for o in record.subjects] != subjects:
        raise VerificationError(
            "subjects-not-planned",
            f"evidence of {check.about.id}",
            got=", ".join(o.subject.name for o in record.subjects),
            expected=f"{', '.join(s.name for s in subjects)}, as the check plants them",
        )
    _check_samples(check, planned, seed)
    if record.subjects and digest(list(record.samples)) != planned.samples_sha256:
        raise VerificationError(
            "samples-not-planned",
            f"evidence/{folder_name(check.about.id)}/samples.jsonl",
            got="other samples than the plan was locked with",
            expected=f"digest {planned.samples_sha256[:16]}…",
        )
    for observed in record.subjects:
        _check_rows(check, observed)
    return CheckEvidence(
        check=check,
        primary=planned.primary,
        subjects=record.subjects,
        not_assessed=record.not_assessed,
    )


def kind_of(environment: Json) -> ModelKind:
    """What kind of model environment.json says that was audited: a language model where it says nothing."""
    return ModelKind(environment["target"].get("kind", ModelKind.LANGUAGE))


def _check_samples(check: Check, planned: PlannedCheck, seed: int) -> None:
    """The planned samples are those that the check makes from parameters and seed."""
    samples = list(check.samples(seed))
    if digest(samples) != planned.samples_sha256:
        raise VerificationError(
            "samples-not-planned",
            f"plan.json: {check.about.id}",
            got=f"samples of digest {planned.samples_sha256[:16]}…",
            expected=f"{digest(samples)[:16]}…, as the check makes them from parameters and seed",
        )
    if len(samples) != planned.n_samples:
        raise VerificationError(
            "samples-not-planned",
            f"plan.json: {check.about.id}: n_samples",
            got=str(planned.n_samples),
            expected=f"{len(samples)}, as the check makes them",
        )


def _check_rows(check: Check, observed: Observations) -> None:
    """What counts as observed is what the check says that an observation is."""
    for row in observed.rows:
        wrong = valid_row(check.about.row, row) if row.status is Status.OK else ""
        if wrong:
            raise VerificationError(
                "row-invalid",
                f"evidence/{folder_name(check.about.id)}/{observed.subject.name}.jsonl: {row.sample_id}",
                got=wrong[:200],
                expected=f"values of a {check.about.row.__name__}",
            )


def _check(evidence: CheckEvidence, result: CheckResult, seed: int) -> dict[str, Any]:
    check = evidence.check
    about = check.about
    properties = parameter_schema(type(check)).get("properties", {})
    return {
        "check": about.id,
        "version": about.version,
        "title": about.title,
        "claim": about.claim,
        "holds_when": about.holds_when,
        "method": inspect.cleandoc(type(check).__doc__ or "").split("\n\nAttributes:")[0],
        "pass_does_not_show": about.pass_does_not_show,
        "defeaters": about.defeaters,
        "sources": about.sources,
        "primary": evidence.primary,
        "needs": [about.needs],
        "params": parameters(check),
        "params_help": {k: v.get("description", "") for k, v in properties.items()},
        "verdict": result.verdict,
        "level": result.level,
        "power": result.power,
        "false_positive_rate": result.false_positive_rate,
        "subjects": result.subjects,
        **({"parts": result.parts} if result.parts else {}),
        "telling": _telling(evidence, result),
        "samples": _random(evidence, seed),
    }


def _telling(evidence: CheckEvidence, result: CheckResult) -> list[dict[str, Any]]:
    """The target's samples that show what was detected in it, as the check picked them."""
    finding = result.subjects[0].finding if result.subjects else None
    if finding is None or finding.detection is not Detection.DETECTED:
        return []
    ids = [s.id for s in evidence.subjects[0].samples]
    wanted = [ids.index(name) for name in finding.telling[:N_SHOWN] if name in ids]
    return [_shown(evidence, i) for i in wanted]


def _random(evidence: CheckEvidence, seed: int) -> list[dict[str, Any]]:
    """Five of the target's samples, drawn by the committed seed: nobody chose them."""
    import numpy as np

    if not evidence.subjects:
        return []
    n = len(evidence.subjects[0].rows)
    rng = np.random.default_rng(derive_seed(seed, evidence.check.about.id, "shown"))
    chosen = rng.choice(n, size=min(N_SHOWN, n), replace=False)
    return [_shown(evidence, i) for i in sorted(int(i) for i in chosen)]


def _shown(evidence: CheckEvidence, i: int) -> dict[str, Any]:
    target = evidence.subjects[0]
    row = target.rows[i]
    return {
        "subject": target.subject.name,
        "sample_id": row.sample_id,
        "status": row.status,
        "reason": row.reason,
        "shown": _exhibit(evidence.check, target.samples[i], row),
    }


def _exhibit(check: Check, sample: Sample, row: Row) -> list[list[str]]:
    exhibit = getattr(check, "exhibit", None)
    if exhibit and row.values:
        return [[str(label), str(text)] for label, text in exhibit(sample, row)]
    pairs = {**sample.input, **row.values}
    return [[str(k), str(to_json(v))] for k, v in pairs.items()]


def _out_of_reach(identity: Json, environment: Json) -> list[str]:
    """What comes with weights that nobody here has seen."""
    if "fingerprint" not in identity:
        return []
    said = [
        "The weights were out of reach. The target is identified by its answers to seeded prompts, which is "
        "weaker than a digest of files; section 'Model identity' names what that can't see.",
        f"What {_server(identity)} puts around the model (a hidden instruction, a filter, a router) was "
        "audited with it, and can be changed by its operator at any time.",
    ]
    if not environment["target"].get("dtype"):
        said.append(
            "The number type in which the model was run is not known: the plan's is that of models on the "
            "auditor's machine."
        )
    if not str(environment["target"].get("sampling", "")).startswith("a seed repeats"):
        said.append(
            f"{_server(identity).capitalize()} does not honour seeds: asking again would give other sampled "
            "answers than the evidence has. Verdicts are derived from the recorded evidence all the same."
        )
    return said


def _server(identity: Json) -> str:
    """Who answered, in words."""
    gives_activations = identity["fingerprint"]["access"] == Access.ACTIVATIONS.value
    return "the server" if gives_activations else "the endpoint"


def _foreseen(plan: Plan) -> list[str]:
    """Whether whoever made the model could have known what would be asked."""
    if plan.seed not in PUBLIC_SEEDS:
        return []
    return [
        f"The plan's seed, {plan.seed}, comes with auditkit: whoever made the model could know every "
        "question beforehand. `auditkit plan lock --seed fresh` draws one that nobody knows."
    ]


def _limits(environment: Json, results: Sequence[CheckResult]) -> list[str]:
    limits = [
        "The audit saw the model as it was supplied, in the contexts named here; it says nothing about "
        "other contexts, later fine-tuning, or tools that the model may be given.",
        "A model that recognises an audit may behave differently in it. Nothing here rules that out.",
        "A model that withholds abilities on purpose was not searched for, unless a check says so.",
    ]
    n_parameters = environment["target"].get("n_parameters") or 0
    if n_parameters < SMALL_N_PARAMETERS:
        size = (
            f"The target has {n_parameters / 1e6:,.0f} million parameters."
            if n_parameters > 0
            else "How many parameters the target has is not known."
        )
        limits.insert(
            0,
            f"{size} Below about one billion the deception checks test the pipeline; they are not "
            "evidence about deception.",
        )
    for r in results:
        if r.verdict.outcome in (Outcome.INCONCLUSIVE, Outcome.NOT_ASSESSED):
            limits.append(f"{r.check} reached no conclusion: {r.verdict.explanation}")
    return limits


def _deviations(environment: Json) -> list[str]:
    resumed = environment["resumed"]
    if not resumed:
        return []
    times = "once" if resumed == 1 else f"{resumed} times"
    return [f"The run was interrupted and taken up again {times}; finished evidence was kept."]
