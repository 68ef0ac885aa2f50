"""constraints.txt pins each direct dependency, to a version that pyproject.toml admits, on each supported Python."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DIRECT = [Requirement(line) for line in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"])]
PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def pinned(name: str, python: str) -> list[Version]:
    """Read the versions that `name` is held at on this Python: one, if all is well."""
    return [
        Version(next(iter(pin.specifier)).version)
        for pin in PINS
        if canonicalize_name(pin.name) == canonicalize_name(name)
        and (pin.marker is None or pin.marker.evaluate({"python_version": python}))
    ]


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("direct", DIRECT, ids=lambda direct: direct.name)
def test_each_direct_dependency_has_one_pin_within_its_range(direct: Requirement, python: str) -> None:
    versions = pinned(direct.name, python)
    assert len(versions) == 1
    assert versions[0] in direct.specifier


def test_pins_are_exact_public_versions() -> None:
    for pin in PINS:
        (specifier,) = pin.specifier
        assert specifier.operator == "==", pin
        assert Version(specifier.version).local is None, pin


def test_no_pin_ties_an_install_to_a_gpu() -> None:
    """Torch's own requirements choose these for the machine at hand; a pin could only break one."""
    assert [pin.name for pin in PINS if pin.name.lower().startswith(("nvidia", "cuda", "triton"))] == []
