"""The audit: what is wrong with preference data before anything is trained on it.

    report = audit_preferences(preferences, splits={"train": train, "test": test})
    report.grade   # "good", "warn" or "fail": the worst finding's

Each check gives findings with value, threshold, message and examples. The checks are in `audit_checks`; this module
knows their order and the report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from rewardsmith.errors import DataError
from rewardsmith.preferences import audit_checks as checks
from rewardsmith.preferences.audit_checks import Finding, Grade, Thresholds
from rewardsmith.preferences.record import Preference

__all__ = ["AuditReport", "Finding", "Thresholds", "audit_preferences"]

_ORDER: tuple[Grade, ...] = ("good", "warn", "fail")


class AuditReport(BaseModel):
    """All findings about one set of preferences; `version` counts changes of this schema."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    records: int
    pairs: int = Field(description="Pairs that rank something.")
    prompts: int
    domains: dict[str, int] = Field(description="Records of each domain.")
    annotators: int
    thresholds: Thresholds
    notes: list[str] = Field(default_factory=list, description="What reading had to say, rows left out among it.")
    findings: list[Finding]

    @property
    def grade(self) -> Grade:
        """The worst finding's grade."""
        return max((finding.grade for finding in self.findings), key=_ORDER.index, default="good")

    def finding(self, check: str) -> Finding:
        """The finding of a check by its name. Raises KeyError when it did not run."""
        for finding in self.findings:
            if finding.check == check:
                return finding
        raise KeyError(check)


def audit_preferences(
    preferences: Sequence[Preference],
    *,
    token_counter: Callable[[str], int] | None = None,
    max_length: int | None = None,
    splits: Mapping[str, Sequence[Preference]] | None = None,
    thresholds: Thresholds | None = None,
) -> AuditReport:
    """Checks the preferences; `splits` are parts that must not share a prompt, and need not be parts of the first.

    Token lengths are looked at when `token_counter` (text to number of tokens) is given, truncation when `max_length`
    is. With several domains the shortcut checks run on each and the worst is graded. Raises DataError without records.
    """
    if not preferences:
        raise DataError("there are no preferences to audit")
    limits = thresholds or Thresholds()
    domains: dict[str, list[Preference]] = {}
    for preference in preferences:
        domains.setdefault(preference.domain, []).append(preference)
    findings = [
        checks.check_prompts(preferences, limits),
        *checks.check_shortcuts(domains, limits),
        checks.check_exact_duplicates(preferences, limits),
        checks.check_near_duplicates(preferences, limits),
        checks.check_ties(preferences, limits),
        checks.check_conflicts(preferences, limits),
        checks.check_identical(preferences, limits),
        checks.check_empty(preferences, limits),
    ]
    if splits:
        findings.append(checks.check_splits(splits, limits))
    if token_counter is not None:
        findings.append(checks.check_lengths(preferences, limits, token_counter, max_length))
    return AuditReport(
        records=len(preferences),
        pairs=sum(len(preference.pairs()) for preference in preferences),
        prompts=len({preference.prompt_key() for preference in preferences}),
        domains={name: len(records) for name, records in domains.items()},
        annotators=len({p.annotator for p in preferences if p.annotator is not None}),
        thresholds=limits,
        findings=findings,
    )
