"""Where labels come from."""

from pathlib import Path

import pytest

from gmn.datasets.labels import GEMS, Label, Labeller, LabelsConfig
from gmn.errors import InputError

RATES = ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9")


def table(folder: Path, *rows: str, header: str = ",".join(["path", "genre", "n_annotators", *GEMS])) -> LabelsConfig:
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    return LabelsConfig(kind="table", path=str(folder / "labels.csv"))


def emotify(folder: Path, *rows: str) -> LabelsConfig:
    # As in the published file: a space before most of the names.
    header = "track id, genre," + ",".join(f" {name}" for name in GEMS) + ", mood, liked"
    (folder / "data.csv").write_text("\n".join([header, *rows]) + "\n")
    return LabelsConfig(kind="emotify", path=str(folder / "data.csv"))


def label_files(config: LabelsConfig, paths: list[str]) -> dict[str, Label]:
    labeller = Labeller(config)
    labeller.check(paths)
    return {path: labeller(path) for path in paths}


def refusal(config: LabelsConfig, *paths: str) -> str:
    with pytest.raises(InputError) as caught:
        label_files(config, list(paths))
    return str(caught.value)


def test_none_labels_nothing() -> None:
    assert label_files(LabelsConfig(kind="none"), ["rock/a.wav"]) == {"rock/a.wav": Label()}


def test_the_first_folder_is_the_genre() -> None:
    labels = label_files(LabelsConfig(), ["rock/live/a.wav", "a.wav"])
    assert labels == {"rock/live/a.wav": Label("rock"), "a.wav": Label()}


def test_the_file_name_is_the_genre_in_gtzan() -> None:
    labels = label_files(LabelsConfig(kind="gtzan"), ["jazz/jazz.00054.au", "jazz/other.wav"])
    assert labels == {"jazz/jazz.00054.au": Label("jazz"), "jazz/other.wav": Label()}


@pytest.mark.parametrize("kind", ["table", "emotify"])
def test_a_label_file_must_be_named(kind: str) -> None:
    with pytest.raises(ValueError, match=f"labels.kind={kind} needs labels.path=FILE"):
        LabelsConfig.model_validate({"kind": kind})


def test_table(tmp_path: Path) -> None:
    config = table(tmp_path, ",".join(["a.wav", "rock", "12", *RATES]))
    labels = label_files(config, ["a.wav", "b.wav"])
    assert labels["a.wav"] == Label("rock", tuple(map(float, RATES)), 12)
    assert labels["b.wav"] == Label()


@pytest.mark.parametrize("cell", ["", " "])
def test_an_empty_genre_is_no_genre(tmp_path: Path, cell: str) -> None:
    """It once became the genre '', which no model knows, and training ended in a worker's error."""
    config = table(tmp_path, ",".join(["a.wav", cell, "12", *RATES]))
    assert label_files(config, ["a.wav"])["a.wav"].genre is None


def test_columns_may_stand_in_any_order_with_others_between(tmp_path: Path) -> None:
    header = ",".join([*GEMS, "mood", "n_annotators", "genre", "path"])
    config = table(tmp_path, ",".join([*RATES, "x", "3", "rock", "a.wav"]), header=header)
    assert label_files(config, ["a.wav"])["a.wav"] == Label("rock", tuple(map(float, RATES)), 3)


@pytest.mark.parametrize("rate", ["1.1", "-0.1", "nan", "", "much"])
def test_a_bad_rate_is_named(tmp_path: Path, rate: str) -> None:
    message = refusal(table(tmp_path, ",".join(["a.wav", "rock", "12", rate, *RATES[1:]])), "a.wav")
    assert f"labels.csv: amazement is {rate!r}, not a number from 0 to 1" in message


def test_a_row_that_ends_early_is_named(tmp_path: Path) -> None:
    assert "sadness is None" in refusal(table(tmp_path, ",".join(["a.wav", "rock", "12", *RATES[:-1]])), "a.wav")


def test_missing_columns_are_named(tmp_path: Path) -> None:
    assert "lacks the column path" in refusal(table(tmp_path, header="n_annotators," + ",".join(GEMS)), "a.wav")


def test_a_table_of_other_files_is_refused(tmp_path: Path) -> None:
    config = table(tmp_path, ",".join(["a.wav", "rock", "12", *RATES]))
    assert "names none of the audio files (first: 'x/a.wav')" in refusal(config, "x/a.wav", "x/b.wav")


def test_a_missing_label_file_is_named(tmp_path: Path) -> None:
    config = LabelsConfig(kind="table", path=str(tmp_path / "none.csv"))
    assert refusal(config, "a.wav") == f"labels.path {tmp_path}/none.csv: No such file or directory"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x01", b'path,"' + b"x" * 200_000 + b'"\n'])
def test_a_label_file_that_is_no_csv_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    assert "not a CSV or Parquet file" in refusal(
        LabelsConfig(kind="table", path=str(tmp_path / "labels.csv")), "a.wav"
    )


def test_rates_of_a_table_stand_beside_the_genre_of_a_folder(tmp_path: Path) -> None:
    """The genre from one place, the emotion from another; a genre in the table is compared, and told."""
    of_pop = ",".join(["pop/a.wav", "rock", "12", *RATES])
    config = table(tmp_path, of_pop, ",".join(["pop/b.wav", "pop", "", *RATES]), ",".join(["gone.wav", "", "", *RATES]))
    labeller = Labeller(LabelsConfig(kind="folders", path=config.path))
    rates = tuple(map(float, RATES))
    assert labeller("pop/a.wav") == Label("pop", rates, 12)
    assert labeller("pop/b.wav") == Label("pop", rates)
    assert labeller("rock/c.wav") == Label("rock")
    labeller.compare(3)
    file = tmp_path / "labels.csv"
    assert labeller.warnings == [
        f"1 of the 3 tracks in {file} have no audio file",
        f"1 of the 3 audio files have no row in {file}",
        f"1 of the 3 audio files have another genre in {file}; labels.kind=folders decides",
    ]


def test_no_labels_read_no_file() -> None:
    with pytest.raises(ValueError, match=r"labels.kind=none reads no labels.path"):
        LabelsConfig(kind="none", path="labels.csv")


def test_a_table_without_labels_is_refused(tmp_path: Path) -> None:
    """It once made a dataset without labels."""
    message = refusal(table(tmp_path, "a.wav,5,more", header="path,year"), "a.wav")
    assert message == f"labels.path {tmp_path}/labels.csv: holds no labels; it has path, year"


def test_a_table_that_lacks_some_of_the_rates_is_refused(tmp_path: Path) -> None:
    """Its eight other rates once were left out in silence."""
    header = ",".join(["path", *GEMS[:-1]])
    message = refusal(table(tmp_path, ",".join(["a.wav", *RATES[:-1]]), header=header), "a.wav")
    assert message.endswith("has some of the nine rates, but lacks sadness")


def test_two_rows_of_a_path_that_differ_are_refused(tmp_path: Path) -> None:
    """The later one once won in silence."""
    rows = [f"a.wav,{genre}" for genre in ("rock", "rock", "pop")]
    assert label_files(table(tmp_path, *rows[:2], header="path,genre"), ["a.wav"]) == {"a.wav": Label("rock")}
    assert refusal(table(tmp_path, *rows, header="path,genre"), "a.wav").endswith("'a.wav' has two rows that differ")


def test_emotify_averages_the_annotations_of_a_track(tmp_path: Path) -> None:
    config = emotify(tmp_path, "7,classical,1,0,0,0,0,0,0,0,1,3,0", "7,classical,0,0,0,0,0,0,0,0,1,3,0")
    label = label_files(config, ["classical/7.mp3"])["classical/7.mp3"]
    assert label == Label("classical", (0.5, 0, 0, 0, 0, 0, 0, 0, 1), 2)


@pytest.mark.parametrize(
    ("path", "track"),
    [
        ("classical/7.mp3", 7),
        ("rock/100.mp3", 200),
        ("electronic.001.mp3", 201),
        ("emotify/pop/pop.100.wav", 400),
    ],
)
def test_emotify_ids(tmp_path: Path, path: str, track: int) -> None:
    config = emotify(tmp_path, f"{track},found,1,0,0,0,0,0,0,0,0,3,0")
    assert label_files(config, [path])[path].genre == "found"


@pytest.mark.parametrize("path", ["classical/150.mp3", "rock/0.mp3", "rock/five.mp3", "jazz/5.mp3"])
def test_what_is_no_track_of_emotify_gets_its_folder_only(tmp_path: Path, path: str) -> None:
    """classical/150 was once taken for track 150, which is rock's 50th."""
    rows = [f"{track},wrong,1,0,0,0,0,0,0,0,0,3,0" for track in range(1, 401) if track != 7]
    config = emotify(tmp_path, "7,classical,1,0,0,0,0,0,0,0,0,3,0", *rows)
    assert label_files(config, ["classical/7.mp3", path])[path] == Label(path.split("/")[0])
