"""Ray as the jobs use it."""

import logging
import os
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from gmn import runtime


@pytest.fixture
def _root_logger() -> Iterator[None]:
    """Put the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(False)
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers, root.level = handlers, level


@pytest.mark.usefixtures("_root_logger")
def test_records_and_warnings_go_to_the_log_file_and_not_to_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runtime.keep_log(tmp_path / "run" / "gmn.log")
    logging.getLogger("gmn.x").info("a record")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("a warning", UserWarning, stacklevel=1)
    text = (tmp_path / "run" / "gmn.log").read_text()
    assert "INFO gmn.x: a record" in text
    assert "a warning" in text
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("_root_logger")
def test_a_log_without_records_leaves_no_file(tmp_path: Path) -> None:
    runtime.keep_log(tmp_path / "gmn.log")
    assert not (tmp_path / "gmn.log").exists()


def test_the_folder_for_sockets_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/tmp")
    assert len(str(runtime._short_folder())) < 30


@pytest.mark.ray
@pytest.mark.usefixtures("ray")
def test_a_second_connection_is_the_first() -> None:
    import ray

    before = ray.get_runtime_context().gcs_address
    runtime.connect()
    assert ray.get_runtime_context().gcs_address == before


@pytest.mark.ray
@pytest.mark.usefixtures("ray")
def test_workers_compute_with_one_thread_and_without_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    import ray

    def report() -> str | None:
        os.write(1, b"noise")
        return os.environ.get("OMP_NUM_THREADS")

    assert ray.get(ray.remote(report).remote()) == "1"
    assert capfd.readouterr() == ("", "")


@pytest.mark.ray
@pytest.mark.usefixtures("ray")
def test_messages_are_heard_in_order_to_the_last() -> None:
    import ray

    def say(mailbox: ray.actor.ActorHandle) -> None:
        ray.get([mailbox.put.remote(number) for number in range(50)])

    heard: list[int] = []
    with runtime.listening(heard.append) as mailbox:
        ray.get(ray.remote(say).remote(mailbox))
    assert heard == list(range(50))


@pytest.mark.ray
@pytest.mark.usefixtures("ray")
def test_listening_ends_with_its_block_even_after_an_error() -> None:
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), runtime.listening(lambda message: None):
        1 / 0  # noqa: B018
    assert threading.active_count() <= before
