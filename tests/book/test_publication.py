"""Everything that names the public address follows from seqlab/address.py."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import set_address
import yaml
from bs4 import BeautifulSoup

from seqlab import address

ROOT = Path(__file__).parents[2]
SAMPLE = "https://github.com/someone/somewhere"
SAMPLE_SITE = "https://someone.github.io/somewhere"
CHAPTER = "notebooks/02_linear_scan.ipynb"


@pytest.fixture
def copy(tmp_path):
    """A copy of what follows from the address, published under a sample address."""
    for name in ("README.md", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path)
    for folder in ("notebooks", "seqlab", "book", "scripts"):
        ignored = shutil.ignore_patterns("__pycache__", "vendor")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    source = tmp_path / "seqlab" / "address.py"
    text = source.read_text("utf8")
    text = re.sub(r"^REPOSITORY: str \| None = .*$", f'REPOSITORY: str | None = "{SAMPLE}"', text, flags=re.M)
    text = re.sub(r"^SITE: str \| None = .*$", f'SITE: str | None = "{SAMPLE_SITE}"', text, flags=re.M)
    source.write_text(text, "utf8")
    return tmp_path


def test_the_repository_agrees_with_its_address():
    different = [path for path, text in set_address.rewritten(ROOT).items() if path.read_text("utf8") != text]
    assert different == [], "run make address"


def test_everything_follows_from_a_new_address(copy):
    changed = set_address.rewrite(copy)
    assert copy / "README.md" in changed
    readme = (copy / "README.md").read_text("utf8")
    assert SAMPLE_SITE in readme
    assert f"https://colab.research.google.com/github/someone/somewhere/blob/main/{CHAPTER}" in readme
    citation = yaml.safe_load((copy / "CITATION.cff").read_text("utf8"))
    assert (citation["repository-code"], citation["url"]) == (SAMPLE, SAMPLE_SITE)
    for path in (copy / "notebooks").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        setups = [cell.source for cell in cells if "setup" in cell.metadata.get("tags", [])]
        assert setups == [address.setup_cell(SAMPLE)]
        assert f"git+{SAMPLE}@main" in setups[0]
    assert set_address.rewrite(copy) == []


def test_taking_the_address_back_restores_everything(copy):
    set_address.rewrite(copy)
    shutil.copy(ROOT / "seqlab" / "address.py", copy / "seqlab" / "address.py")
    set_address.rewrite(copy)
    for name in ("README.md", "CITATION.cff", CHAPTER):
        assert (copy / name).read_text("utf8") == (ROOT / name).read_text("utf8")


def test_the_setup_cell_never_touches_what_a_host_brings():
    cell = address.setup_cell(SAMPLE)
    installs = [line for line in cell.splitlines() if "%pip" in line]
    assert installs
    assert all("--no-deps" in line and "--upgrade" not in line for line in installs)
    assert not any(re.search(r"\b(torch|triton|numpy)\b", line) for line in installs)


def test_colab_opens_github_alone():
    with pytest.raises(ValueError, match=r"repository: expected .*github\.com.*got 'https://example\.org"):
        address.colab_url(CHAPTER, "https://example.org/someone/somewhere")


@pytest.mark.slow
def test_launch_buttons_follow_in_a_build(copy):
    page = build_unexecuted(copy)
    links = [link["href"] for link in page.select("a[href]")]
    assert f"https://colab.research.google.com/github/someone/somewhere/blob/main/{CHAPTER}" in links
    assert SAMPLE in links
    assert not [link for link in links if "executablebooks" in link]
    assert page.select_one("link[rel=canonical]")["href"].startswith(SAMPLE_SITE)


@pytest.mark.slow
def test_without_an_address_there_are_no_buttons(copy):
    shutil.copy(ROOT / "seqlab" / "address.py", copy / "seqlab" / "address.py")
    page = build_unexecuted(copy)
    header = page.select_one(".bd-header-article")
    assert header.select(".article-header-buttons")
    assert [link["href"] for link in header.select("a[href^=http]")] == []
    assert "executablebooks" not in str(page)


def build_unexecuted(copy):
    """Build one chapter of the copy without running it; returns its page."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))
    config["execute"]["execute_notebooks"] = "off"
    (copy / "_config.yml").write_text(yaml.safe_dump(config), "utf8")
    contents = {"format": "jb-book", "root": Path(CHAPTER).with_suffix("").as_posix()}
    (copy / "_toc.yml").write_text(yaml.safe_dump(contents), "utf8")
    (copy / "requirements.lock").touch()
    book = Path(sys.executable).with_name("jupyter-book")
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run([book, "build", copy], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    html = (copy / "_build" / "html" / CHAPTER).with_suffix(".html").read_text("utf8")
    return BeautifulSoup(html, "html.parser")
