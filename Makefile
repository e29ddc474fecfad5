# Two commands on a bare machine (python3 3.11+, pip, git, make): `make demo` and `make test`.
# Neither needs root, the venv module's ensurepip, or a package installed into the system.
#
# .tools holds uv, fetched by the system's pip with its hash checked; uv fills .venv from a hash-pinned
# file in requirements/. The three sets contain one another (runtime < dev < bench), and a target is
# content with any installed set that contains its own, so switching targets reinstalls nothing.

PYTHON ?= python3
TOOLS := .tools
VENV := .venv
UV := $(TOOLS)/bin/uv
# The environment is named in every call: an activated one elsewhere must not be filled by mistake.
INTO := --quiet --python $(VENV)/bin/python
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
           --python $(TOOLS)/bin/python $(UPGRADE)

RUNTIME := $(firstword $(wildcard $(VENV)/.bench $(VENV)/.dev) $(VENV)/.runtime)
DEV := $(firstword $(wildcard $(VENV)/.bench) $(VENV)/.dev)

# Bytecode is kept: without it every single run compiles the libraries anew, about a second.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check bench setup lock packages clean

demo: $(RUNTIME)
	@$(VENV)/bin/readerd demo

# Debian keeps the broker in /usr/sbin, which an ordinary user's PATH leaves out.
test bench: export PATH := $(PATH):/usr/sbin

test: $(DEV) packages
	$(VENV)/bin/python -m pytest -n auto --dist worksteal

check: $(DEV)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo

bench: $(VENV)/.bench packages
	$(VENV)/bin/python -m bench

setup: $(DEV)

# Programs that pip cannot bring; `make test` goes on without them, with CI=true it does not.
packages:
	@.ci/packages

# Rewrites the pins where pyproject.toml asks for it; `make lock UPGRADE=--upgrade` moves all of them.
lock: $(TOOLS)/.uv
	$(COMPILE) --group pyproject.toml:tools -o requirements/tools.txt
	$(COMPILE) pyproject.toml --group build -o requirements/runtime.txt
	$(COMPILE) pyproject.toml --group build --group dev -c requirements/runtime.txt -o requirements/dev.txt
	$(COMPILE) pyproject.toml --group build --group dev --group bench -c requirements/dev.txt \
	  -o requirements/bench.txt

$(TOOLS)/.uv: requirements/tools.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "readerd needs Python 3.11 or later: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || \
	  { echo "$$(command -v $(PYTHON)) has no pip: leave the active environment, or make PYTHON=/usr/bin/python3 ..." >&2; exit 1; }
	$(PYTHON) -m venv --clear --without-pip $(TOOLS)
	$(PYTHON) -m pip --python $(TOOLS)/bin/python install --quiet --disable-pip-version-check \
	  --require-hashes --requirement requirements/tools.txt
	@touch $@

$(VENV)/.%: requirements/%.txt pyproject.toml $(TOOLS)/.uv
	$(UV) venv --quiet --allow-existing --python $(TOOLS)/bin/python $(VENV)
	$(UV) pip sync $(INTO) --require-hashes $<
	$(UV) pip install $(INTO) --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(TOOLS) $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache .coverage
	find readerd drivers tests bench -name __pycache__ -prune -exec rm -rf {} +
