"""The report of customisations: one HTML file that works offline, made of their results alone.

The page is a Jinja template; where points and lines of its pictures lie is worked out in `pictures`.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from rewardsmith.evaluation.budget import POOLED
from rewardsmith.evaluation.customization import NO_METHOD, Candidate, Customization
from rewardsmith.preferences.audit import AuditReport, Finding
from rewardsmith.reporting.format import (
    decimal,
    decimal_with_interval,
    difference_with_interval,
    percent,
    signed_percent,
)
from rewardsmith.reporting.pictures import accuracy_pictures, front_of, loss_picture, reliability_picture

_GRADES = ("fail", "warn", "good")


def verdict_sentence(result: Customization) -> str:
    """The verdict in plain words."""
    budget = ", ".join(f"{points:g} points on {name}" for name, points in result.budgets.items())
    if result.method == NO_METHOD and not any(c.on_path for c in result.candidates):
        return (
            f"No candidate for {result.domain} gains anything on the preferences kept for choosing: the model is the "
            "general one, unchanged."
        )
    if result.method == NO_METHOD:
        return (
            f"No candidate for {result.domain} could be proved to lose no more than {budget}: the model is the general "
            "one, unchanged."
        )
    gain = difference_with_interval(result.custom.difference, result.custom.ci95)
    lost = f"at most {result.bound:.1f} points" if result.bound > 0 else "no points"
    return (
        f"The model prefers as {result.domain} does in {percent(result.custom.after)} % of unseen pairs, {gain} points "
        f"against the general model. It is proved, at {result.confidence:g} %, to have lost {lost} of general "
        f"{result.metric}; allowed were {budget}."
    )


def limits_of(result: Customization) -> list[str]:
    """What the certificate does not promise, and how to read the other figures."""
    sentences = [
        "The proof is about general preferences like those it was made with: the same distribution of prompts, and "
        "labels as they are. It says nothing of other prompts; rewardsmith evaluate warns where later ones look "
        "different.",
        f"Its error rate, {100 - result.confidence:g} %, is that of one run: of many runs, some may be wrong.",
    ]
    if result.method == NO_METHOD:
        return ["The model is the general one: it lost nothing, gained nothing, and carries no certificate."]
    if set(result.budgets) == {POOLED} and len(result.general.sets) > 1:
        sentences.append(
            "The budget is about all general sets together, every prompt counting once: on a single set the loss may "
            "be larger."
        )
    sentences.append(
        f"The gain is measured and not proved: its interval, over {result.custom.n_prompts} prompts, is asymptotic. "
        "Abilities that no general set asks for were not looked at."
    )
    sentences.append(
        "Rewards compare responses to one prompt. As probabilities they hold as far as the calibration shows; "
        "rewardsmith calibrate puts them on a scale."
    )
    return sentences


def path_outwards(result: Customization) -> list[Candidate]:
    """The candidates on the path, from the general model outwards."""
    return sorted((c for c in result.candidates if c.on_path), key=lambda c: c.place or 0)


def worst_first(audit: AuditReport) -> list[Finding]:
    """The findings, the worst first."""
    return sorted(audit.findings, key=lambda f: _GRADES.index(f.grade))


def command_of(result: Customization) -> str:
    """The command as a shell takes it."""
    program, *arguments = result.command or [""]
    return shlex.join([Path(program).name, *arguments])


def write_report(results: Sequence[Customization], path: Path) -> None:
    """Writes the page for one run, or for several side by side."""
    environment = Environment(
        loader=PackageLoader("rewardsmith.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "signed": signed_percent, "decimal": decimal}
    environment.globals |= {
        "interval": difference_with_interval,
        "error": decimal_with_interval,
        "limits": limits_of,
        "front": front_of,
        "loss_picture": loss_picture,
        "accuracy_pictures": accuracy_pictures,
        "reliability_picture": reliability_picture,
        "findings": worst_first,
        "path": path_outwards,
        "command": command_of,
        "sentence": verdict_sentence,
    }
    page = environment.get_template("customization.html.j2").render(results=results)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
