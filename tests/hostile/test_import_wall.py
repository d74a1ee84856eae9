"""Nothing below a directory of a stranger is imported, whoever asks for it and by whichever way; all else is."""

from __future__ import annotations

import compileall
import importlib
import importlib.util
import pkgutil
import site
import sys
import zipfile
from pathlib import Path

import pytest

from leyden.config import import_wall
from leyden.config.import_wall import allow_imports_from, refuse_imports_from
from leyden.config.trust import Trust


@pytest.fixture(autouse=True)
def _as_it_was():
    """Put back what imports depend on."""
    path, finders, loaded = list(sys.path), list(sys.meta_path), set(sys.modules)
    yield
    sys.path[:], sys.meta_path[:] = path, finders
    import_wall._WALL.refused.clear()
    for name in set(sys.modules) - loaded:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "project" / "conf").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def run(project, request):
    """A run with code in it; whoever imports it leaves a file."""
    folder = project / "runs" / "stranger" / "run"
    folder.mkdir(parents=True)
    (folder / "evil_code.py").write_text(f"open({str(project / 'canary')!r}, 'w').close()\n")
    return folder


def namespace(run, project):
    sys.path.insert(0, str(project))
    return "runs.stranger.run.evil_code"


def from_the_current_directory(run, project):
    sys.path.insert(0, "")
    return "runs.stranger.run.evil_code"


def entry_inside(run, project):
    sys.path.insert(0, str(run))
    return "evil_code"


def relative_entry(run, project):
    sys.path.insert(0, "runs/../runs/stranger/run")
    return "evil_code"


def entry_that_is_a_link(run, project):
    (project / "lib").symlink_to(run)
    sys.path.insert(0, str(project / "lib"))
    return "evil_code"


def file_that_is_a_link(run, project):
    (project / "linked_code.py").symlink_to(run / "evil_code.py")
    sys.path.insert(0, str(project))
    return "linked_code"


def package(run, project):
    (run / "evil_package").mkdir()
    (run / "evil_code.py").rename(run / "evil_package" / "__init__.py")
    sys.path.insert(0, str(run))
    return "evil_package"


def archive(run, project):
    with zipfile.ZipFile(run / "evil.zip", "w") as file:
        file.write(run / "evil_code.py", "evil_code.py")
    sys.path.insert(0, str(run / "evil.zip"))
    return "evil_code"


def compiled(run, project):
    compileall.compile_file(str(run / "evil_code.py"), quiet=1, legacy=True)
    (run / "evil_code.py").unlink()
    sys.path.insert(0, str(run))
    return "evil_code"


def folder_of_packages(run, project):
    (run / "site-packages").mkdir()
    (run / "evil_code.py").rename(run / "site-packages" / "evil_code.py")
    sys.path.insert(0, str(run / "site-packages"))
    return "evil_code"


def path_file(run, project):
    (project / "lib").mkdir()
    (project / "lib" / "evil.pth").write_text(f"{run}\n")
    site.addsitedir(str(project / "lib"))
    return "evil_code"


WAYS = [namespace, from_the_current_directory, entry_inside, relative_entry, entry_that_is_a_link, file_that_is_a_link,
        package, archive, compiled, folder_of_packages, path_file]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("asking", [importlib.import_module, __import__])
def test_it_is_refused(way, asking, run, project):
    name = way(run, project)
    refuse_imports_from([run], [])
    importlib.invalidate_caches()

    with pytest.raises(ImportError, match="it came with a run directory"):
        asking(name)

    assert not (project / "canary").exists()


@pytest.mark.parametrize("way", WAYS, ids=lambda each: each.__name__)
def test_without_the_wall_it_would_be_executed(way, run, project):
    name = way(run, project)
    importlib.invalidate_caches()

    importlib.import_module(name)

    assert (project / "canary").exists()


def test_it_is_not_found_by_what_only_looks(run, project):
    sys.path.insert(0, str(run))
    refuse_imports_from([run], [])

    with pytest.raises(ImportError, match="it came with a run directory"):
        importlib.util.find_spec("evil_code")


def test_what_walks_through_packages_does_not_come_in(run, project):
    (run / "evil_package").mkdir()
    (run / "evil_code.py").rename(run / "evil_package" / "__init__.py")
    sys.path.insert(0, str(run))
    refuse_imports_from([run], [])
    failed = []

    assert "evil_package" in {each.name for each in pkgutil.walk_packages([str(run)], onerror=failed.append)}
    assert failed == ["evil_package"]
    assert not (project / "canary").exists()


def test_a_directory_that_is_dealt_with_gets_the_wall(run, project):
    Trust.of(run).put_on_path()

    with pytest.raises(ImportError, match="it came with a run directory"):
        importlib.import_module("runs.stranger.run.evil_code")
    assert sys.meta_path[0] is import_wall._WALL


def test_what_was_unpacked_beside_it_is_refused_as_well(run, project):
    (run.parent / "beside_code.py").write_text((run / "evil_code.py").read_text())
    Trust.of(run).put_on_path()

    with pytest.raises(ImportError, match="it came with a run directory"):
        importlib.import_module("runs.stranger.beside_code")


def test_the_project_and_what_is_installed_stay_importable(run, project):
    (project / "mine_there.py").write_text("VALUE = 3\n")
    Trust.of(run).put_on_path()

    assert importlib.import_module("mine_there").VALUE == 3
    assert importlib.import_module("xml.dom.minidom").__name__ == "xml.dom.minidom"
    assert importlib.import_module("omegaconf.resolvers").__name__ == "omegaconf.resolvers"


def test_an_interpreter_that_lies_in_the_refused_folder_can_still_import():
    refuse_imports_from([Path("/")], [])

    assert importlib.import_module("xml.sax.handler").__name__ == "xml.sax.handler"


def test_a_trusted_folder_is_imported_from(run, project):
    sys.path.insert(0, str(run))
    refuse_imports_from([run], [run])

    importlib.import_module("evil_code")

    assert (project / "canary").exists()


def test_a_namespace_keeps_the_parts_that_lie_elsewhere(run, project):
    (project / "lib" / "shared_space").mkdir(parents=True)
    (project / "lib" / "shared_space" / "good.py").write_text("VALUE = 3\n")
    (run / "shared_space").mkdir()
    (run / "shared_space" / "bad.py").write_text((run / "evil_code.py").read_text())
    sys.path[:0] = [str(run), str(project / "lib")]
    refuse_imports_from([run], [])

    assert importlib.import_module("shared_space.good").VALUE == 3
    with pytest.raises(ImportError):
        importlib.import_module("shared_space.bad")
    assert not (project / "canary").exists()


def test_what_turns_out_to_be_ones_own_is_imported_again(run, project):
    sys.path.insert(0, str(run))
    refuse_imports_from([run], [])
    allow_imports_from(run)

    importlib.import_module("evil_code")

    assert (project / "canary").exists()
