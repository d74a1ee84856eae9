"""Code is told apart by the contents of its source files, whatever git thinks of them, and can be had back."""

import os
import shutil
import subprocess

import pytest

from leyden.runs import code


def git(folder, *words):
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always")
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder, message="change"):
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path):
    """A repository with one commit, on the branch main."""
    folder = tmp_path / "project"
    (folder / "pkg").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "pkg" / "model.py").write_text("width = 1\n")
    (folder / "conf.yaml").write_text("lr: 0.1\n")
    (folder / "README.md").write_text("words\n")
    commit(folder)
    return folder


def restored(project, patch, target):
    """Check the commit out elsewhere and apply *patch* there."""
    git(project, "worktree", "add", "-q", "--detach", str(target), "HEAD")
    (target.parent / "it.patch").write_bytes(patch)
    git(target, "apply", "--binary", str(target.parent / "it.patch"))
    return target


def test_a_clean_repository_is_its_commit(project):
    found = code.state(project)

    assert found["commit"] == git(project, "rev-parse", "HEAD")
    assert (found["branch"], found["dirty"], found["untracked"], found["note"]) == ("main", False, {}, None)
    assert code.capture(project).patch == b""


def test_a_changed_line_changes_the_hash_and_is_in_the_patch(project):
    before = code.state(project)["hash"]
    (project / "pkg" / "model.py").write_text("width = 2\n")

    found = code.capture(project)

    assert found.record["dirty"]
    assert found.record["hash"] != before
    assert b"-width = 1\n+width = 2\n" in found.patch


def test_committing_does_not_change_the_hash(project):
    (project / "pkg" / "model.py").write_text("width = 2\n")
    (project / "new.py").write_text("x = 1\n")
    before = code.state(project)["hash"]

    commit(project)

    assert code.state(project)["hash"] == before


def test_text_that_is_no_source_does_not_change_the_hash(project):
    before = code.state(project)["hash"]
    (project / "README.md").write_text("other words\n")
    (project / "notes.md").write_text("new words\n")

    found = code.capture(project)

    assert found.record["hash"] == before
    assert b"other words" in found.patch


def test_a_copy_without_git_has_the_same_hash(project, tmp_path):
    (project / "pkg" / "model.py").write_text("width = 3\n")
    shutil.copytree(project, tmp_path / "copy", ignore=shutil.ignore_patterns(".git"))

    found = code.state(tmp_path / "copy")

    assert found["hash"] == code.state(project)["hash"]
    assert found["commit"] is None
    assert sorted(found["untracked"]) == ["conf.yaml", "pkg/model.py"]
    assert found["note"] == "in no git repository"


def test_a_detached_head_has_a_commit_and_no_branch(project):
    git(project, "checkout", "-q", "--detach")

    found = code.state(project)

    assert found["branch"] is None
    assert found["commit"] == git(project, "rev-parse", "HEAD")


def test_a_repository_without_commits_works(tmp_path):
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "a.py").write_text("a = 1\n")
    (tmp_path / "b.py").write_text("b = 1\n")
    git(tmp_path, "add", "a.py")

    found = code.capture(tmp_path)

    assert (found.record["commit"], found.record["branch"], found.patch) == (None, "main", b"")
    assert list(found.record["untracked"]) == ["b.py"]


def test_an_untracked_gigabyte_is_named_and_not_read(project):
    with open(project / "huge.py", "wb") as file:
        file.truncate(2**30)
    before = os.stat(project / "huge.py").st_atime_ns

    found = code.capture(project)

    assert found.record["skipped"] == {"huge.py": 2**30}
    assert found.record["untracked"] == {}
    assert os.stat(project / "huge.py").st_atime_ns == before
    assert len(found.patch) < 1000


def test_a_large_changed_file_is_named_and_not_in_the_patch(project):
    (project / "weights.bin").write_bytes(b"0")
    commit(project)
    with open(project / "weights.bin", "wb") as file:
        file.truncate(2**25)

    found = code.capture(project)

    assert found.record["skipped"] == {"weights.bin": 2**25}
    assert b"weights" not in found.patch


def test_commit_and_patch_give_the_code_back(project, tmp_path):
    git(project, "mv", "pkg/model.py", "pkg/net.py")
    (project / "pkg" / "net.py").write_text("width = 1\ndepth = 2")
    (project / "conf.yaml").unlink()
    (project / "new file.py").write_text("x = 'é'\n")
    (project / "empty.py").write_text("")
    (project / "crlf.py").write_bytes(b"a = 1\r\nb = 2")
    (project / "image.bin").write_bytes(bytes(range(256)))
    git(project, "add", "image.bin")

    found = code.capture(project)
    elsewhere = restored(project, found.patch, tmp_path / "elsewhere")

    assert code.state(elsewhere)["hash"] == found.record["hash"]
    assert (elsewhere / "image.bin").read_bytes() == bytes(range(256))
    assert (elsewhere / "new file.py").read_text() == "x = 'é'\n"
    assert (elsewhere / "crlf.py").read_bytes() == b"a = 1\r\nb = 2"
    assert (elsewhere / "empty.py").read_bytes() == b""
    assert not (elsewhere / "conf.yaml").exists()
    assert not (elsewhere / "pkg" / "model.py").exists()


def test_a_changed_submodule_is_described_and_in_the_patch(project, tmp_path):
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "-q", "-b", "main")
    (library / "lib.py").write_text("y = 1\n")
    commit(library)
    git(project, "submodule", "--quiet", "add", str(library), "lib")
    commit(project)
    clean = code.state(project)
    (project / "lib" / "lib.py").write_text("y = 2\n")

    found = code.capture(project)

    assert (clean["submodules"], clean["dirty"]) == ({}, False)
    assert found.record["submodules"]["lib"]["commit"] == git(library, "rev-parse", "HEAD")
    assert found.record["hash"] != clean["hash"]
    assert b"--- a/lib/lib.py\n+++ b/lib/lib.py\n" in found.patch
    assert b"Subproject" not in found.patch


def test_what_runs_write_is_no_code(project):
    before = code.state(project)
    for place in ("runs/x/1", "results/x/1"):
        (project / place).mkdir(parents=True)
        for name in ("config.yaml", "status.json", "hparams.yaml"):
            (project / place / name).write_text("{}")

    found = code.state(project)

    assert found["hash"] == before["hash"]
    assert (found["untracked"], found["dirty"]) == ({}, False)


def test_ignored_files_are_no_code(project):
    (project / ".gitignore").write_text("secret.py\n")
    commit(project)
    before = code.state(project)["hash"]
    (project / "secret.py").write_text("x = 1\n")

    assert code.state(project)["hash"] == before


def test_a_project_that_a_larger_repository_ignores_is_in_none(project):
    (project / ".gitignore").write_text("inner/\n")
    commit(project)
    (project / "inner").mkdir()
    (project / "inner" / "a.py").write_text("a = 1\n")

    found = code.state(project / "inner")

    assert (found["commit"], list(found["untracked"])) == (None, ["a.py"])
    assert "nothing of it is tracked" in found["note"]


def test_a_broken_repository_is_treated_as_a_folder(project):
    (project / ".git" / "HEAD").write_text("nonsense")

    found = code.state(project)

    assert found["note"].startswith("git could not tell: ")
    assert sorted(found["untracked"]) == ["conf.yaml", "pkg/model.py"]


def test_variables_of_a_hook_do_not_lead_git_astray(project, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))

    assert code.state(project)["branch"] == "main"


def test_git_executes_nothing_that_the_repository_says(project, tmp_path):
    script = tmp_path / "script.sh"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/executed\n")
    script.chmod(0o755)
    git(project, "config", "core.fsmonitor", str(script))
    git(project, "config", "diff.external", str(script))
    (project / "pkg" / "model.py").write_text("width = 2\n")

    code.capture(project)

    assert not (tmp_path / "executed").exists()


def test_looking_changes_nothing(project):
    os.utime(project / "conf.yaml", (1, 1))  # git would refresh its index now
    before = (project / ".git" / "index").stat().st_mtime_ns

    code.capture(project)

    assert (project / ".git" / "index").stat().st_mtime_ns == before


def test_secrets_are_taken_out_of_a_patch(project):
    (project / "pkg" / "model.py").write_text("width = 1\npassword = 'correct-horse'\n")

    patch, lines = code.masked_patch(code.capture(project).patch)

    assert lines == 1
    assert b"correct-horse" not in patch
    assert b"+password = '<secret>'\n" in patch


def test_a_patch_without_its_secrets_can_still_be_applied(project, tmp_path):
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----"
    (project / "key.py").write_text(f'KEY = """{key}"""\nBEGIN = "-----BEGIN RSA PRIVATE KEY-----"\nlast = 1\n')
    (project / "pkg" / "model.py").write_text("width = 1\npassword = 'correct-horse'\nlast = 2\n")

    patch, _ = code.masked_patch(code.capture(project).patch)
    elsewhere = restored(project, patch, tmp_path / "elsewhere")

    assert b"MIIEvQ" not in patch
    assert b"kqhkiG" not in patch
    assert (elsewhere / "key.py").read_text().endswith("\nlast = 1\n")
    assert (elsewhere / "pkg" / "model.py").read_text() == "width = 1\npassword = '<secret>'\nlast = 2\n"


def test_hooks_of_a_repository_are_not_run(tmp_path):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    hook = tmp_path / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/executed\n")
    hook.chmod(0o755)

    code.git(tmp_path, "worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"), "HEAD")

    assert (tmp_path / "tree" / ".git").exists()
    assert not (tmp_path / "executed").exists()
