"""What a collection leaves in its folder besides the journal; everything here is made anew from it.

preferences.jsonl  one record a query and domain       dsp.json    the paper's raw form
dataset/           for datasets.load_dataset, split by prompt       data_card.md
result.json        figures, typed                      plots/      lengths, keywords, agreement, course
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from rewardsmith.collection.domains import DomainProfile
from rewardsmith.collection.result import CollectionResult
from rewardsmith.files import write_whole
from rewardsmith.preferences.record import Preference
from rewardsmith.preferences.splitting import split_preferences
from rewardsmith.preferences.writing import write_preferences
from rewardsmith.reporting import collection as plots

SPLIT = {"train": 0.8, "validation": 0.1, "test": 0.1}
PREFERENCES = "preferences.jsonl"
RESULT = "result.json"


def write_outputs(
    folder: Path,
    records: Sequence[Preference],
    raw: Sequence[dict[str, object]],
    profiles: Sequence[DomainProfile],
    result: CollectionResult,
) -> None:
    """Writes all outputs, the result last; without records only the result."""
    if records:
        write_preferences(records, folder / PREFERENCES, overwrite=True)
        write_whole(folder / "dsp.json", json.dumps(raw, ensure_ascii=False, indent=1) + "\n")
        _write_dataset(folder / "dataset", records)
        card = data_card(records, profiles, result)
        write_whole(folder / "data_card.md", card)
        write_whole(folder / "dataset" / "README.md", _loading_header(folder / "dataset") + card)
        _write_plots(folder / "plots", result)
    write_whole(folder / RESULT, result.model_dump_json(indent=2) + "\n")


def _write_dataset(folder: Path, records: Sequence[Preference]) -> None:
    folder.mkdir(exist_ok=True)
    for name, part in split_preferences(records, SPLIT).items():
        file = folder / f"{name}.parquet"
        if part:
            write_preferences(part, file, overwrite=True)
        else:
            file.unlink(missing_ok=True)


def _loading_header(folder: Path) -> str:
    """The head of a data set's card, by which `datasets` finds its parts."""
    parts = [name for name in SPLIT if (folder / f"{name}.parquet").is_file()]
    lines = [f"  - split: {name}\n    path: {name}.parquet" for name in parts]
    return "---\nconfigs:\n- config_name: default\n  data_files:\n" + "\n".join(lines) + "\n---\n\n"


def data_card(records: Sequence[Preference], profiles: Sequence[DomainProfile], result: CollectionResult) -> str:
    """What the data are, how they were made, what is known to be wrong with them."""
    environment = Environment(
        loader=PackageLoader("rewardsmith.collection"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("data_card.md.j2").render(
        result=result, profiles=profiles, example=records[0], split=SPLIT, quoted=_quoted
    )


def _quoted(text: str) -> str:
    """Text as a Markdown quotation, whatever it holds."""
    return "\n".join(f"> {line}" for line in text.splitlines())


def _write_plots(folder: Path, result: CollectionResult) -> None:
    figures = result.domains
    plots.plot_lengths(
        {name: d.words for name, d in figures.items()},
        {name: d.wanted for name, d in figures.items()},
        folder / "lengths.png",
    )
    plots.plot_keywords(
        {name: [(w.word, w.log_likelihood) for w in d.keywords] for name, d in figures.items()},
        folder / "keywords.png",
    )
    plots.plot_course(result.course, folder / "course.png")
    if result.judge is not None:
        judge = result.judge
        shares = {
            "agrees with the rule": judge.agrees,
            "contradicts it": judge.contradicts,
            "tie": judge.ties,
            "depends on the order": judge.order_dependent,
            "unreadable": judge.unreadable,
        }
        plots.plot_agreement(shares, folder / "agreement.png")
