"""Which clauses of public texts this report says something about, and where.

A pointer is no claim of conformity. The default is 'not assessed'.

Source: EU General-Purpose AI Code of Practice, Safety and Security chapter (10 July 2025), Commitments 3
and 7 and Appendix 3; NIST AI 100-1 (AI RMF 1.0), MEASURE; ISO/IEC 42001:2023, by clause title only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

COP = "EU General-Purpose AI Code of Practice, Safety and Security"
NIST = "NIST AI Risk Management Framework 1.0, MEASURE"
ISO = "ISO/IEC 42001:2023 (clause titles only; the text was not read for this report)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One clause, what it is about, and the sections that speak to it.

    Attributes:
        text: The public text it stands in.
        clause: Its number there.
        topic: What it is about, in our words.
        sections: Ids of the report's sections; none is 'not assessed'.
        needs: An engagement field that must be filled in, else the clause is not assessed.
    """

    text: str
    clause: str
    topic: str
    sections: tuple[str, ...] = ()
    needs: str = ""


def _cop(clause: str, topic: str, *sections: str, needs: str = "") -> Clause:
    return Clause(text=COP, clause=clause, topic=topic, sections=sections, needs=needs)


def _nist(clause: str, topic: str, *sections: str) -> Clause:
    return Clause(text=NIST, clause=clause, topic=topic, sections=sections)


def _iso(clause: str, topic: str, *sections: str) -> Clause:
    return Clause(text=ISO, clause=clause, topic=topic, sections=sections)


CLAUSES = (
    _cop("Measure 3.2", "Model evaluations, model organisms among their methods", "results"),
    _cop("Measure 3.3", "Systemic risk modelling"),
    _cop("Measure 3.4", "Systemic risk estimation: probability and severity of harm"),
    _cop("Measure 3.5", "Post-market monitoring"),
    _cop("Measure 7.1", "Model description: architecture, version and files", "identity"),
    _cop("Measure 7.1", "Intended behaviour of the model", "behaviour", needs="intended_behaviour"),
    _cop("Measure 7.2(2)", "Conditions under which a justification no longer holds", "limits"),
    _cop("Measure 7.2(1), (3)", "Reasons for proceeding; how the decision was made"),
    _cop("Measure 7.3(1)(e)", "Results of evaluations; how they ran and were scored", "results"),
    _cop("Measure 7.3(1)(f)", "At least five random samples of each evaluation", "results"),
    _cop("Measure 7.3(1)(g)", "Access and resources given to external evaluators", "scope"),
    _cop("Measure 7.3(2)-(4)", "Safety and security mitigations; further development"),
    _cop("Measure 7.4", "Reports of independent external evaluators", "independence"),
    _cop("Measure 7.5", "Material changes to the systemic risk landscape"),
    _cop("Measure 7.6", "Updates of the model report: grounds", "limits", needs="void_if"),
    _cop("Appendix 3.1", "Rigour: validity and reproducibility", "protocol", "verify"),
    _cop("Appendix 3.2", "Elicitation; deception during evaluation", "limits"),
    _cop("Appendix 3.3", "Effectiveness of mitigations"),
    _cop("Appendix 3.4", "Teams; access, information, time and compute given", "scope"),
    _cop("Appendix 3.5", "Independent external evaluation", "independence", needs="independence"),
    _nist("1.1", "Approaches and metrics are selected; what can't be measured is said", "limits"),
    _nist("1.2", "Appropriateness of metrics and effectiveness of controls", "results"),
    _nist("1.3", "Independent assessors are involved", "independence"),
    _nist("2.1", "Test sets, metrics and tools are documented", "results", "parameters"),
    _nist("2.2", "Evaluations with human subjects"),
    _nist("2.3", "Performance or assurance criteria are measured", "results"),
    _nist("2.4", "Functionality and behaviour are monitored in production"),
    _nist("2.5", "Validity and reliability; limits of generalisability", "results", "limits"),
    _nist("2.6", "Safety risks are evaluated regularly"),
    _nist("2.7", "Security and resilience"),
    _nist("2.8", "Transparency and accountability"),
    _nist("2.9", "The model is explained, validated and documented"),
    _nist("2.10 to 2.12", "Privacy; fairness and bias; environmental impact"),
    _nist("2.13", "Effectiveness of the metrics and processes themselves", "results"),
    _nist("3.1 to 3.3", "Risks are tracked over time; feedback of users"),
    _nist("4.1 to 4.3", "Feedback about the efficacy of measurement"),
    _iso("Clause 8.2", "AI risk assessment"),
    _iso("Clause 9.1", "Monitoring, measurement, analysis and evaluation"),
    _iso("Clause 9.2", "Internal audit"),
    _iso("Annex A.6.2.4", "AI system verification and validation", "results"),
)


def crosswalk(report: Mapping[str, Any]) -> list[tuple[str, list[tuple[Clause, tuple[str, ...]]]]]:
    """The clauses of each text with the sections that speak to them in this very report."""
    assessed = any(c["subjects"] for c in report["checks"])

    def sections(clause: Clause) -> tuple[str, ...]:
        if clause.needs and not report["engagement"][clause.needs]:
            return ()
        return tuple(s for s in clause.sections if assessed or s not in ("results", "parameters"))

    found: dict[str, list[tuple[Clause, tuple[str, ...]]]] = {}
    for clause in CLAUSES:
        found.setdefault(clause.text, []).append((clause, sections(clause)))
    return list(found.items())
