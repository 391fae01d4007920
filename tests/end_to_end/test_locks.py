"""Two runs on one folder: the second ends at once, names the first and changes nothing; a killed one stops nobody."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import cnnexplain as cx
from cnnexplain import files
from cnnexplain.errors import OutputError
from cnnexplain.pipeline import parts
from cnnexplain.rendering.pictures import Pictures
from cnnexplain.results import lock, result_folder, writer
from cnnexplain.results.record import Record

pytestmark = pytest.mark.usefixtures("blank_pictures")

PROGRAMS = Path(__file__).parent.parent / "programs"


@pytest.fixture(scope="module")
def record(lenet):
    return cx.explain("saliency", lenet, ["mnist:test/3", "mnist:test/8"])


def everything(folder):
    """What lies in a folder, however deep, but for what tells that it is locked."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != lock.NAME}


@contextmanager
def holder(folder):
    """Another process that has locked a folder."""
    with subprocess.Popen([sys.executable, PROGRAMS / "hold_lock.py", folder], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_run_stops_and_names_the_first(cli, tmp_path, record):
    record.save("cnnexplain-out/saliency", dpi=20)
    before = everything(tmp_path)
    with holder(tmp_path / "cnnexplain-out/saliency") as first:
        for arguments in (
            ("run", "saliency"),
            ("run", "saliency", "--resume"),
            ("run", "saliency", "mnist:test/5", "--target", "3", "--format", "svg", "--json"),
            ("run", "all"),
            ("report",),
            ("report", "--analysis", "saliency"),
            ("redraw", "cnnexplain-out/saliency", "--dpi", "20"),
        ):
            started = time.monotonic()
            code, out, err = cli(*arguments)
            assert code == 1
            assert "Wrote" not in out
            (line,) = err.splitlines()
            assert line.startswith("Error: Another run is writing to 'cnnexplain-out/saliency': process ")
            assert f"process {first.pid} on " in line
            assert "'hold_lock.py " in line
            assert line.endswith("Wait until it ends, or choose another --out.")
            assert time.monotonic() - started < 20
            assert everything(tmp_path) == before
        with pytest.raises(lock.InUseError, match=f"process {first.pid} on "):
            record.save("cnnexplain-out/saliency")
        # To read needs no lock, and another analysis has a folder of its own.
        assert Record.load("cnnexplain-out/saliency").explained == record.explained
        assert cli("run", "gradient-x-input", "--dpi", "20")[0] == 0
    # The first was killed.
    assert (tmp_path / "cnnexplain-out/saliency" / lock.NAME).exists()
    assert cli("run", "saliency", "--dpi", "20")[0] == 0
    assert not list(tmp_path.rglob(f"{files.PREFIX}*"))


def test_concurrent_reports_keep_separate_pages(cli, tmp_path):
    with holder(tmp_path / "cnnexplain-out") as first:
        code, _, err = cli("report", "--analysis", "gradcam")
        assert (code, err.count("\n")) == (1, 1)
        assert f"Another run is writing to 'cnnexplain-out': process {first.pid}" in err
    assert [path.name for path in (tmp_path / "cnnexplain-out").iterdir()] == [lock.NAME]


def test_concurrent_saves_are_all_or_nothing(record, tmp_path, monkeypatch):
    monkeypatch.setattr(Pictures, "save", lambda self, figure, path: (time.sleep(0.05), path.write_bytes(b"picture")))
    monkeypatch.setattr(Record, "figure", lambda self, index: None)
    outcomes = []

    def save():
        try:
            outcomes.append(len(record.save(tmp_path / "out")))
        except OutputError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=save) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    words = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert 0 < len(words) < 4
    assert all(f"Another run is writing to '{tmp_path / 'out'}': process {os.getpid()} on " in word for word in words)
    assert len(Record.load(tmp_path / "out")) == 2
    listed = json.loads((tmp_path / "out/result.json").read_text())["files"]
    assert sorted(listed) == sorted(path.name for path in (tmp_path / "out").iterdir())


def test_an_unused_folder_is_removed_with_its_lock(cli, tmp_path):
    (tmp_path / "mine").mkdir()
    with lock.held(tmp_path / "mine/a/b/c"):
        assert [path.name for path in (tmp_path / "mine/a/b/c").iterdir()] == [lock.NAME]
        (tmp_path / "mine/a/notes.txt").touch()
    assert sorted(path.name for path in (tmp_path / "mine").rglob("*")) == ["a", "notes.txt"]
    assert cli("run", "saliency", "nothing.png")[0] == 2
    assert not (tmp_path / "cnnexplain-out").exists()


def test_runs_work_on_file_systems_without_locks(record, tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(lock, "_take", unsupported)
    with lock.held(tmp_path / "out"):
        record.save(tmp_path / "out", dpi=20)
    assert len(Record.load(tmp_path / "out")) == 2
    assert not list(tmp_path.rglob(f"{files.PREFIX}*"))


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to(path.name), lambda path: path.symlink_to("mine")])
def test_another_file_in_place_of_the_lock_is_reported_and_kept(record, tmp_path, make):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    make(tmp_path / "out" / lock.NAME)
    with pytest.raises(OutputError, match=f"Can't write '{tmp_path}/out"), lock.held(tmp_path / "out"):
        pass
    assert (tmp_path / "out/mine").read_text() == "mine"
    assert os.path.lexists(tmp_path / "out" / lock.NAME)


def test_control_characters_in_a_lock_file_are_escaped(tmp_path):
    with lock.held(tmp_path):
        told = {"process": "\x1b[31m" * 99, "machine": "\u202e\n", "since": [[]], "command": "x" * 500}
        for content in (json.dumps(told), "[" * 900, "\0\xff", ""):
            (tmp_path / lock.NAME).write_bytes(content.encode("latin-1", errors="replace"))
            with pytest.raises(lock.InUseError) as caught, lock.held(tmp_path):
                pass
            assert str(caught.value).isprintable()
            assert len(str(caught.value)) < 600


def test_a_folder_removed_during_a_run_is_not_written(record, tmp_path, monkeypatch):
    """Another run may have it by then."""
    out = tmp_path / "out"

    def removing(self, figure, path):
        path.write_bytes(b"picture")
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(exist_ok=True)

    monkeypatch.setattr(Pictures, "save", removing)
    with pytest.raises(OutputError) as caught:
        record.save(out)
    assert str(caught.value).count("\n") == 0
    assert not list(tmp_path.rglob("result.json"))


@pytest.mark.slow
def test_concurrent_runs_leave_one_complete_result(tmp_path, shell):
    """The same folder, different images and parts: whoever is second says so; later runs go on as ever."""

    def started(images):
        return subprocess.Popen(
            [
                *(sys.executable, PROGRAMS / "small_parts.py"),
                *("run", "saliency", *(f"mnist:test/{i}" for i in images), "--dpi", "20"),
            ],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    first = started(range(12))
    waited = time.monotonic() + 120
    held = tmp_path / "cnnexplain-out/saliency" / lock.NAME
    # The process is written a moment after the file is created.
    while not held.exists() or not held.stat().st_size:
        assert time.monotonic() < waited
        time.sleep(0.01)
    # Otherwise it might end before the second begins.
    first.send_signal(signal.SIGSTOP)
    second = started(range(6, 20))
    error = second.communicate(timeout=240)[1]
    first.send_signal(signal.SIGCONT)
    first.communicate(timeout=240)
    assert (first.returncode, second.returncode) == (0, 1)
    assert f"Error: Another run is writing to 'cnnexplain-out/saliency': process {first.pid} on " in error
    assert len(Record.load(tmp_path / "cnnexplain-out/saliency")) == 12


def orphaned(folder):
    """A folder as two runs at once have left it before there were locks: parts that `result.json` does not list."""
    content = json.loads((folder / "result.json").read_text())
    last = json.loads((folder / content["parts"][-1]).read_text())
    kept = [name for name in content["files"] if name not in last["files"]]
    (folder / "result.json").write_text(
        json.dumps(content | {"parts": content["parts"][:-1], "files": kept, "complete": False})
    )
    return last


def test_folders_can_be_reused_after_concurrent_runs(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "MOST_READ", 2)
    monkeypatch.setattr(parts, "PART_IMAGES", 3)
    names = [f"mnist:test/{i}" for i in range(7)]
    folder = tmp_path / "cnnexplain-out/saliency"
    assert cli("run", "saliency", *names, "--dpi", "20")[0] == 0
    before = everything(tmp_path)
    orphaned(folder)
    assert cli("run", "saliency", *names, "--dpi", "20", "--resume")[0] == 0
    assert sorted(map(str, everything(tmp_path))) == sorted(map(str, before))
    assert json.loads((folder / "result.json").read_text())["parts"] == ["result-00001.json", "result-00002.json"]
    last = orphaned(folder)
    assert cli("run", "saliency", "mnist:test/50", "--dpi", "20")[0] == 0
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        json.loads((folder / "result.json").read_text())["files"]
    )
    # Pictures that nothing lists may be the user's: it says which are in the way.
    for image in last["images"]:
        (folder / image["picture"]).write_bytes(b"picture")
    code, _, err = cli("run", "saliency", *names, "--dpi", "20")
    assert (code, err.count("\n")) == (1, 1)
    assert "mnist-test-4.png' exists and is not part of the earlier result, and neither are mnist-test-5.png, " in err
    assert "mnist-test-6.png; choose another with --out, or delete them." in err


def test_a_failed_move_restores_the_old_result(record, tmp_path, monkeypatch):
    out = tmp_path / "out"
    record.save(out, dpi=20)
    before = everything(out)
    replace, count = Path.replace, 0
    for failing in range(1, 20):
        count = 0

        def move(path, target, failing=failing):
            nonlocal count
            count += 1
            if count == failing:
                raise PermissionError(errno.EACCES, "Permission denied")
            return replace(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", move)
            words = ""
            try:
                writer.write(record, out, Pictures("svg", 20))
            except OutputError as error:
                words = str(error)
        if not words:
            break
        assert words == f"Can't write '{out}': Permission denied."
        assert everything(out) == before
    assert failing > 8
    assert {path.suffix for path in out.iterdir()} == {".svg", ".npz", ".webp", ".html", ".json"}


@pytest.mark.slow
def test_ctrl_c_waits_until_all_files_are_moved(shell, tmp_path):
    numbers = [int(signal.SIGINT), int(signal.SIGTERM)]
    done = shell(PROGRAMS / "interrupt_moves.py", *numbers)
    assert done.stdout.splitlines()[-1] == str(([130] * 5 + [0] * 2) * 2)
    for number in numbers:
        for at in range(1, 8):
            assert json.loads((tmp_path / f"out{number}-{at}/saliency/result.json").read_text())["complete"]
            assert len(Record.load(tmp_path / f"out{number}-{at}/saliency")) == 1
        assert done.stderr.count(f"Interrupted: 1 images are done and kept in out{number}-") == 5
    assert not list(tmp_path.rglob(f"{files.PREFIX}*"))


def test_leftovers_of_a_killed_run_are_removed_on_resume(cli, tmp_path):
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        pass
    folder = tmp_path / "cnnexplain-out/saliency"
    assert cli("run", "saliency", "--dpi", "20")[0] == 0
    machine = files._machine()
    gone = [f"{ended.pid}-x", f"{ended.pid}-{machine}-x", "99999999-other.host-x"]
    kept = [f"{os.getpid()}-{machine}-x", f"{os.getpid()}-x", f"{ended.pid}-other.host-x", "²-x", "notes", "1-2-3-4"]
    for name in gone + kept:
        (folder / f"{files.PREFIX}{name}").mkdir()
        (folder / f"{files.PREFIX}{name}" / "half.png").touch()
    os.utime(folder / f"{files.PREFIX}{gone[2]}", (0, 0))
    code, out, _ = cli("run", "saliency", "--dpi", "20", "--resume")
    assert (code, "nothing left to do" in out) == (0, True)
    assert sorted(path.name for path in folder.glob(f"{files.PREFIX}*")) == sorted(f"{files.PREFIX}{name}" for name in kept)


def test_a_deleted_working_folder_is_reported(record, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for call in (lambda: record.save("out"), lambda: result_folder.check_folder(Path("out"))):
        with pytest.raises(OutputError, match="the working folder was deleted; change to another one"):
            call()
    monkeypatch.chdir(tmp_path)
