# Everything a developer does here. Needs nothing but python3 and make: uv is brought along, and
# with it Python 3.13 where it is missing, and every dependency at the version in uv.lock.
.DEFAULT_GOAL := help
SHELL := bash

UV_VERSION := 0.13.8
UV := .uv/bin/uv
PYTHON := .venv/bin/python
PORT ?= 8080

export PORT
export PHOTO
export PYTHONPATH := functions:layers/common:.
# Nothing here speaks to AWS or reports to anybody.
export AWS_DEFAULT_REGION := af-south-1
export AWS_EC2_METADATA_DISABLED := true
export SAM_CLI_TELEMETRY := 0

.PHONY: help demo up test check format build bench

help: ## Say what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10
	@echo
	@echo "PORT=8090 make up     another stack, on another port (and the one after it)"
	@echo "PHOTO=path make demo  with a photo of your own"

demo: .venv/synced .venvs/ministack/synced ## Run the main job end to end and show what happened
	@$(PYTHON) -m local demo

up: .venv/synced .venvs/ministack/synced ## Run the whole stack on this machine until Ctrl-C
	@exec $(PYTHON) -m local up

test: .venv/synced .venvs/ministack/synced ## Run all tests: unit, integration, end to end
	$(PYTHON) -m pytest --cov --cov-report=term $(ARGS)

check: .venv/synced .venvs/sam/synced .venvs/checkov/synced ## Lint, types, template; writes nothing
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venvs/sam/bin/sam validate --lint
	$(PYTHON) -m local.expanded_template
	.venv/bin/cfn-lint .build/template.json
	.venvs/checkov/bin/checkov --file .build/template.json --framework cloudformation \
		--compact --quiet --skip-download
	$(UV) lock --check

format: .venv/synced ## Put the source into its one form
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

build: .venvs/sam/synced ## Build functions and layers for AWS (arm64), without Docker
	.venvs/sam/bin/sam build

bench: .venv/synced ## Measure what the documentation claims
	$(PYTHON) -m benchmarks.photo_memory

$(UV):
	@python3 -m venv .uv || { rm -rf .uv; echo "python3 can't make virtual environments;" \
		"on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/synced: $(UV) uv.lock
	$(UV) sync --quiet --frozen --only-group dev
	@touch $@

# Tools that pin what others need in another version, each in an environment of its own.
.venvs/%/synced: $(UV) uv.lock
	UV_PROJECT_ENVIRONMENT=.venvs/$* $(UV) sync --quiet --frozen --only-group $*
	@touch $@
