# One command each; `make` alone lists them. All of it happens inside .venv and build/.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
CORES := $(shell nproc 2>/dev/null || echo 2)
NATIVE := build/native.stamp
PACKAGE := $(VENV)/package.stamp
KERNELS := $(wildcard ext/csrc/*.c)
ASAN := build/asan/lib
TESTS ?= tests
BENCH_MB ?= 16

.DEFAULT_GOAL := help
.PHONY: help dev demo test lint types bench asan check clean

help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dev: $(NATIVE) ## build everything into .venv; quick when nothing changed

demo: dev ## make a docker-archive of this machine's files; hash, convert, verify and pack
	$(PY) benches/demo.py

test: dev ## run the tests (some of them: make test TESTS=tests/unit)
	$(PY) -P -m pytest $(TESTS)

lint: dev ## ruff, cython-lint, and the C kernels with warnings as errors
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	PATH=$(VENV)/bin:$$PATH cython-lint ext
	for c in $(KERNELS); do $(CC) -std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -c $$c -o /dev/null || exit 1; done

types: dev ## mypy, strict, over the package and the typing examples
	$(PY) -m mypy
	$(PY) -m mypy tests/meta/typing_examples.py

bench: dev ## throughput beside the plain ways (BENCH_MB=600 for real figures)
	BENCH_MB=$(BENCH_MB) $(PY) -P -m pytest benches --benchmark-only --benchmark-group-by=group

asan: dev ## rebuild with ASan and UBSan beside the normal build, run the tests that reach C
	OCIFAST_SANITIZE=1 $(PY) setup.py -q build -j $(CORES) --build-base build/asan --build-lib $(ASAN)
	OCIFAST_SANITIZE=1 PYTHONPATH=$(abspath $(ASAN)) PYTHONSAFEPATH=1 PYTHONMALLOC=malloc \
	LD_PRELOAD=$(shell $(CC) -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0:handle_segv=0 \
	UBSAN_OPTIONS=print_stacktrace=1 $(PY) -m pytest --capture=sys -m 'not figures' $(wildcard tests/native tests/fuzz tests/unit)

check: lint types test ## what has to pass before a commit

clean: ## remove the environment and everything built
	rm -rf $(VENV) build dist *.egg-info ocifast/_native/*.so .pytest_cache .mypy_cache .ruff_cache .benchmarks .hypothesis
	find ocifast tests benches -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/made.stamp: .ci/venv
	.ci/venv $(PYTHON) $(VENV)
	touch $@

$(PACKAGE): $(VENV)/made.stamp pyproject.toml
	$(PY) -m pip install -q --disable-pip-version-check --upgrade 'pip>=25.1'
	$(PY) -m pip install -q --disable-pip-version-check --group dev
	OCIFAST_PURE=1 PYTHONWARNINGS=ignore $(PY) -m pip install -q --disable-pip-version-check --no-build-isolation --editable '.[cli]'
	touch $@

$(NATIVE): $(PACKAGE) setup.py $(shell find ext -type f)
	$(PY) setup.py -q build_ext --inplace -j $(CORES)
	touch $@
