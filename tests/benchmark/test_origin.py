"""Provenance: the commit of this copy of the project, and of no other repository."""

import subprocess

import torch

from seqlab.benchmark import origin, provenance

CPU = torch.device("cpu")


def git(*words, folder=origin.ROOT):
    return subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True)


def test_commit_is_the_one_of_this_copy_or_the_one_it_was_told(monkeypatch):
    monkeypatch.setenv("SEQLAB_COMMIT", "abc")
    assert provenance(CPU)["commit"] == "abc"
    monkeypatch.delenv("SEQLAB_COMMIT")
    head = git("rev-parse", "HEAD")
    if head.returncode == 0:
        assert provenance(CPU)["commit"].startswith(head.stdout.strip())


def test_an_installed_package_has_no_commit_of_a_repository_around_it(monkeypatch, tmp_path):
    monkeypatch.delenv("SEQLAB_COMMIT", raising=False)
    git("init", folder=tmp_path)
    who = ("-c", "user.name=a", "-c", "user.email=b")
    assert git(*who, "commit", "--allow-empty", "-m", "a reader's", folder=tmp_path).returncode == 0
    inside = tmp_path / "environment"
    inside.mkdir()
    monkeypatch.setattr(origin, "ROOT", inside)
    assert provenance(CPU)["commit"] is None
    monkeypatch.setattr(origin, "ROOT", tmp_path)
    assert provenance(CPU)["commit"] == git("rev-parse", "HEAD", folder=tmp_path).stdout.strip()
