# Every target sets itself up; PYTHON=python3.12 chooses another interpreter (3.11 to 3.13). uv is used where installed.
PYTHON ?= python3
PORT ?= 8000
ARGS ?=
export TRANSPORT ?= sandbox
unexport PYTHONDONTWRITEBYTECODE  # where it is set, each of many processes would compile every module anew

VAR := $(or $(OFFLOAD_VAR_DIR),var)
VENV := .venv
PY := $(VENV)/bin/python
UV := $(shell command -v uv 2>/dev/null)
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
NPM := $(shell command -v npm 2>/dev/null)
TYPESCRIPT := clients/typescript
TEST_SETTINGS := DJANGO_SETTINGS_MODULE=offload_project.tests.settings

.PHONY: help demo run desk test long crash attack score evaluate screenshots bench chaos waits pages check image openapi clients lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /  make \1|/' | column -t -s '|' 2>/dev/null || true

demo: $(RUNTIME) ## one whole case, from POST to webhook, printing each step; TRANSPORT=email or =agentmail for those
	$(PY) -m scripts.demo

run: desk ## serve at this desk: web, worker and clock
	@echo
	@echo "  Offload is served at http://localhost:$(PORT)/ (API description: /docs, staff pages: /admin/)."
	@echo "  An account for the staff pages:  $(PY) manage.py createsuperuser"
	@echo "  An API key for a client:         $(PY) manage.py create_client NAME"
	@echo
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" OFFLOAD_BASE_URL="$${OFFLOAD_BASE_URL:-http://localhost:$(PORT)}" \
		exec $(VENV)/bin/honcho -e /dev/null start -p $(PORT)

desk: $(RUNTIME) $(VAR)/secret_key ## prepare this desk, so that `manage.py` works: key and database
	$(PY) manage.py migrate --verbosity 0

test: $(DEV) $(if $(NPM),$(TYPESCRIPT)/node_modules/.installed) ## the tests on SQLite, then those of the engine on PostgreSQL too; ARGS="-k word" narrows
	$(PY) -m pytest -q -n 3 --dist worksteal -m "not long" $(ARGS)
	$(PY) -m scripts.with_postgres $(PY) -m pytest -q -n 3 --dist worksteal -m "engine and not long" $(ARGS)

long: $(DEV) ## the tests that take long: whole flows on Redis, SQS and S3, over Postfix, and every page in a browser
	$(PY) -m pytest -q -n 3 --dist worksteal -m long $(ARGS)
	$(PY) -m scripts.with_postgres $(PY) -m pytest -q -n 2 --dist worksteal -m "engine and long" $(ARGS)

crash: $(DEV) ## kill real processes, ten times each, and lose 200 answers of a mail provider
	$(PY) -m pytest -q offload_project/tests/test_crash.py \
		outreach/tests/test_agentmail_transport.py::test_answers_lost_at_random_cost_one_mail_each --rounds=10 $(ARGS)

score: $(DEV) ## how well mail is understood, counted on public samples beside the best libraries
	$(PY) -m scripts.fetch_samples
	$(PY) -m pytest -q -s outreach/tests/test_score.py $(ARGS)

evaluate: $(RUNTIME) $(VAR)/secret_key ## play the scenarios, four times each, with the form agent and with a scripted model
	$(PY) manage.py evaluate_agent --agent form --runs 4 --strict $(ARGS); form=$$?; \
	$(PY) manage.py evaluate_agent --agent scripted --runs 4 --strict $(ARGS) && exit $$form

attack: $(DEV) ## attack the running service: addresses, keys, headers, sizes, and 2,000 requests by Schemathesis
	$(PY) -m scripts.attack $(ARGS)

screenshots: $(DEV) ## every page of the staff's desk, wide and on a telephone, light and dark: var/screenshots/
	$(PY) -m pytest -q offload_project/tests/test_staff_pages.py --pictures $(ARGS)

bench: $(DEV) ## every benchmark, as ratios to its floor; ARGS="--only post_get,due" for some, ARGS=--quick for small ones
	$(PY) -m benchmarks $(ARGS)

chaos: $(DEV) ## kills, outages and skewed clocks under load, and the table of promises; ARGS="--seed N" repeats a run
	$(PY) -m scripts.chaos $(ARGS)

waits: $(DEV) ## how many model calls one worker has in flight, in what time and memory; fails beyond its bounds
	$(PY) -m benchmarks.side_by_side $(ARGS)

pages: $(DEV) ## how quick the staff's pages are with 200,000 cases; ARGS="--cases 20000 --messages 100000" for fewer
	$(PY) -m benchmarks.staff_pages $(ARGS)

check: $(DEV) ## lint, format, types, missing migrations, Django's checks, the rooms' arrows, docs/openapi.yaml
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(TEST_SETTINGS) $(PY) manage.py makemigrations --check --dry-run
	$(TEST_SETTINGS) $(PY) manage.py check --fail-level WARNING
	$(PY) -m pytest -q offload_project/tests/test_layers.py \
		offload_project/tests/test_openapi.py::test_the_committed_document_is_current

image: $(DEV) ## the steps of deploy/Dockerfile in a clean folder, then its settings, its server and its health check
	$(PY) -m scripts.image

openapi: $(DEV) ## write docs/openapi.yaml anew from the code
	$(TEST_SETTINGS) $(PY) manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

clients: openapi $(TYPESCRIPT)/node_modules/.installed ## that, and the TypeScript types made from it (needs npm)
	cd $(TYPESCRIPT) && npm run --silent types -- offload.d.ts

lock: ## resolve requirements*.txt anew into the lock files (needs uv)
	$(or $(UV),uv) pip compile --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" \
		--upgrade --quiet -o requirements.lock requirements.txt
	$(or $(UV),uv) pip compile --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" \
		--upgrade --quiet -c requirements.lock -o requirements-dev.lock requirements-dev.txt

clean: ## remove the environment and all caches; your data in var/ is kept
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis $(TYPESCRIPT)/node_modules $(TYPESCRIPT)/build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	$(if $(UV),$(UV) venv --quiet --python $(PYTHON) $(VENV),$(PYTHON) -m venv $(VENV))

$(RUNTIME): requirements.lock | $(PY)
	$(call install,$<)
	touch $@

$(DEV): requirements-dev.lock | $(PY)
	$(call install,$<)
	touch $@

$(TYPESCRIPT)/node_modules/.installed: $(TYPESCRIPT)/package-lock.json
	cd $(TYPESCRIPT) && npm ci --no-audit --no-fund --loglevel=error
	touch $@

define install
$(if $(UV),$(UV) pip install --quiet --python $(PY),$(PY) -m pip install --quiet --disable-pip-version-check) --require-hashes -r $(1)
endef

# Only for this machine: a production service gets SECRET_KEY from its environment.
$(VAR)/secret_key: | $(PY)
	mkdir -p $(VAR)
	umask 077 && $(PY) -c "import secrets; print(secrets.token_urlsafe(64))" > $@.new && mv $@.new $@
