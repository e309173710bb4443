"""What an LMS gives out ends as one notebook a student, or as a reason; nothing else is written, nothing is lost."""

import io
import json
import os
import pwd
import shutil
import stat
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbgrader.api import Gradebook

from autograder import cli, naming, pool, unpack
from autograder import collect as collecting
from autograder.course_files import Course
from autograder.ingest import Ungradable, read
from autograder.record import find_alembic
from autograder.unpack import files_of_folder

SET = "ps1_rnn"
MOODLE = "{}_{}_assignsubmission_file_/{}"


@pytest.fixture
def course(root, tmp_path):
    course = tmp_path / "course"
    shutil.copytree(root / "autograder/course/release", course / "release")
    shutil.copy(root / "autograder/course/nbgrader_config.py", course)
    return course


@pytest.fixture
def collect(course, capsys):
    """Collect, and give back what was printed; the exit code says whether somebody was left out."""

    def collect(source, *more, code=0):
        assert cli.main(["collect", SET, *map(str, [source] if source else []), "--course", str(course), *more]) == code
        return capsys.readouterr().out

    return collect


@pytest.fixture
def lies_there(course):
    """By student: the notebook's text, or why there is none, as grading would read it."""

    def lies_there():
        folders = Course.at(course).submissions(SET)
        return {who: raw if isinstance(raw, bytes) else str(raw) for who, raw in pool.read_all(folders, f"{SET}.ipynb")}

    return lies_there


def packed(path, files):
    """A zip archive; a name may be a ZipInfo."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return path


def zipped(*files):
    inside = io.BytesIO()
    packed(inside, files)
    return inside.getvalue()


def kind(name, mode):
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, mode << 16
    return entry


def at(course, student, file="timestamp.txt"):
    return (course / "submitted" / student / SET / file).read_text()


class TestNames:
    def test_moodles_folders(self, tmp_path, collect, lies_there):
        files = [
            (MOODLE.format("Ada Lovelace", 11, f"{SET}.ipynb"), b"a"),
            (MOODLE.format("Zoë O'Hara-Li", 12, "x.ipynb"), b"z"),
        ]
        assert "Moodle" in collect(packed(tmp_path / "m.zip", files))
        assert lies_there() == {"11": b"a", "12": b"z"}

    def test_moodles_flat_files(self, tmp_path, collect, lies_there):
        files = [(f"Ada Lovelace_11_assignsubmission_file_{SET}.ipynb", b"a")]
        assert "Moodle" in collect(packed(tmp_path / "m.zip", files))
        assert lies_there() == {"11": b"a"}

    @pytest.mark.parametrize(
        "form", ["{}_11_assignsubmission_file_/{}", "{}_11_assignsubmission_file_{}", "{}_11_12_{}"]
    )
    @pytest.mark.parametrize(
        "name", ["Ada_22_assignsubmission_file_/x.ipynb", "Ada_22_assignsubmission_file_x.ipynb", "ada_22_33_x.ipynb"]
    )
    def test_no_files_name_makes_it_anothers(self, tmp_path, collect, lies_there, form, name):
        collect(packed(tmp_path / "m.zip", [(form.format("mallory", name), b"m")]))
        assert lies_there() == {"11": b"m"}

    def test_canvas(self, tmp_path, collect, lies_there):
        files = [(f"lovelaceada_11_500_{SET}-1.ipynb", b"a"), (f"oharazoe_LATE_12_501_{SET}.ipynb", b"z")]
        printed = collect(packed(tmp_path / "c.zip", files))
        assert "Canvas" in printed
        assert "how late (a penalty is yours to give): 12" in printed
        assert lies_there() == {"11": b"a", "12": b"z"}

    def test_of_canvas_versions_the_last_counts_and_the_others_are_named(self, tmp_path, collect, lies_there):
        files = [
            (f"ada_11_500_{SET}-1.ipynb", b"new"),
            (f"ada_11_499_{SET}.ipynb", b"old"),
            ("ada_11_502_notes.ipynb", b"no"),
        ]
        printed = collect(packed(tmp_path / "c.zip", files))
        assert lies_there() == {"11": b"new"}
        assert f"ada_11_499_{SET}.ipynb" in printed.split("not taken: ")[1]
        assert "ada_11_502_notes.ipynb" in printed.split("not taken: ")[1]

    def test_gradescope_with_its_people_and_times(self, tmp_path, course, collect, lies_there):
        meta = """
submission_7:
  :submitters:
  - :name: Ada Lovelace
    :sid: ada
    :email: a@x.org
  - :name: Zoe
    :sid: ''
    :email: zoe@x.org
  :created_at: 2026-11-01 10:00:00.5 -0700
submission_8:
  :submitters:
  - :name: Bob
    :sid: bob
    :email: b@x.org
  :created_at: 2026-11-02 10:00:00.000000000 Z
"""
        top = "assignment_1_export/"
        files = [
            (f"{top}submission_metadata.yml", meta),
            (f"{top}submission_7/deep/er/{SET}.ipynb", b"az"),
            (f"{top}submission_8/b.ipynb", b"b"),
            (f"{top}submission_9/c.ipynb", b"c"),
        ]
        printed = collect(packed(tmp_path / "g.zip", files), code=1)
        assert "Gradescope" in printed
        assert "submission_metadata.yml does not say whose it is" in printed.split("submission_9/c.ipynb")[1]
        assert lies_there() == {"ada": b"az", "bob": b"b", "zoe@x.org": b"az"}
        assert at(course, "ada") == "2026-11-01 17:00:00.500000 UTC"
        assert at(course, "bob") == "2026-11-02 10:00:00.000000 UTC"

    def test_a_folder_of_folders(self, tmp_path, course, collect, lies_there):
        for student in ("ada", "ün ïcode"):
            (tmp_path / "in" / student / "deep").mkdir(parents=True)
            (tmp_path / "in" / student / "deep" / "mine.ipynb").write_text(student)
        collect(tmp_path / "in")
        assert lies_there() == {"ada": b"ada", "ün ïcode": "ün ïcode".encode()}

    def test_a_file_beside_the_students_folders_is_no_student(self, tmp_path, collect, lies_there):
        for name in ("a.ipynb", "b.txt", "c.txt"):
            (folder_of(tmp_path) / name).write_bytes(b"a")
        for name in ("grades.csv", "solution.ipynb"):
            (tmp_path / "in" / name).touch()
        assert "grades.csv" in collect(tmp_path / "in", code=1)
        assert lies_there() == {"ada": b"a"}

    def test_nbgraders_own_layout_with_its_times_and_other_problem_sets(self, tmp_path, course, collect, lies_there):
        for problem_set in (SET, "ps2_gru"):
            (tmp_path / "in/ada" / problem_set).mkdir(parents=True)
            (tmp_path / "in/ada" / problem_set / f"{problem_set}.ipynb").write_text(problem_set)
            (tmp_path / "in/ada" / problem_set / "timestamp.txt").write_text("2026-11-02 10:00:00 UTC")
        assert "not taken" not in collect(tmp_path / "in")
        assert lies_there() == {"ada": SET.encode()}
        assert at(course, "ada").startswith("2026-11-02 10:00:00")

    def test_files_named_for_students_are_taken_when_told(self, tmp_path, collect, lies_there, capsys):
        source = packed(tmp_path / "f.zip", [("ada.ipynb", b"a"), ("zoe.ipynb", b"z")])
        collect(source, code=2)
        assert lies_there() == {}
        collect(source, "--from", "folder")
        assert lies_there() == {"ada": b"a", "zoe": b"z"}

    def test_the_courses_own_pattern_as_for_zip_collect(self, tmp_path, course, collect, lies_there):
        """nbgrader's documentation gives this name and this pattern."""
        config = course / "nbgrader_config.py"
        pattern = r".*_(?P<student_id>\w+)_attempt_(?P<timestamp>[0-9\-]+)_(?P<file_id>\w+)"
        config.write_text(config.read_text() + f"\nc.FileNameCollectorPlugin.named_regexp = r'{pattern}'\n")
        files = [
            ("ps1_bitdiddle_attempt_2016-01-30_problem1.ipynb", b"b"),
            ("ps1_reasoner_attempt_2016-01-31_problem1.ipynb", b"r"),
        ]
        assert "the pattern in nbgrader_config.py" in collect(packed(tmp_path / "x.zip", files))
        assert lies_there() == {"bitdiddle": b"b", "reasoner": b"r"}
        assert at(course, "bitdiddle").startswith("2016-01-30 00:00:00")

    def test_the_courses_own_plugin(self, tmp_path, course, collect, lies_there):
        config = course / "nbgrader_config.py"
        config.write_text(config.read_text() + OWN_PLUGIN)
        collect(packed(tmp_path / "x.zip", [("ada@x.ipynb", b"a")]))
        assert lies_there() == {"ada": b"a"}


OWN_PLUGIN = """
from nbgrader.plugins import FileNameCollectorPlugin


class Mine(FileNameCollectorPlugin):
    def collect(self, path):
        return {"student_id": path.split("/")[-1].split("@")[0], "file_id": "x"}


c.ZipCollectApp.collector_plugin = Mine
"""


class TestRoster:
    ROSTER = """id,first_name,last_name,email,lms_user_id
ada,Ada,Lovelace,a@x.org,11
zoe,Zoë,O'Hara,z@x.org,12
kim1,Kim,Lee,,13
kim2,Kim,Lee,,14
eve,,,,
"""

    @pytest.fixture
    def roster(self, tmp_path):
        (tmp_path / "roster.csv").write_text(self.ROSTER)
        return ("--roster", str(tmp_path / "roster.csv"))

    def test_names_become_ids_and_who_handed_in_nothing_is_said(self, tmp_path, collect, lies_there, roster):
        files = [
            (MOODLE.format("ada  LOVELACE", 901, "a.ipynb"), b"a"),
            (MOODLE.format("Zoë O'Hara", 11, "z.ipynb"), b"z"),
        ]
        printed = collect(packed(tmp_path / "m.zip", files), *roster)
        assert lies_there() == {"ada": b"a", "zoe": b"z"}  # Moodle's 11 is not the 11 of the roster
        assert "Handed in nothing: kim1, kim2, eve" in printed

    def test_a_name_that_two_have_is_left_out_unless_a_number_decides(self, tmp_path, collect, lies_there, roster):
        printed = collect(
            packed(tmp_path / "m.zip", [(MOODLE.format("Kim Lee", 13, "k.ipynb"), b"k")]), *roster, code=1
        )
        assert "could be any of kim1, kim2" in printed
        collect(packed(tmp_path / "c.zip", [("leekim_14_900_k.ipynb", b"k")]), *roster)
        assert lies_there() == {"kim2": b"k"}

    def test_a_number_and_a_name_that_disagree_are_left_out(self, tmp_path, collect, lies_there, roster):
        printed = collect(packed(tmp_path / "c.zip", [("lovelaceada_12_900_k.ipynb", b"k")]), *roster, code=1)
        assert "any of ada, zoe" in printed
        assert lies_there() == {}

    def test_who_is_not_on_it_is_left_out_and_named(self, tmp_path, collect, lies_there, roster):
        files = [(MOODLE.format("Stranger", 5, "s.ipynb"), b"s"), (MOODLE.format("Ada Lovelace", 6, "a.ipynb"), b"a")]
        assert "Stranger" in collect(packed(tmp_path / "m.zip", files), *roster, code=1)
        assert lies_there() == {"ada": b"a"}

    def test_two_people_of_one_name_are_not_one_student(self, tmp_path, collect, lies_there, roster):
        files = [(MOODLE.format("Ada Lovelace", number, "a.ipynb"), b"a") for number in (1, 2)]
        assert "several people" in collect(packed(tmp_path / "m.zip", files), *roster, code=1)
        assert lies_there() == {}

    @pytest.mark.parametrize("text", ["", "name\nada\n", "id\nada\nada\n"])
    def test_what_is_no_roster_is_refused(self, tmp_path, course, text, capsys):
        (tmp_path / "r.csv").write_text(text)
        arguments = ["collect", SET, str(tmp_path), "--course", str(course), "--roster", str(tmp_path / "r.csv")]
        assert cli.main(arguments) == 2


BAD = {
    "link": (kind("ps1_rnn.ipynb", stat.S_IFLNK | 0o777), b"/etc/passwd", "link"),
    "device": (kind("ps1_rnn.ipynb", stat.S_IFCHR), b"", "ordinary"),
    "pipe": (kind("ps1_rnn.ipynb", stat.S_IFIFO), b"", "ordinary"),
    "traversal": ("../../../escaped.ipynb", b"x", "leads out"),
    "windows": ("..\\..\\escaped.ipynb", b"x", "leads out"),
    "bomb": ("ps1_rnn.ipynb", b"0" * (2 << 20), "bombs"),
    "large": ("ps1_rnn.ipynb", os.urandom(21 << 20), "20 are read"),
    "pdf": ("essay.pdf", b"%PDF", "essay.pdf"),
    "script": ("ps1_rnn.py", b"print(1)", "ps1_rnn.py"),
    "no zip": ("work.zip", b"PK\x03\x04 broken", "not a zip"),
    "empty zip": ("work.zip", zipped(), "nothing in work.zip"),
    "zip in zip": ("work.zip", zipped(("again.zip", zipped(("ps1_rnn.ipynb", "x")))), "again.zip"),
    "traversal in zip": ("work.zip", zipped(("../../ps1_rnn.ipynb", "x")), "leads out"),
    "absolute in zip": ("work.zip", zipped(("/tmp/ps1_rnn.ipynb", "x")), "leads out"),
    "drive in zip": ("work.zip", zipped(("C:\\x\\ps1_rnn.ipynb", "x")), "leads out"),
    "link in zip": ("work.zip", zipped((kind("a.ipynb", stat.S_IFLNK), "/etc/passwd")), "link"),
    "many in zip": ("work.zip", zipped(*((f"{i}" + "x" * 200, "") for i in range(20_000))), "too many"),
    "two notebooks": ("work.zip", zipped(("a.ipynb", "x"), ("b.ipynb", "y")), "Several notebooks"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_taken_is_scored_0_with_the_reason_and_stops_nobody(case, tmp_path, course, collect, lies_there):
    name, content, words = BAD[case]
    if isinstance(name, str):
        bad = MOODLE.format("Eve", 2, name)
    else:
        bad = kind(MOODLE.format("Eve", 2, name.filename), name.external_attr >> 16)
    files = [(MOODLE.format("Ada", 1, "a.ipynb"), b"a"), (bad, content), (MOODLE.format("Zoe", 3, "z.ipynb"), b"z")]
    before = set(tmp_path.rglob("*"))
    printed = collect(packed(tmp_path / "m.zip", files))
    found = lies_there()
    assert (found["1"], found["3"]) == (b"a", b"z")
    assert words in found["2"]
    assert words in printed
    written = {path for path in set(tmp_path.rglob("*")) - before if path.is_file()}
    assert {path.name for path in written} <= {f"{SET}.ipynb", "not_collected.txt", "m.zip", f"{SET}.lock"}
    assert all(course / "submitted" in path.parents for path in written if path.suffix in (".ipynb", ".txt"))


def folder_of(tmp_path, name="in"):
    folder = tmp_path / name / "ada"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.sandbox
def test_what_was_collected_is_graded_and_a_reason_scores_0(tmp_path, course, collect, sample_class, gradebook):
    shutil.copy(gradebook, course)
    right = json.dumps(sample_class._answered(*sample_class.RIGHT["ada_plain"]))
    files = [(MOODLE.format("Ada", 1, f"{SET}.ipynb"), right), (MOODLE.format("Eve", 2, "essay.pdf"), b"%PDF")]
    collect(packed(tmp_path / "m.zip", files))
    assert cli.main(["grade", SET, "--course", str(course), "--json", str(tmp_path / "records.json")]) == 0
    ada, eve = json.loads((tmp_path / "records.json").read_text())
    assert (ada["student"], ada["ended"], eve["student"], eve["points"]) == ("1", "finished", "2", 0)
    assert ada["points"] > 0
    assert "essay.pdf" in eve["detail"]


class TestFolders:
    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda path: path.symlink_to("/etc/passwd"), "link"),
            (os.mkfifo, "ordinary"),
            (lambda path: path.write_bytes(b"x" * (21 << 20)), "larger than 20 MiB"),
        ],
    )
    def test_links_pipes_and_large_files_are_not_taken(self, tmp_path, collect, lies_there, make, words):
        make(folder_of(tmp_path) / f"{SET}.ipynb")
        collect(tmp_path / "in")
        assert words in lies_there()["ada"]

    def test_a_linked_folder_is_not_followed(self, tmp_path, collect, lies_there):
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / f"{SET}.ipynb").write_bytes(b"zoe's")
        (folder_of(tmp_path) / "mine").symlink_to(elsewhere)
        (tmp_path / "in" / "eve").symlink_to(elsewhere)
        collect(tmp_path / "in", code=1)
        assert set(lies_there()) == {"ada"}
        assert "zoe's" not in str(lies_there())

    def test_a_folder_that_becomes_a_link_after_the_look_is_not_followed(self, tmp_path):
        inner = folder_of(tmp_path) / "deep"
        inner.mkdir()
        (inner / "a.ipynb").write_bytes(b"mine")
        (file,) = files_of_folder(tmp_path / "in")
        inner.rename(tmp_path / "away")
        inner.symlink_to(tmp_path / "away")
        with pytest.raises(Ungradable, match="link"):
            file.read()

    def test_a_folder_full_of_files_hides_nobody_else(self, tmp_path, collect, lies_there, monkeypatch):
        monkeypatch.setattr(unpack, "MAX_FILES", 5)
        for i in range(10):
            (folder_of(tmp_path) / f"a{i}.txt").touch()
        (tmp_path / "in/zoe").mkdir()
        (tmp_path / "in/zoe/z.ipynb").write_bytes(b"z")
        collect(tmp_path / "in")
        assert lies_there()["zoe"] == b"z"
        assert f"There is no {SET}.ipynb" in lies_there()["ada"]

    def test_what_systems_leave_behind_is_nobodys(self, tmp_path, collect, lies_there):
        for name in (".DS_Store", ".ipynb_checkpoints/a.ipynb", "__MACOSX/a.ipynb", "._a.ipynb", "a.ipynb"):
            (folder_of(tmp_path) / name).parent.mkdir(exist_ok=True)
            (folder_of(tmp_path) / name).write_text(name)
        assert "not taken" not in collect(tmp_path / "in")
        assert lies_there() == {"ada": b"a.ipynb"}

    def test_what_we_may_not_read_is_nobodys_zero(self, tmp_path, collect, lies_there, monkeypatch):
        (folder_of(tmp_path) / "a.ipynb").touch()

        def refuse(*arguments, **more):
            raise PermissionError(13, "Permission denied", "a.ipynb")

        monkeypatch.setattr(unpack, "read_regular_file", refuse)
        assert "may not be read" in collect(tmp_path / "in", code=1)
        assert lies_there() == {}

    def test_a_folder_that_we_may_not_list_is_nobodys_zero(self, tmp_path, collect, lies_there, monkeypatch):
        (folder_of(tmp_path) / "deep").mkdir()
        (folder_of(tmp_path) / "essay.pdf").touch()
        listdir = os.listdir

        def refuse(path):
            if str(path).endswith("deep"):
                raise PermissionError(13, "Permission denied", str(path))
            return listdir(path)

        monkeypatch.setattr(os, "listdir", refuse)
        assert "deep may not be read" in collect(tmp_path / "in", code=1)
        monkeypatch.undo()
        assert lies_there() == {}

    def test_no_name_makes_the_choice_endless(self, tmp_path, collect, lies_there):
        for name in ("1" * 200, "_1" * 100, "copy" * 50):
            (folder_of(tmp_path) / f"{SET}{name}x.ipynb").touch()
        (folder_of(tmp_path) / f"{SET}.ipynb").write_bytes(b"a")
        collect(tmp_path / "in")
        assert lies_there() == {"ada": b"a"}


class TestArchives:
    def test_a_notebook_deep_in_a_students_own_zip_is_found(self, tmp_path, collect, lies_there):
        work = zipped(
            ("__MACOSX/._a.ipynb", "mac"), ("my work/src/ps1_rnn (2).ipynb", "mine"), ("my work/notes.ipynb", "no")
        )
        printed = collect(packed(tmp_path / "c.zip", [("ada_1_2_work.zip", work)]))
        assert lies_there() == {"1": b"mine"}
        assert "my work/notes.ipynb" in printed

    def test_a_notebook_counts_before_a_zip_beside_it(self, tmp_path, collect, lies_there):
        files = [("ada_1_2_work.zip", zipped((f"{SET}.ipynb", "zipped"))), ("ada_1_3_other.ipynb", b"beside")]
        collect(packed(tmp_path / "c.zip", files))
        assert lies_there() == {"1": b"beside"}

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_two_files_of_one_name_are_told_apart_by_their_content(self, tmp_path, collect, lies_there):
        ada, zoe = (MOODLE.format(*who, "a.ipynb") for who in (("Ada", 1), ("Zoe", 2)))
        collect(packed(tmp_path / "m.zip", [(ada, b"a"), (ada, b"b"), (zoe, b"z"), (zoe, b"z")]))
        assert "two different files" in lies_there()["1"]
        assert lies_there()["2"] == b"z"

    def test_names_that_differ_in_case_only_are_two(self, tmp_path, collect, lies_there):
        files = [(MOODLE.format("Ada", 1, name), name) for name in ("PS1_RNN.ipynb", "ps1_rnn.ipynb")]
        assert "PS1_RNN.ipynb" in collect(packed(tmp_path / "m.zip", files)).split("not taken")[1]
        assert lies_there() == {"1": b"ps1_rnn.ipynb"}

    def test_an_encrypted_file_is_said_to_be(self, tmp_path, collect, lies_there):
        source = packed(tmp_path / "m.zip", [(MOODLE.format("Ada", 1, "a.ipynb"), b"a")])
        raw = bytearray(source.read_bytes())
        for start, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            raw[raw.index(start) + offset] |= 1
        source.write_bytes(raw)
        collect(source)
        assert "password" in lies_there()["1"]

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_other_packings_are_not_opened(self, tmp_path, collect, lies_there, method):
        with zipfile.ZipFile(tmp_path / "m.zip", "w", method) as archive:
            archive.writestr(MOODLE.format("Ada", 1, "a.ipynb"), "a" * 1000)
        collect(tmp_path / "m.zip")
        assert "ordinary zip" in lies_there()["1"]

    def test_a_file_that_unpacks_to_more_than_it_says_is_damaged(self, tmp_path, collect, lies_there):
        source = packed(tmp_path / "m.zip", [(MOODLE.format("Ada", 1, "a.ipynb"), b"a" * 100_000)])
        raw, size = source.read_bytes(), (100_000).to_bytes(4, "little")
        source.write_bytes(raw.replace(size, (10).to_bytes(4, "little")))
        collect(source)
        assert "damaged" in lies_there()["1"]

    def test_names_without_a_word_on_their_encoding_are_read_as_utf8(self, tmp_path, collect, lies_there):
        source = packed(tmp_path / "m.zip", [(MOODLE.format("Zoë", 1, "ä.ipynb"), b"z")])
        raw = bytearray(source.read_bytes())
        for start, offset in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
            raw[raw.index(start) + offset] &= ~0x08 & 0xFF
        source.write_bytes(raw)
        assert "Zoë_1" in collect(source)
        assert lies_there() == {"1": b"z"}

    @pytest.mark.parametrize("raw", [b"", b"PK", b"not a zip", b"PK\x05\x06" + b"\xff" * 18])
    def test_what_is_no_archive_is_refused_in_a_sentence(self, tmp_path, collect, raw):
        (tmp_path / "x.zip").write_bytes(raw)
        collect(tmp_path / "x.zip", code=2)

    @settings(deadline=None, max_examples=60)
    @given(at=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.integers(0, 400))
    def test_no_damage_to_an_archive_breaks_anything(self, at, byte, cut):
        raw = bytearray(zipped(("a/b.ipynb", "text " * 50), ("c.ipynb", "x")))
        raw[at % len(raw)] = byte
        with suppress(Ungradable):
            for file in unpack.files_of_zip(bytes(raw[: max(1, len(raw) - cut % 50)])):
                with suppress(Ungradable):
                    file.read()


def in_moodle(tmp_path, content, name="m.zip", file=f"{SET}.ipynb"):
    return packed(tmp_path / name, [(MOODLE.format("Ada", 1, file), content)])


class TestWhatLiesThere:
    def test_the_same_again_is_unchanged(self, tmp_path, course, collect):
        collect(in_moodle(tmp_path, b"a"))
        before = (course / f"submitted/1/{SET}/{SET}.ipynb").stat().st_mtime_ns
        assert "1 unchanged" in collect(in_moodle(tmp_path, b"a"))
        assert (course / f"submitted/1/{SET}/{SET}.ipynb").stat().st_mtime_ns == before

    def test_without_times_it_stays_unless_told_and_is_then_kept_beside(self, tmp_path, course, collect, lies_there):
        collect(in_moodle(tmp_path, b"old"))
        assert "--replace" in collect(in_moodle(tmp_path, b"new"))
        assert lies_there() == {"1": b"old"}
        assert "1 replaced" in collect(in_moodle(tmp_path, b"new"), "--replace")
        assert "1 replaced" in collect(in_moodle(tmp_path, b"third"), "--replace")
        assert lies_there() == {"1": b"third"}
        kept = {path.parent.name: path.read_bytes() for path in (course / "submitted/1").glob(f".*/{SET}.ipynb")}
        assert kept == {f".{SET}.before-1": b"old", f".{SET}.before-2": b"new"}

    def test_a_newer_one_replaces_and_an_older_one_does_not(self, tmp_path, course, collect, lies_there):
        def hand_in(day, content):
            (folder_of(tmp_path) / SET).mkdir(exist_ok=True)
            (folder_of(tmp_path) / SET / f"{SET}.ipynb").write_text(content)
            (folder_of(tmp_path) / SET / "timestamp.txt").write_text(f"2026-11-{day} 10:00:00 UTC")
            return collect(tmp_path / "in")

        hand_in("02", "second")
        assert "1 kept" in hand_in("01", "first")
        assert lies_there() == {"ada": b"second"}
        assert "1 replaced" in hand_in("03", "third")
        assert lies_there() == {"ada": b"third"}
        assert at(course, "ada").startswith("2026-11-03 10:00:00")

    def test_a_notebook_replaces_a_reason_and_no_reason_replaces_a_notebook(self, tmp_path, collect, lies_there):
        collect(in_moodle(tmp_path, b"%PDF", file="essay.pdf"))
        assert "essay.pdf" in lies_there()["1"]
        assert "1 replaced" in collect(in_moodle(tmp_path, b"a"))
        assert "1 kept" in collect(in_moodle(tmp_path, b"%PDF", file="essay.pdf"))
        assert lies_there() == {"1": b"a"}

    def test_a_swap_that_fails_puts_the_old_one_back(self, tmp_path, course, collect, lies_there, monkeypatch):
        collect(in_moodle(tmp_path, b"old"))
        rename = Path.rename

        def fail(path, target):
            if path.name.endswith(".new"):
                raise OSError(5, "broken", str(path))
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", fail)
        collect(in_moodle(tmp_path, b"new"), "--replace", code=2)
        assert lies_there() == {"1": b"old"}
        monkeypatch.undo()
        collect(in_moodle(tmp_path, b"new"), "--replace")
        assert lies_there() == {"1": b"new"}

    def test_nothing_is_written_through_a_link(self, tmp_path, course, collect):
        (course / "submitted").mkdir()
        (tmp_path / "outside").mkdir()
        (course / "submitted/1").symlink_to(tmp_path / "outside")
        assert "is a link" in collect(in_moodle(tmp_path, b"a"), code=1)
        assert not list((tmp_path / "outside").iterdir())

    @pytest.mark.parametrize("name", ["..", ".hidden", "-" * 300, "a\nb", "a/b", ""])
    def test_no_id_leads_anywhere_else(self, tmp_path, course, name):
        file = unpack.File("x.ipynb", lambda: b"x")
        found = naming.Recognised("", [naming.HandedIn(naming.Who(name, otherwise=name), file, "x.ipynb")], [])
        (line,) = collecting.collect(Course.at(course), SET, found)
        assert line.what == "left out"
        assert not (course / "submitted").exists()

    def test_a_grading_run_keeps_it_out(self, tmp_path, course, collect):
        with Course.at(course).locked(SET):
            collect(in_moodle(tmp_path, b"a"), code=2)


def test_a_forged_reason_earns_the_0_that_was_earned_and_hides_no_notebook(tmp_path):
    folder = folder_of(tmp_path)
    (folder / "not_collected.txt").write_text("Full marks!\x1b[31m" + "x" * 5000)
    with pytest.raises(Ungradable) as reason:
        read(folder, f"{SET}.ipynb")
    assert len(str(reason.value)) <= 1000
    assert str(reason.value).isprintable()
    (folder / f"{SET}.ipynb").write_bytes(b"here")
    assert read(folder, f"{SET}.ipynb") == b"here"


@pytest.fixture(scope="module")
def gradebook(tmp_path_factory):
    """An empty one: nbgrader makes it in seconds, and asks it for due dates."""
    find_alembic()
    path = tmp_path_factory.mktemp("gradebook") / "gradebook.db"
    Gradebook(f"sqlite:///{path}", "rnn-notebooks").close()
    return path


class TestExchange:
    @pytest.fixture
    def submit(self, tmp_path, course, gradebook):
        shutil.copy(gradebook, course)

        def submit(student, at, content):
            folder = tmp_path / "exchange/rnn-notebooks/inbound" / f"{student}+{SET}+{at} UTC+random"
            folder.mkdir(parents=True)
            if isinstance(content, Path):
                (folder / f"{SET}.ipynb").symlink_to(content)
            else:
                (folder / f"{SET}.ipynb").write_bytes(content)
            (folder / "timestamp.txt").write_text("1999-01-01 00:00:00 UTC")  # the folder's name is nbgrader's word

        return submit

    @pytest.fixture
    def me(self):
        return pwd.getpwuid(os.getuid()).pw_name

    def test_the_newest_of_each_student_comes_in_with_its_time(self, tmp_path, course, collect, lies_there, submit, me):
        submit(me, "2026-11-01 10:00:00.0", b"first")
        submit(me, "2026-11-02 10:00:00.0", b"second")
        printed = collect(tmp_path / "exchange", "--from", "exchange")
        assert lies_there() == {me: b"second"}
        assert at(course, me).startswith("2026-11-02 10:00:00")
        assert "2026-11-01" in printed.split("not taken")[1]

    def test_a_link_in_it_is_not_followed(self, tmp_path, collect, lies_there, submit, me):
        (tmp_path / "secret").write_bytes(b"zoe's")
        submit(me, "2026-11-01 10:00:00.0", tmp_path / "secret")
        collect(tmp_path / "exchange", "--from", "exchange")
        assert "link" in lies_there()[me]

    def test_anothers_name_on_a_folder_is_left_out(self, tmp_path, course, collect, lies_there, submit, me):
        submit("zoe", "2026-11-01 10:00:00.0", b"z")
        assert f"owned by {me}" in collect(tmp_path / "exchange", "--from", "exchange", code=1)
        config = course / "nbgrader_config.py"
        config.write_text(config.read_text() + "\nc.ExchangeCollect.check_owner = False\n")
        collect(tmp_path / "exchange", "--from", "exchange")
        assert lies_there() == {"zoe": b"z"}

    def test_where_there_is_none_it_says_so(self, tmp_path, collect):
        collect(tmp_path, "--from", "exchange", code=2)
