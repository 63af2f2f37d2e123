"""Recipes: closed, checked all at once, overridden by dotted keys, and every shipped one loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rewardsmith.errors import OutputExistsError, RecipeError
from rewardsmith.training.recipe_file import check_paths, dump_recipe, load_recipe, parse_recipe
from rewardsmith.training.shipped import copy_recipe, recipe_path, shipped_recipes

SHIPPED = ["demo", "dsp-paper", "dsp-smollm2", "starter"]


def _minimal(**changes: Any) -> dict[str, Any]:
    stages = [{"stage": "general", "sets": ["pairs"]}, {"stage": "custom", "sets": ["mine"]}]
    data = {"pairs": {"path": "pairs.jsonl"}, "mine": {"path": "mine.jsonl"}}
    return {"name": "mine", "data": data, "stages": stages} | changes


def _message(raw: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(raw, "my.yaml")
    return str(caught.value)


@pytest.fixture
def recipe_path_of(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(_minimal()), encoding="utf-8")
    return path


def test_every_shipped_recipe_loads() -> None:
    assert sorted(shipped_recipes()) == SHIPPED
    for name, description in shipped_recipes().items():
        recipe = load_recipe(recipe_path(name))
        assert recipe.name == name and description
        assert parse_recipe(yaml.safe_load(dump_recipe(recipe)), name) == recipe, (
            "what is written out is the same recipe"
        )


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (_minimal(stagez=[]), "unknown key 'stagez' (did you mean 'stages'?)"),
        (_minimal(backbone={"dept": 3}), "unknown key 'backbone.dept' (did you mean 'depth'?)"),
        (_minimal(backbone={"lora": {"rnk": 3}}), "unknown key 'backbone.lora.rnk' (did you mean 'rank'?)"),
        (_minimal(stages=[{"stage": "general", "sets": ["pairs"], "epoch": 1}]), "(did you mean 'epochs'?)"),
        (_minimal(data={"pairs": {"pth": "x"}}), "unknown key 'data.pairs.pth' (did you mean 'path'?)"),
        (_minimal(stages=[{"stage": "general", "sets": ["pears"]}]), "no data set 'pears' (did you mean 'pairs'?)"),
        (_minimal(split={"train": 0.9}), "train, validation and test must add up to 1"),
        (_minimal(split={"train": 0, "validation": 0.5, "test": 0.5}), "train must be above 0"),
        (_minimal(evaluation={"sets": ["mini"]}), "no data set 'mini' (did you mean 'mine'?)"),
    ],
)
def test_faults_are_explained(raw: dict[str, Any], said: str) -> None:
    assert said in _message(raw)


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({"stage": "general", "domains": ["a"]}, "domains and joint belong to a custom stage"),
        ({"patience": 2}, "patience needs keep_best"),
        ({"keep_best": "custom", "evaluations": 0}, "keep_best needs evaluations"),
        ({"losses": {"distillation": 1.0}}, "distillation works on the general preferences of enrichment"),
        ({"stage": "base"}, "a base stage trains on the imitation loss alone"),
        ({"stage": "base", "losses": {"imitation": 1.0}, "keep_best": "general"}, "leave keep_best out"),
        ({"losses": {"imitation": 2.0, "imitation_scaling": "grm"}}, "at most 1"),
        ({"enrichment": {"sets": ["pairs"]}}, "give either share or count"),
        ({"enrichment": {"sets": ["pairs"], "share": 1.0}}, "share must be between 0 and 1"),
        ({"start": "genral"}, "'genral' is no earlier stage (did you mean 'general'?)"),
        ({"name": "a/b"}, "a stage's name may hold letters"),
        ({"learning_rate": "fast"}, "learning_rate"),
    ],
)
def test_stages_must_hold_together(stage: dict[str, Any], said: str) -> None:
    first = {"stage": "general", "sets": ["pairs"]}
    assert said in _message(_minimal(stages=[first, {"stage": "custom", "sets": ["mine"], "name": "second"} | stage]))


def test_all_faults_come_at_once() -> None:
    said = _message(_minimal(sed=1, backbone={"depth": 0}, split={"train": 0.9}))
    assert "my.yaml:" in said and "'sed'" in said and "backbone.depth" in said and "add up to 1" in said
    stages = [{"stage": "general", "sets": ["piars"], "epochs": 0}, {"stage": "custom", "sets": 3, "start": "genral"}]
    said = _message(_minimal(stages=stages, evaluation={"sets": ["none"]}))
    for part in ("epochs", "'piars' (did you mean 'pairs'?)", "'genral' is no earlier stage", "evaluation.sets"):
        assert part in said, part


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_numbers_are_finite(number: float) -> None:
    assert "finite" in _message(_minimal(stages=[{"stage": "general", "sets": ["pairs"], "epochs": number}]))


def test_two_stages_of_one_name_are_refused() -> None:
    assert "two stages are called 'general'" in _message(_minimal(stages=[{"stage": "general", "sets": ["pairs"]}] * 2))


def test_overrides_by_number_kind_and_name(recipe_path_of: Path) -> None:
    recipe = load_recipe(
        recipe_path_of,
        ["stages.0.learning_rate=1e-5", "stages.custom.losses.imitation=0.5", "backbone.lora.rank=4", "seed=3"],
    )
    assert recipe.stages[0].learning_rate == 1e-5 and recipe.stages[1].losses.imitation == 0.5
    assert recipe.backbone.lora is not None and recipe.backbone.lora.rank == 4 and recipe.seed == 3
    assert load_recipe(recipe_path_of, ["stages.custom.domains=[a, b]"]).stages[1].domains == ["a", "b"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seed", "write it as a.b=value"),
        ("stages.7.epochs=1", "a number below 2 or a stage's name"),
        ("stages.best.epochs=1", "no item 'best'"),
        ("name.a=1", "is inside something that is no mapping"),
        ("stages.custom.epoks=1", "did you mean 'epochs'?"),
        ("seed=[1", "no valid YAML"),
    ],
)
def test_wrong_overrides(recipe_path_of: Path, override: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_path_of, [override])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [", "no valid YAML"),
        (b"- a", "holds no recipe"),
        (b"", "holds no recipe"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_files_that_are_no_recipes(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "r.yaml").write_bytes(content)
    with pytest.raises(RecipeError, match=said):
        load_recipe(tmp_path / "r.yaml")


def test_a_recipe_that_is_not_there() -> None:
    with pytest.raises(RecipeError, match=r"no recipe 'dmeo' \(did you mean 'demo'\?\)"):
        recipe_path("dmeo")
    with pytest.raises(RecipeError, match="there is no recipe"):
        load_recipe("nowhere.yaml")


def test_paths_are_relative_to_the_recipe_and_checked_all_at_once(recipe_path_of: Path) -> None:
    (recipe_path_of.parent / "pairs.jsonl").write_text("", encoding="utf-8")
    recipe = load_recipe(recipe_path_of, ["data.mine.path=./gone.jsonl", "backbone.model=./no-model"])
    assert recipe.data["pairs"].path == str(recipe_path_of.parent / "pairs.jsonl")
    recipe.stages[1].start = "./no-start"
    recipe.data["pairs"].format = "jsonl"
    with pytest.raises(RecipeError) as caught:
        check_paths(recipe, "mine.yaml")
    for part in ("data.mine.path", "data.pairs: there is no format", "backbone.model", "stages.1.start"):
        assert part in str(caught.value)


def test_copies_are_not_written_over_files(tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    copy_recipe("starter", out)
    assert out.read_text(encoding="utf-8") == recipe_path("starter").read_text(encoding="utf-8")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        copy_recipe("demo", out)
    copy_recipe("demo", out, overwrite=True)
    assert load_recipe(out).name == "demo"
