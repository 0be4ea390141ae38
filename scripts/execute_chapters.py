"""Execute the chapters that changed, as many at a time as there are cores, into the cache that the book is built from.

The build finds them there. Each runs on one thread, in the folder of its notebook, as it would alone.
"""

import os
import runpy
import sys
from pathlib import Path

import yaml  # type: ignore[import-untyped]
from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Execute what the cache does not hold yet; stops with the traceback of a chapter that fails."""
    execution = runpy.run_path(str(ROOT / "book" / "extensions" / "execution.py"))
    folder: Path = execution["folder"](ROOT)
    execution["remove_others"](folder)
    cache = get_cache(folder)
    chapters = [str(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    for chapter in chapters:
        cache.add_nb_to_project(chapter)
    timeout = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))["execute"]["timeout"]
    os.environ["SEQLAB_BOOK"] = "1"
    done = load_executor("local-parallel", cache).run_and_cache(filter_uris=chapters, timeout=timeout)
    failed = [*done.excepted, *done.errored]
    for chapter in failed:
        print(f"{chapter} failed:\n{cache.get_project_record(chapter).traceback or ''}", file=sys.stderr)
    if failed:
        sys.exit(1)
    for chapter in chapters:
        record = cache.get_cached_project_nb(chapter)
        assert record is not None
        print(f"{Path(chapter).stem}: {record.data['execution_seconds']:.0f} s")


if __name__ == "__main__":
    main()
