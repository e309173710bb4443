"""What is shipped, what a launch gets, and that one address and one set of requirements stand everywhere."""

import io
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import load

CONDA_NAMES = {"torch": "pytorch-cpu", "matplotlib": "matplotlib-base"}


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def checkout(root, tmp_path_factory):
    """The files as git has them and would have them: what a clone of the next commit holds."""
    target = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes((root / name).read_bytes())
            (target / name).chmod((root / name).stat().st_mode)
    return target


@pytest.fixture(scope="module")
def names(checkout, tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    for folder in ("submitted/ada", "source/ps1_rnn", "."):  # what a working course root would hold
        (checkout / "autograder/course" / folder).mkdir(parents=True, exist_ok=True)
        (checkout / "autograder/course" / folder / "helper.py").write_text("secret = 1")
    (checkout / "autograder/course/gradebook.db").write_text("secret")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(out), str(checkout)]
    subprocess.run(build, check=True)
    with zipfile.ZipFile(next(out.glob("*.whl"))) as wheel:
        return wheel.namelist()


class TestWheel:
    def test_it_holds_every_module_of_both_packages(self, names, root):
        modules = {
            str(path.relative_to(root))
            for package in ("rnnlib", "autograder")
            for path in (root / package).rglob("*.py")
            if "course" not in path.parts
        }
        assert modules == {name for name in names if name.endswith(".py")}

    def test_it_holds_what_the_modules_read(self, names, root):
        for folder in ("rnnlib/viz", "autograder/templates"):
            for path in (root / folder).iterdir():
                if path.suffix in (".js", ".css", ".html"):
                    assert str(path.relative_to(root)) in names
        assert "rnnlib/data/extracts/japanese_vowels.npz" in names
        assert "rnnlib/py.typed" in names
        assert "autograder/py.typed" in names

    def test_it_holds_no_course_no_submission_no_gradebook_no_test(self, names):
        for name in names:
            assert not re.search(r"course/|submitted|gradebook|\.db$|\.ipynb$|^tests|helper\.py", name), name


@pytest.fixture(scope="module")
def specs(root):
    return [yaml.safe_load((root / path).read_text()) for path in ("environment.yml", "binder/environment.yml")]


class TestBinder:
    def test_both_environments_agree(self, specs):
        assert specs[0] == specs[1]

    def test_every_spec_parses(self, specs):
        from rattler import MatchSpec

        for spec in specs[0]["dependencies"]:
            assert MatchSpec(spec, strict=True).name

    def test_the_environment_is_the_extras(self, specs, project):
        extras = project["optional-dependencies"]
        wanted = {"python": None, "pip": None}
        for text in [
            *project["dependencies"],
            *(line for name in ("lab", "torch", "grade", "data") for line in extras[name]),
        ]:
            requirement = Requirement(text)
            name = canonicalize_name(requirement.name)
            wanted[CONDA_NAMES.get(name, name)] = str(requirement.specifier)
        listed = {}
        for spec in specs[0]["dependencies"]:
            name, _, version = re.match(r"([\w-]+)((=)?.*)", spec)[0].partition(re.search(r"[=><]|$", spec)[0] or " ")
            listed[name] = spec[len(name) :]
        assert set(listed) == set(wanted)
        for name, version in wanted.items():
            if version is not None:
                assert sorted(listed[name].split(",")) == sorted(version.split(",")), name

    def test_the_python_is_one_the_package_takes(self, specs, project):
        python = next(spec for spec in specs[0]["dependencies"] if spec.startswith("python="))
        from packaging.specifiers import SpecifierSet

        assert python.removeprefix("python=") + ".0" in SpecifierSet(project["requires-python"])

    def test_repo2docker_makes_its_dockerfile_from_binder(self, checkout):
        command = [
            sys.executable,
            "-m",
            "repo2docker",
            "--no-build",
            "--debug",
            "--user-id",
            "1000",
            "--user-name",
            "j",
            ".",
        ]
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
        printed = done.stdout + done.stderr
        assert done.returncode == 0, printed
        assert "binder/environment.yml" in printed
        assert "binder/postBuild" in printed
        assert "binder/start" in printed

    def test_no_source_notebook_and_no_history_reaches_the_image(self, checkout, monkeypatch):
        """repo2docker packs its own build context; we read what it would send."""
        from repo2docker.buildpacks import CondaBuildPack

        sent = {}

        class Engine:
            def build(self, fileobj, **kwargs):
                with tarfile.open(fileobj=io.BytesIO(fileobj.read())) as context:
                    sent["names"] = [name.removeprefix("src/") for name in context.getnames()]
                yield {}

        (checkout / ".git").mkdir(exist_ok=True)
        (checkout / ".git/packed").write_text("history")
        (checkout / "autograder/course/private").mkdir(exist_ok=True)
        (checkout / "autograder/course/private/ps1_rnn.seed").write_text("7")
        monkeypatch.chdir(checkout)
        pack = CondaBuildPack("image")
        pack.platform = "linux/amd64"
        list(pack.build(Engine(), "image", 0, {}, [], {}))
        names = sent["names"]
        assert "notebooks/00_start_here.ipynb" in names
        assert "autograder/course/release/ps1_rnn/ps1_rnn.ipynb" in names
        assert "pyproject.toml" in names
        assert not [name for name in names if "course/source" in name or ".git/" in name or "private" in name]
        assert not [name for name in names if "sample_class" in name or name.endswith(".db")]

    def test_launch_files_are_executable(self, root):
        for name in ("postBuild", "start"):
            assert (root / "binder" / name).stat().st_mode & 0o111


class TestAddress:
    def test_every_badge_and_install_cell_names_the_repository(self, root, capsys):
        address = load(root / ".ci/address.py")
        assert address.main() == 0, capsys.readouterr().out

    def test_a_stray_address_would_be_found(self, root):
        address = load(root / ".ci/address.py")
        assert address.strays("https://mybinder.org/v2/gh/some/one/main") == ["some/one"]
        assert address.strays('git+https://github.com/some/one\\"') == ["some/one"]
        assert address.strays("colab.research.google.com/github/some/one/blob/main/x") == ["some/one"]
        assert address.strays(f'git+https://github.com/{address.repository()}"') == []

    def test_readme_and_every_notebook_can_be_launched(self, root):
        places = [root / "README.md", *(root / "notebooks").glob("*.ipynb")]
        places += (root / "autograder/course/release").rglob("*.ipynb")
        for path in places:
            text = path.read_text()
            assert "mybinder.org/v2/gh/" in text, path
            assert "colab.research.google.com/github/" in text, path
            if path.suffix == ".ipynb":
                here = path.relative_to(root).as_posix()
                assert f"/blob/main/{here}" in text, path
                assert f"?urlpath=lab/tree/{here}" in text, path


class TestNotebooks:
    def test_they_are_committed_without_outputs(self, root):
        import nbformat

        for folder in ("notebooks", "autograder/course"):
            for path in (root / folder).rglob("*.ipynb"):
                if {"source", "release", "notebooks"} & set(path.parts):
                    notebook = nbformat.read(path, as_version=4)
                    nbformat.validate(notebook)
                    assert "widgets" not in notebook.metadata, path
                    for cell in notebook.cells:
                        assert not cell.get("outputs"), path
                        assert cell.get("execution_count") is None, path


class TestConstraints:
    def test_they_pin_everything_that_is_asked_for(self, root, project):
        pinned = {}
        for line in (root / ".ci/constraints.txt").read_text().splitlines():
            if line and not line.startswith("#"):
                requirement = Requirement(line)
                pinned[canonicalize_name(requirement.name)] = next(iter(requirement.specifier)).version
        asked = [
            *project["dependencies"],
            *(line for extra in project["optional-dependencies"].values() for line in extra),
        ]
        for requirement in map(Requirement, asked):
            if requirement.name != project["name"]:
                assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement
        assert pinned["torch"] == "2.13.0"


def test_the_readme_s_program_runs(root, capsys):
    readme = (root / "README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    shorter = program.replace("[:200_000]", "[:3_000]").replace("[200_000:220_000]", "[200_000:201_000]")
    assert shorter != program
    exec(shorter, {})
    assert "validation" in capsys.readouterr().err
