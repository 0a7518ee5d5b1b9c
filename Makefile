# Every target sets up .venv by itself, and again only when pyproject.toml changes.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DOCS   := $(VENV)/.docs-ready
CHROME := $(firstword $(foreach name,chromium chromium-browser google-chrome,$(shell command -v $(name))))
EXTRAS := dev$(if $(CHROME),$(shell echo ,)browser)

.PHONY: search test coverage lint docs clean

search: $(READY)  ## find a small DenseNet on the bundled digits
	$(BIN)/nasctl search --space densenet --max-params 150k --confirm 1

test: $(READY)    ## every test, the fast ones first
	$(BIN)/python -m pytest

coverage: $(READY)  ## every test, and which lines of nas they ran; fails under 90 %
	$(BIN)/python -m pytest --cov

lint: $(READY)    ## style, layout, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(DOCS)     ## the manual as a site: open site/index.html; fails on any warning
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:            ## remove the environment and tool caches; runs/ is kept
	rm -rf $(VENV) site .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip compiles on one core, and also what packages test themselves with
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	  "nasctl needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is %d.%d; choose one: make PYTHON=python3.12 ..." % v)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[$(EXTRAS)]'
	$(BIN)/python -m compileall -qq -j 0 -x 'site-packages/.*/tests?/' $(VENV)/lib || true
	touch $(READY)

# what the site alone needs, into the same environment: the other targets do without it
$(DOCS): $(READY)
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[docs]'
	touch $(DOCS)
