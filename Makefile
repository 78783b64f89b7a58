# Each target works alone in a fresh clone: Python 3.11+, pip and make are all it needs.
PYTHON ?= python3
BIN := .venv/bin
# Two tests at a time, each on one thread: they are many and small.
PARALLEL := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist worksteal

# What most changes break, and what starts no process: a minute. The twins' logits take a third of that, and wait.
FAST := --ignore=tests/arch/test_twins.py tests/arch tests/drawing/test_draw.py tests/gradients/test_statistics.py tests/lessons tests/operators \
	tests/training tests/workers tests/test_api.py tests/test_docs.py tests/test_golden_results.py

.PHONY: demo check test test-all test-cuda bench fig6 results tour readme format clean

.venv/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e .
	touch $@

.venv/dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@ .venv/demo

demo: .venv/demo  ## what ResNet-50 costs, and what a 1x1 convolution saves
	$(BIN)/resbench flops --model resnet50
	$(BIN)/resbench compare conv5x5_direct conv5x5_reduced

check: .venv/dev  ## the part of `make test` for between two edits: style, types, import order, fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PARALLEL) $(FAST)

test: .venv/dev  ## style, types, import order, counters, doctests, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/resbench gate --counters
	$(PARALLEL)

test-all: .venv/dev  ## the slow tests too
	$(BIN)/pytest -m 'not cuda'

test-cuda: .venv/dev  ## what needs an NVIDIA GPU
	$(BIN)/pytest -m cuda

bench: .venv/dev  ## the pytest-benchmark suites; what they print goes to results/cpu
	mkdir -p results/cpu
	$(BIN)/pytest suites --benchmark-enable --benchmark-only -s --benchmark-columns=min,median,iqr,rounds \
		--benchmark-json results/cpu/suites.json > results/cpu/suites.txt
	gzip -9 -f results/cpu/suites.json

fig6: .venv/dev  ## figure 6 of He et al. 2015 on CIFAR-10 in CIFAR10=DIR, in pieces of 8 minutes: call it again until it is done
	bash suites/fig6.sh $(CIFAR10)

results: .venv/dev  ## the gallery: every command, what it prints and draws
	$(BIN)/python docs/gallery.py

tour: .venv/dev  ## run docs/tour.ipynb anew: five minutes
	$(BIN)/jupyter-execute --inplace docs/tour.ipynb

readme: .venv/dev  ## write the tables of README.md anew
	$(BIN)/python docs/generate.py

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv
