# Everything starts here. `make` lists what there is; each target sets up what it needs, once.

PYTHON ?= python3
PORT ?= 8000

VENV := .venv
BIN := $(VENV)/bin
SITE := _build/html
VENDOR := book/assets/vendor
AXE := build/axe-core-4.11.0/axe.min.js

CHAPTERS := $(wildcard notebooks/*.ipynb)
BOOK_SOURCES := _config.yml _toc.yml $(CHAPTERS) $(shell find book seqlab benchmarks/results -type f \
	-not -path '*/__pycache__/*' -not -path '*/.*/*' -not -path 'book/assets/vendor/*' -not -path 'book/assets/explorers/*')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help book page read pdf test test-thorough lock address new-op new-chapter stubs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

book: $(SITE)/.built ## execute every chapter and build the whole site
	@echo
	@echo "The book is built. To read it, run   make read"
	@echo "which serves $(CURDIR)/$(SITE)   at   http://localhost:$(PORT)/"

page: $(VENDOR)/.fetched | $(VENV)/.installed ## execute and build one chapter alone: make page CHAPTER=6
	@scripts/step "page" env OMP_NUM_THREADS=1 $(BIN)/python scripts/build_page.py "$(CHAPTER)"

read: $(SITE)/.built ## build if needed, and serve the book on localhost (PORT=8000)
	@echo "The book is at http://localhost:$(PORT)/ (stop with Ctrl+C)"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory $(SITE) 2> /dev/null \
		|| { echo "Could not serve on port $(PORT). If it is taken, choose another: make read PORT=8001"; exit 1; }

pdf: _build/book.pdf ## print the whole book into one file, _build/book.pdf

test: $(VENV)/.installed $(AXE) $(SITE)/.built ## lint, types, units, kernels, chapters, and the site in a real browser
	@scripts/step "lint: format" $(BIN)/ruff format --check .
	@scripts/step "lint: rules" $(BIN)/ruff check .
	@scripts/step "types" $(BIN)/mypy
	@scripts/step "browser" $(BIN)/python scripts/find_browser.py
	@scripts/step "data" $(BIN)/python scripts/fetch_data.py
	@scripts/step "other releases" $(BIN)/python scripts/releases.py
	@scripts/step "tests" env OMP_NUM_THREADS=1 PIP_NO_INDEX=1 $(BIN)/pytest -m "not timing and not thorough" --numprocesses auto --dist loadgroup
	@scripts/step "tests of time, alone" env OMP_NUM_THREADS=1 $(BIN)/pytest -m timing

test-thorough: $(VENV)/.installed $(SITE)/.built ## the further cases that test leaves out, for a long evening
	@scripts/step "more tests" env OMP_NUM_THREADS=1 PIP_NO_INDEX=1 $(BIN)/pytest -m thorough --numprocesses auto --dist loadgroup

lock: ## resolve the newest versions that fit into requirements.lock
	@scripts/step "lock" scripts/lock

address: $(VENV)/.installed ## rewrite everything that follows from seqlab/address.py
	@$(BIN)/python scripts/set_address.py

new-op: $(VENV)/.installed ## write a small op to start from: make new-op NAME=my_scan
	@$(BIN)/python scripts/new_op.py "$(NAME)"

new-chapter: $(VENV)/.installed ## write a chapter's skeleton: make new-chapter CHAPTER=6 NAME=state_spaces
	@$(BIN)/python scripts/new_chapter.py "$(CHAPTER)" "$(NAME)"

stubs: $(VENV)/.installed ## write the stubs of exercises anew, out of their solutions
	@$(BIN)/python scripts/make_stubs.py

clean: ## remove the built site, cached executions and fetched files (the environment stays)
	rm -rf _build build $(VENDOR) book/assets/explorers

# The environment: locked versions first, then this package beside them. Modules are compiled when they are imported:
# half of them never are, and it is half of the time.
$(VENV)/.created:
	@scripts/step "Python" $(PYTHON) scripts/check_python.py
	@scripts/step "environment" $(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/.created
	@echo "Installing the locked packages: some minutes, once."
	@scripts/step "packages" $(BIN)/python -m pip install --disable-pip-version-check --no-compile -r requirements.lock
	@scripts/step "this package" $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

# The book on paper: each page as Chromium prints it, joined, with an outline and links that stay inside.
_build/book.pdf: $(SITE)/.built scripts/print_book.py
	@scripts/step "browser" $(BIN)/python scripts/find_browser.py
	@scripts/step "pages on paper" $(BIN)/python scripts/print_book.py $(SITE) $@

# What the site and its tests take from packages; fetched, never committed.
$(VENDOR)/.fetched: scripts/vendor_assets.py requirements.lock | $(VENV)/.installed
	@scripts/step "scripts and fonts" $(BIN)/python scripts/vendor_assets.py
	@touch $@

$(AXE): scripts/fetch_axe.py | $(VENV)/.installed
	@scripts/step "accessibility checker" $(BIN)/python scripts/fetch_axe.py $@

# The site. Warnings are errors; chapters are executed when they or the package changed, and taken from the cache otherwise.
$(SITE)/.built: $(BOOK_SOURCES) $(VENDOR)/.fetched | $(VENV)/.installed
	@rm -rf $(SITE)
	@scripts/step "chapters" env OMP_NUM_THREADS=1 $(BIN)/python scripts/execute_chapters.py
	@scripts/step "book" env OMP_NUM_THREADS=1 $(BIN)/jupyter-book build . --all -W --keep-going
	@scripts/step "pages" $(BIN)/python scripts/check_pages.py $(SITE)
	@touch $@
