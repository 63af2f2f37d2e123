"""`customize`: the best custom model within the budget, proved, or the general model unchanged.

The order is the point. Candidates are trained on the train parts and judged on the choosing parts; that fixes a path
from the general model outwards. Only then is the certify part opened, once: candidates are tested along the path until
one is not proved to be within every budget (fixed-sequence testing, as in Learn Then Test, arXiv 2110.01052), which
needs no correction. Last, the test parts say what the choice is worth.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from rewardsmith.customization.candidates import general_option
from rewardsmith.customization.card import write_card
from rewardsmith.customization.choosing import Judged, judge_option, path_of, scored_by
from rewardsmith.customization.folder import CustomizationFolder, Fixed
from rewardsmith.customization.methods.base import Workshop
from rewardsmith.customization.methods.registry import METHODS, methods_named
from rewardsmith.customization.methods.summaries import SUMMARIES
from rewardsmith.customization.parts import CERTIFY, CHOOSE, CUSTOM, TEST, TRAIN, Parts, split_parts
from rewardsmith.customization.planning import Outlook, outlooks
from rewardsmith.customization.reference import reference_of
from rewardsmith.customization.result import result_of
from rewardsmith.errors import ModelError, OutputExistsError, UserError
from rewardsmith.evaluation.budget import Question, judge_sets, overall
from rewardsmith.evaluation.customization import Customization
from rewardsmith.evaluation.result import Verdict
from rewardsmith.modeling.features import FeatureBank
from rewardsmith.modeling.frozen import digest_of
from rewardsmith.modeling.reference import REFERENCE
from rewardsmith.modeling.reuse import reused_layers
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.scoring import progress
from rewardsmith.preferences.candidates import of_domain
from rewardsmith.preferences.reading import load_preferences
from rewardsmith.preferences.record import content_hash
from rewardsmith.preferences.sample import located
from rewardsmith.reporting.customization import write_report
from rewardsmith.training.run_folder import fingerprint


def read_parts(model: RewardModel, preferences: str, domain: str, general: Mapping[str, str], seed: int) -> Parts:
    """Reads and splits all preferences of a customisation. Raises DataError for what cannot be used."""
    custom = of_domain(load_preferences(located(preferences)).preferences, domain, preferences)
    custom = [p.model_copy(update={"domain": domain}) for p in custom]
    sets = {name: load_preferences(located(path)).preferences for name, path in general.items()}
    known = model.info.trained_on or None
    return split_parts(custom, sets, known, seed=seed)


def plan(
    general: str,
    preferences: str,
    domain: str,
    general_preferences: Mapping[str, str],
    question: Question,
    *,
    seed: int = 0,
) -> list[Outlook]:
    """What these preferences can prove, before anything is trained."""
    question.budgets.for_sets(list(general_preferences))
    return outlooks(
        read_parts(RewardModel.from_pretrained(general), preferences, domain, general_preferences, seed), question
    )


def customize(
    general: str,
    preferences: str,
    domain: str,
    general_preferences: Mapping[str, str],
    question: Question,
    out: Path,
    *,
    method: str = "auto",
    minutes: float = 30.0,
    portable: bool = True,
    seed: int = 0,
    bf16: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    console: Console | None = None,
) -> Customization:
    """Customises the model `general` for `domain`, or goes on with the same run in `out`.

    Args:
        general: a reward model's folder or hub name.
        preferences, general_preferences: files, folders or hub data sets; the general ones by name.
        question: the budgets, how sure the proof is to be, and the metric.
        method: a name of `METHODS`, or `auto`: all of them, from cheap to dear.
        minutes: with `auto`, no method is begun that is expected to end later.
        portable: refuse a general model that is no standard checkpoint.
        bf16: methods that train do so under bfloat16 autocast; rewards are made in float32 all the same.
        overwrite: start anew where `out` holds a run.
        resume: refuse to start: `out` must hold this run.

    Raises:
        UserError: options, preferences or folder cannot be used as asked.
        ModelError: `general` is no reward model, or not a portable one.
    """
    started = time.monotonic()
    say = console or Console(quiet=True)
    names = methods_named(method)
    folder = CustomizationFolder(out)
    if resume:
        folder.require_run(overwrite)
    question.budgets.for_sets(list(general_preferences))
    model = RewardModel.from_pretrained(general)
    if portable and not model.info.portable:
        raise ModelError(
            f"{general} has a shape that the Auto classes cannot load, and so would the customised model; say "
            "--no-portable, or give a general model with pooling last and a linear head"
        )
    parts = read_parts(model, preferences, domain, general_preferences, seed)
    for note in parts.notes:
        say.print(f"[dim]{escape(note)}[/dim]", highlight=False)
    for outlook in outlooks(parts, question):
        say.print(outlook.to_text(), highlight=False, markup=False)
    state = _state(model, parts, domain, question, method, seed, bf16)
    bank = FeatureBank(model)
    try:
        shop = Workshop(model, general, bank, parts, domain, out, seed, say, portable, bf16)
        if len(names) == 1 and (reason := METHODS[names[0]].refusal(shop)):
            raise UserError(f"--method {method}: {reason}")
        folder.open(state, overwrite)
        if (done := folder.result()) is not None:
            say.print(f"{out} is done already", highlight=False)
            return done
        _fill(shop, names)
        judged = _candidates(shop, names, question, folder, started + 60 * minutes)
        # The path goes by what was judged, and is the same for the candidates fitted anew.
        judged = _refitted(judged, shop)
        path = _path(judged, folder)
        certified, verdicts = _walk(path, shop, question, folder)
        result = result_of(shop, judged, path, certified, verdicts, question, folder)
        options = state | {"--budget": result.budgets}  # in points, as all of a result
        result = result.model_copy(update={"options": options, "seconds": time.monotonic() - started})
        _save(certified[-1] if certified else None, shop, result, folder)
    finally:
        bank.close()
    write_report([result], folder.path / "report.html")
    folder.finish(result)
    return result


def _state(
    model: RewardModel, parts: Parts, domain: str, question: Question, method: str, seed: int, bf16: bool
) -> dict[str, object]:
    """What may not change between a run and its continuation, by the name that the user knows it by."""
    sets = {CUSTOM: parts.custom, **parts.general}
    return {
        "--general": digest_of(model.parameters()),
        "--domain": domain,
        "--budget": {name: b for name, b in question.budgets.for_sets(list(parts.general)).items()},
        "--confidence": question.confidence,
        "--metric": question.metric,
        "--method": method,
        "--seed": seed,
        **({"--bf16": True} if bf16 else {}),  # only where it is on: runs from before there was such an option go on
        **{
            "--preferences" if name == CUSTOM else f"--general-preferences {name}": fingerprint(
                [p for preferences in split.values() for p in preferences]
            )
            for name, split in sets.items()
        },
    }


def _fill(shop: Workshop, names: Sequence[str]) -> None:
    """Computes the features of all that will be asked for, with a bar; on the way there, what methods that train will
    read of the layers that they leave as they are."""
    depth = max(METHODS[name].frozen_layers(shop.general) for name in names)
    every = [p for part in shop.parts.custom.values() for p in part] + shop.anchors()
    every += [p for part in (CHOOSE, CERTIFY, TEST) for p in shop.parts.pooled(part)]
    with (
        reused_layers(shop.general, depth),
        progress(shop.console, "the general model reads the preferences", len(every)) as advance,
    ):
        shop.bank.fill(every, advance)


def _candidates(
    shop: Workshop, names: Sequence[str], question: Question, folder: CustomizationFolder, until: float
) -> list[Judged]:
    """All candidates on the choosing parts, method by method."""
    custom, general = shop.parts.custom[CHOOSE], shop.parts.of(CHOOSE)
    before = scored_by(general_option(shop.bank), {CUSTOM: custom, **general})
    own = before.pop(CUSTOM)
    judged: list[Judged] = []
    auto, fixed = len(names) > 1, folder.fixed()
    for name in names if fixed is None else fixed.methods:
        method = METHODS[name]
        if reason := method.refusal(shop):
            shop.console.print(f"{name}: left out, {reason}", highlight=False, markup=False)
            continue
        left = until - time.monotonic()
        if fixed is None and auto and not method.refits and (left <= 0 or left < method.seconds(shop)):
            shop.console.print(f"{name}: left out, it would not end in the {max(left, 0) / 60:.0f} minutes left")
            continue
        shop.console.print(f"[bold]{name}[/bold]: {SUMMARIES[name]}", highlight=False)
        for option in method.candidates(shop):
            after = folder.scored(option, CHOOSE, {CUSTOM: custom, **general})
            judged.append(judge_option(option, (own, after.pop(CUSTOM)), (before, after), question))
        best = max((c for c in judged if c.option.method == name), key=lambda c: c.custom)
        shop.console.print(
            f"  its largest gain {100 * best.custom:+.1f} points, general {100 * best.general:+.1f} ({best.name})",
            highlight=False,
            markup=False,
        )
    return judged


def _path(judged: Sequence[Judged], folder: CustomizationFolder) -> list[Judged]:
    """The path, written down before the certify part is opened; a run that goes on keeps the one that it had.

    Raises:
        OutputExistsError: that one cannot be walked any more.
    """
    fixed = folder.fixed()
    if fixed is None:
        fixed = Fixed(list(dict.fromkeys(c.option.method for c in judged)), [c.name for c in path_of(judged)])
        folder.fix(fixed)
    by_name = {c.name: c for c in judged}
    if missing := [name for name in fixed.path if name not in by_name]:
        raise OutputExistsError(
            f"{folder.path} holds a run whose path has candidates that this version does not make "
            f"({', '.join(missing)}); go on with the version that began it, or start it anew with --overwrite"
        )
    return [by_name[name] for name in fixed.path]


def _refitted(candidates: Sequence[Judged], shop: Workshop) -> list[Judged]:
    """The candidates, those of quick methods with what the custom choosing part teaches too: it has done its work, and
    what is certified and tested is what comes out."""
    wider = replace(shop, parts=shop.parts.with_choice_learnt())
    methods = dict.fromkeys(c.option.method for c in candidates)
    again = {o.name: o for name in methods if METHODS[name].refits for o in METHODS[name].candidates(wider)}
    return [replace(c, option=again.get(c.name, c.option)) for c in candidates]


def _walk(
    path: Sequence[Judged], shop: Workshop, question: Question, folder: CustomizationFolder
) -> tuple[list[Judged], dict[str, list[Verdict]]]:
    """Certifies along the path until the first failure: those that passed, and the verdicts of all that were tested."""
    sets = shop.parts.of(CERTIFY)
    before = scored_by(general_option(shop.bank), sets)
    passed: list[Judged] = []
    verdicts: dict[str, list[Verdict]] = {}
    for candidate in path:
        after = folder.scored(candidate.option, CERTIFY, sets)
        found = verdicts[candidate.name] = judge_sets(before, after, question, candidate.spreads)
        shop.console.print(f"{candidate.name}: {overall(found)}", highlight=False, markup=False)
        if overall(found) != "within":
            break
        passed.append(candidate)
    return passed, verdicts


def _save(choice: Judged | None, shop: Workshop, result: Customization, folder: CustomizationFolder) -> None:
    """Saves the model with what it was trained on, its certificate and what that stands on, and a filled model card."""
    chosen = choice.option.model() if choice else shop.general
    info = chosen.info
    if choice is not None:
        chosen.reference = reference_of(choice.option, chosen, shop.parts.of(CERTIFY))
        trained = [*shop.parts.custom[TRAIN], *shop.parts.custom[CHOOSE], *shop.parts.pooled(TRAIN)]
        seen = {content_hash(p.prompt_key()) for p in trained}
        info = chosen.info.model_copy(
            update={
                "domains": [shop.domain],
                "trained_on": sorted({*shop.general.info.trained_on, *seen}),
                "provenance": shop.general.info.provenance
                | {
                    "customized_from": shop.general_name,
                    "certificate": {
                        "budgets": result.budgets,
                        "confidence": result.confidence,
                        "metric": result.metric,
                        "bound": result.bound,
                        "method": result.method,
                        "strength": result.strength,
                        "reference": str(REFERENCE),
                    },
                },
            }
        )
    before, chosen.info = chosen.info, info
    try:
        chosen.save_pretrained(folder.model, overwrite=True)
    finally:
        chosen.info = before
    write_card(result, folder.model / "README.md", portable=info.portable)
