"""Typed configuration: text becomes values, and every mistake is named."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from gmn.config import Config, build, help_text, keys, split_arguments
from gmn.datasets.settings import IngestConfig
from gmn.errors import InputError
from gmn.training.job import TRAINING, TrainResNet, TrainWaveNet

CONFIGS = Path(__file__).parents[1] / "configs"


class Inner(Config):
    rate: float = 1.0
    """How fast."""
    size: int = Field(3, ge=1)
    """How large."""


class Sample(Config):
    """A little of everything."""

    kind: Literal["sample"] = "sample"
    """What it is."""
    name: str
    """What it is called."""
    flag: bool = False
    """Whether."""
    limit: int | None = 4
    """At most."""
    widths: tuple[int, ...] = (1, 2)
    """How wide."""
    inner: Inner = Inner(rate=7.0)
    """The group."""


def write(folder: Path, text: str) -> Path:
    file = folder / "config.yaml"
    file.write_text(text)
    return file


def refusal(file: Path | None, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        build(Sample, file, overrides)
    return str(caught.value)


def test_a_number_without_a_dot_is_a_float_in_the_file_and_on_the_command_line(tmp_path: Path) -> None:
    assert build(Sample, write(tmp_path, "name: a\ninner:\n  rate: 1e-3\n")).inner.rate == 1e-3
    assert build(Sample, None, ["name=a", "inner.rate=1e-3"]).inner.rate == 1e-3


def test_no_is_text_where_text_is_meant_and_false_where_a_flag_is(tmp_path: Path) -> None:
    config = build(Sample, write(tmp_path, "name: no\nflag: no\n"))
    assert config.name == "no"
    assert config.flag is False
    assert build(Sample, None, ["name=a", "flag=yes"]).flag is True


def test_a_name_that_looks_like_a_number_stays_text(tmp_path: Path) -> None:
    assert build(Sample, write(tmp_path, "name: 007\n")).name == "007"


@pytest.mark.parametrize("text", ["none", "None", "null", "~", ""])
def test_none_where_none_is_allowed(text: str) -> None:
    assert build(Sample, None, ["name=a", f"limit={text}"]).limit is None


def test_none_stays_text_where_it_is_not_allowed() -> None:
    assert build(Sample, None, ["name=none"]).name == "none"


def test_tuples_by_comma_and_by_list(tmp_path: Path) -> None:
    assert build(Sample, None, ["name=a", "widths=4, 5,6"]).widths == (4, 5, 6)
    assert build(Sample, write(tmp_path, "name: a\nwidths: [4, 5]\n")).widths == (4, 5)


def test_overrides_win_and_the_last_of_them(tmp_path: Path) -> None:
    file = write(tmp_path, "name: a\ninner:\n  size: 5\n  rate: 2\n")
    assert build(Sample, file, ["inner.size=6", "inner.size=7"]).inner == Inner(size=7, rate=2)


def test_an_equals_sign_may_stand_in_a_value() -> None:
    assert build(Sample, None, ["name=a=b"]).name == "a=b"


def test_a_key_of_a_group_leaves_the_groups_other_defaults() -> None:
    """`fit.steps=5` once took the batch size and weight decay of FitSettings instead of those of the model's recipe."""
    assert build(Sample, None, ["name=a", "inner.size=5"]).inner == Inner(rate=7.0, size=5)
    given = ["kind=resnet", "dataset=d", "output=o"]
    before, after = build(TRAINING, None, given).fit, build(TRAINING, None, [*given, "fit.steps=5"]).fit
    assert after == before.model_copy(update={"steps": 5})


def test_all_errors_at_once_by_dotted_path() -> None:
    message = refusal(None, "inner.size=0", "inner.rate=fast", "limit=many")
    lines = dict(line.split(": ", 1) for line in message.splitlines())
    assert set(lines) == {"name", "inner.size", "inner.rate", "limit"}
    assert lines["name"] == "is required"
    assert "given: 'fast'" in lines["inner.rate"]


def test_an_unknown_key_gets_a_suggestion() -> None:
    assert refusal(None, "name=a", "inner.sise=4") == "inner.sise: unknown key; did you mean inner.size?"
    assert refusal(None, "name=a", "qqq=4") == "qqq: unknown key (--help lists the keys)"


@pytest.mark.parametrize("text", ["nan", "inf"])
def test_no_nan(text: str) -> None:
    assert refusal(None, "name=a", f"inner.rate={text}").startswith("inner.rate: ")


def test_a_value_is_no_group() -> None:
    assert refusal(None, "name=a", "name.first=b").startswith("name.first: name is a value")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: a\nname: b\n", "'name' given twice, line 2"),
        ("inner:\n  size: 1\n  size: 2\n", "'size' given twice, line 3"),
        ("name: [a\n", "not YAML"),
        ("? [a]\n: b\n", "a key that is no text, line 1"),
        ("- a\n", "holds no keys"),
        ("name\n", "holds no keys"),
        ("name: \x00\n", "not YAML"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, says: str) -> None:
    message = refusal(write(tmp_path, text))
    assert message.startswith(f"--config {tmp_path / 'config.yaml'}: ")
    assert says in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.yaml") == f"--config {tmp_path / 'none.yaml'}: No such file or directory"


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    assert build(Sample, write(tmp_path, "# nothing\n"), ["name=a"]) == Sample(name="a")


def test_kind_chooses_the_schema() -> None:
    given = ["dataset=d", "output=o"]
    assert isinstance(build(TRAINING, None, ["kind=wavenet", *given]), TrainWaveNet)
    assert isinstance(build(TRAINING, None, ["kind=resnet", *given]), TrainResNet)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "kind: is required, one of wavenet, lstm, resnet"),
        ("kind: lstn\n", "kind: 'lstn' is unknown, one of wavenet, lstm, resnet"),
        ("kind: [wavenet]\n", "kind: ['wavenet'] is unknown"),
    ],
)
def test_a_kind_that_is_missing_or_unknown(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        build(TRAINING, write(tmp_path, text))
    assert str(caught.value).startswith(says)


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Sample(name="a").name = "b"  # type: ignore[misc]


def test_split_arguments() -> None:
    assert split_arguments(["a=1", "--config", "f.yaml", "b.c=d"]) == ("f.yaml", ["a=1", "b.c=d"])
    assert split_arguments(["--config=f.yaml"]) == ("f.yaml", [])
    assert split_arguments([]) == (None, [])


@pytest.mark.parametrize("argv", [["--config"], ["--seed=1"], ["-v"], ["seed"], ["--resume"]])
def test_split_arguments_refuses_the_rest(argv: list[str]) -> None:
    with pytest.raises(InputError, match=argv[0]):
        split_arguments(argv)


def test_keys_show_type_default_and_meaning() -> None:
    rows = {key.path: (key.type, key.default, key.meaning) for key in keys(Sample)}
    assert rows == {
        "kind": ("sample", "sample", "What it is."),
        "name": ("text", "required", "What it is called."),
        "flag": ("true|false", "false", "Whether."),
        "limit": ("integer|none", "4", "At most."),
        "widths": ("integer,...", "1,2", "How wide."),
        "inner.rate": ("number", "7.0", "How fast."),
        "inner.size": ("integer", "3", "How large."),
    }


@pytest.mark.parametrize("schema", [IngestConfig, *TRAINING.values()])
def test_help_lists_every_key_of_every_job(schema: type[Config]) -> None:
    text, rows = help_text(schema, "jobs.x", "Do x."), list(keys(schema))
    assert text.startswith("usage: python -m jobs.x [--config FILE.yaml] [key=value ...]\n\nDo x.\n")
    for key in rows:
        assert key.meaning, f"{key.path} has no meaning"
        assert f"  {key.path} " in text
        assert f"{key.type} [{key.default}]" in text
        assert key.meaning in " ".join(text.split())


def test_help_of_several_kinds_lists_each() -> None:
    text = help_text(TRAINING, "jobs.train", "Train.")
    assert "keys (kind=wavenet):" in text
    assert "keys (kind=lstm):" in text
    assert "keys (kind=resnet):" in text


def test_help_shows_the_default_that_a_recipe_sets() -> None:
    """The help once showed FitSettings' own learning rate where the model's recipe has another."""
    shown = {key.path: key.default for key in keys(TrainWaveNet)}
    assert float(shown["fit.learning_rate"]) == TrainWaveNet(dataset="d", output="o").fit.learning_rate


@pytest.mark.parametrize("file", sorted((CONFIGS / "train").glob("*.yaml")), ids=lambda file: file.name)
def test_shipped_training_recipes_build(file: Path) -> None:
    config = build(TRAINING, file, ["dataset=d", "output=o"])
    assert build(type(config), None, ["dataset=d", "output=o"]).kind == config.kind


def test_there_are_shipped_recipes() -> None:
    shipped = {file.stem for file in (CONFIGS / "train").glob("*.yaml")}
    assert shipped >= {"wavenet", "lstm", "resnet", "cnn"}
