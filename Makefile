# Everything runs in .venv, which the first command makes. Nothing needs to be installed by hand but Python 3.11+.
PYTHON ?= python3
EXTRAS ?= all
BIN := .venv/bin
READY := .venv/ready
DEMO := build/grade-demo
ROOT_FLAG := $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)

.PHONY: help lab test grade-demo pages release address benchmarks clean

help:
	@echo "make lab         open JupyterLab at the first lesson"
	@echo "make test        run all tests"
	@echo "make grade-demo  grade a sample class and show where to look"
	@echo "make pages       write the lessons as web pages with their pictures"
	@echo "make benchmarks  measure every figure this project states"
	@echo "make release     make the student version of every problem set"
	@echo "make address     write the repository's address of pyproject.toml into badges and install cells"

$(READY): pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --upgrade --constraint .ci/constraints.txt pip
	@# torch goes first and by its pinned version: any other request may bring gigabytes that nobody here needs
	case "$(EXTRAS)" in *all*|*torch*) $(BIN)/pip install --constraint .ci/constraints.txt torch;; esac
	$(BIN)/pip install --constraint .ci/constraints.txt --editable ".[$(EXTRAS)]"
	@touch $@

lab: $(READY)
	$(BIN)/jupyter lab $(ROOT_FLAG) --ip=127.0.0.1 --ServerApp.root_dir=. --LabApp.news_url=None --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@# a worker a core, so one thread each; in order, quick ones first
	OMP_NUM_THREADS=1 $(BIN)/pytest -n logical --no-loadscope-reorder tests/core tests/packaging tests/grading tests/lessons tests/browser

grade-demo: $(READY)
	$(BIN)/python autograder/course/sample_class.py $(DEMO)
	$(BIN)/autograder grade ps1_rnn --course $(DEMO) --json $(DEMO)/records.json --submission-seconds 15
	$(BIN)/autograder feedback ps1_rnn --course $(DEMO)
	$(BIN)/autograder report ps1_rnn --course $(DEMO)
	@echo
	@echo "Look at:"
	@echo "  the class       $(DEMO)/report/ps1_rnn.html"
	@echo "  one student     $(DEMO)/feedback/gil_transposed/ps1_rnn/ps1_rnn.html"
	@echo "  as a mail       $(DEMO)/feedback/gil_transposed/ps1_rnn/ps1_rnn.txt"
	@echo "  the records     $(DEMO)/records.json"
	@echo "  the gradebook   cd $(DEMO) && ../../$(BIN)/nbgrader export"

release: $(READY)
	for set in autograder/course/source/*/; do $(BIN)/autograder release $$(basename $$set) || exit 1; done

pages: $(READY)
	$(BIN)/python .ci/pages.py

address: $(READY)
	$(BIN)/python .ci/address.py --write

benchmarks: $(READY)
	$(BIN)/python benchmarks

clean:
	rm -rf .venv build dist *.egg-info
