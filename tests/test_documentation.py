"""The documentation is run: generated pages are fresh, README and tutorial commands work, links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import within

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_pictures_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_readme_shows_every_column_that_is_printed() -> None:
    from rewardsmith.reporting.tables import FIGURE_COLUMNS

    block = re.findall(r"```text\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)[0]
    head = next(line for line in block.splitlines() if "accuracy" in line)
    assert [cell.strip() for cell in head.strip("┃").split("┃")] == ["set", "model", *FIGURE_COLUMNS]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, run_pages: Callable[..., int]) -> Path:
    """A folder in which every `rewardsmith` line of tutorial and README ran, in order; the demo in small."""
    folder = tmp_path_factory.mktemp("workplace")
    assert run_pages([ROOT / "docs/tutorial.md", ROOT / "README.md"], folder) >= 8
    return folder


def test_shell_commands_leave_what_the_tutorial_says(workplace: Path) -> None:
    run = workplace / "runs/demo"
    for name in ("recipe.yaml", "run.json", "metrics.jsonl", "result.json", "tables.md", "plots/accuracy.png"):
        assert (run / name).stat().st_size > 0
    assert (workplace / "both.json").is_file()


@pytest.mark.parametrize("page", ["docs/tutorial.md", "docs/how-to/use-elsewhere.md", "README.md"])
def test_python_of_the_documentation_runs(page: str, workplace: Path, tiny_embedded: dict[str, str]) -> None:
    for block in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL):
        with within(workplace, tiny_embedded):
            exec(compile(block, page, "exec"), {"__name__": "__main__"})
