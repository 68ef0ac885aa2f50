"""The Makefile's own help, and what the documents say about it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PHONY = re.compile(r"^\.PHONY: (.+)$", re.MULTILINE)
HELP_LINE = re.compile(r"^  make ([a-z]+) +\S", re.MULTILINE)
CODE = re.compile(r"```.*?```|`[^`]+`|^ {4}[^\n]*", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"\bmake ([a-z]+)")


def targets() -> set[str]:
    """Read the targets that users call, as the Makefile declares them."""
    (names,) = PHONY.findall((ROOT / "Makefile").read_text())
    return set(names.split())


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("command", [["make"], ["make", "help"]])
def test_help_lists_every_target(command: list[str]) -> None:
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(HELP_LINE.findall(shown)) == targets()


@pytest.mark.parametrize("path", sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")}), ids=lambda path: path.name)
def test_documents_name_only_targets_that_exist(path: Path) -> None:
    named = {name for code in CODE.findall(path.read_text()) for name in COMMAND.findall(code)}
    assert named <= targets()


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_gtzan_needs_its_audio() -> None:
    def dry(*given: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", "--dry-run", "gtzan", *given], cwd=ROOT, capture_output=True, text=True, check=False
        )

    refused = dry()
    assert refused.returncode == 2
    assert "name the folder that holds GTZAN's ten genres with AUDIO=" in refused.stderr
    shown = dry("AUDIO=my audio").stdout
    assert "configs/ingest/gtzan.yaml 'source=my audio' 'output=runs/gtzan/dataset'" in shown
    assert "for kind in knn cnn resnet" in shown
    assert "'models=runs/gtzan/knn,runs/gtzan/cnn,runs/gtzan/resnet'" in shown
    assert "'dataset=elsewhere/dataset'" in dry("AUDIO=audio", "OUTPUT=elsewhere").stdout
