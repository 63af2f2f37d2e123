"""What preferences collected from a 135M model are worth: `python -m experiments.collection`.

Half of the DSP queries are asked anew with `collect`; a custom reward model is trained on these answers and another on
DSP's own answers to the same queries; both are tested on the other half, answered by DSP. Every step goes on where it
was.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from rewardsmith.cli.collect import app as collect_app
from rewardsmith.collection.result import load_collection
from rewardsmith.preferences.splitting import hash_share

DOMAINS = ("academy", "business", "entertainment", "literature")
_ROOT = Path(__file__).parent.parent
_ASKING = ["--domains", ",".join(DOMAINS), "--plain", "--words", "30-150", "--askings", "3"]


def collection(
    data: Annotated[Path, typer.Option(help="Folder with the preference files.")] = _ROOT / "../shared/data",
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = _ROOT / "runs/collection",
    depth: Annotated[int, typer.Option(help="Layers of the reward models.")] = 10,
) -> None:
    """Collects, trains both reward models, tests them."""
    out.mkdir(parents=True, exist_ok=True)
    rows = json.loads((data / "domain_specific_preference.json").read_text(encoding="utf-8"))
    asked = [row for row in rows if hash_share(f"collection\0{' '.join(row['query'].lower().split())}") < 0.5]
    rest = [row for row in rows if row not in asked]
    for name, part in {"taught": asked, "test": rest}.items():
        (out / f"{name}.json").write_text(json.dumps(part), encoding="utf-8")
    (out / "queries.txt").write_text("".join(" ".join(r["query"].split()) + "\n" for r in asked), encoding="utf-8")
    begun = time.monotonic()
    collect_app(["run", str(out / "queries.txt"), "--out", str(out / "collected"), *_ASKING], standalone_mode=False)
    print(f"collected in {time.monotonic() - begun:.0f} s of this start")
    print(load_collection(out / "collected/result.json").requests)


if __name__ == "__main__":
    typer.run(collection)
