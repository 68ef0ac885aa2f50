"""torchaudio loads with its extension where that works, without it where not; each case in a fresh process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(code: str, first: Path | None = None) -> str:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(str(p) for p in (first, Path.cwd()) if p)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def fake(folder: Path, extension: str) -> Path:
    package = folder / "torchaudio"
    package.mkdir()
    (package / "__init__.py").write_text("from . import early\nfrom . import _extension\n")
    (package / "early.py").write_text("print('early')\n")
    (package / "_extension.py").write_text(extension)
    return folder


SHOW = """
from gmn.audio.torchaudio_loader import load_torchaudio
module = load_torchaudio()
import torchaudio, torchaudio._extension
assert module is torchaudio is load_torchaudio()
assert module._extension is torchaudio._extension
print(torchaudio._extension.__doc__)
"""


def test_the_installed_torchaudio_gives_mel_bands() -> None:
    code = SHOW + "print(module.functional.melscale_fbanks(65, 0.0, 4000.0, 8, 8000).shape)"
    assert run(code).endswith("torch.Size([65, 8])")


def test_an_extension_that_loads_is_kept(tmp_path: Path) -> None:
    assert run(SHOW, fake(tmp_path, "'the real one'")) == "early\nthe real one"


def test_an_extension_that_does_not_load_is_replaced(tmp_path: Path) -> None:
    code = SHOW + (
        "try: torchaudio._extension.fail_if_no_align(print)('x')\n"
        "except RuntimeError as error: print(error)\n"
        "assert not torchaudio._extension._IS_TORCHAUDIO_EXT_AVAILABLE\n"
    )
    lines = run(code, fake(tmp_path, "raise OSError('no such library')")).splitlines()
    assert lines[:2] == ["early", "early"]
    assert "does not load in this process" in lines[2]
    assert lines[3].startswith("print needs torchaudio's compiled extension")


@pytest.mark.parametrize("broken", ["raise ImportError('x')", "raise ValueError('x')"])
def test_other_failures_are_not_hidden(broken: str, tmp_path: Path) -> None:
    code = (
        "from gmn.audio.torchaudio_loader import load_torchaudio\n"
        "try: load_torchaudio()\n"
        "except (ImportError, ValueError) as error: print(type(error).__name__)"
    )
    assert run(code, fake(tmp_path, broken)).splitlines()[1] == broken.split()[1].partition("(")[0]
