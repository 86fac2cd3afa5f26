# Every target sets up what it needs by itself; see scripts/bootstrap.
# ARGS are handed on:  make demo ARGS=--once    make test ARGS="-k s3 -x"    WORKERS=0 switches xdist off.
.DEFAULT_GOAL := help
.PHONY: help demo test test-quick django-suite coverage soak mutants lint format bench table messages screenshots docs docs-links architecture translations pins clean

PYTHON := .venv/bin/python
SPHINX := .venv-docs/bin/python -m sphinx -W --keep-going -q -d build/doctrees

# what a database decides, beside what runs on SQLite
BY_DATABASE := tests/rows tests/fields tests/audit tests/operations tests/transfer
SPELLED := *.md docs django_fsspec testproject scripts Makefile pyproject.toml

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: ## Store files on disk and on a real S3 server in a browser (ARGS=--once: check it all and exit)
	@scripts/bootstrap demo
	@$(PYTHON) manage.py demo $(ARGS)

test: ## Run the suite on SQLite, PostgreSQL, MariaDB, two newer Djangos and the oldest releases
	@scripts/test $(ARGS)

test-quick: ## Run the suite on SQLite, without slow tests and without a browser (4 minutes)
	@scripts/test --quick $(ARGS)

django-suite: ## Run Django's own tests over our storages, and compare them with a control run
	@scripts/django-suite $(ARGS)

coverage: ## Measure which lines and branches the suite runs, with each database and in Chromium; 95 % are asked for
	@scripts/bootstrap test
	@$(PYTHON) -m coverage erase
	@status=0; \
	$(PYTHON) -m coverage run -m pytest -n $(or $(WORKERS),auto) --dist=worksteal --timeout=400 $(ARGS) || status=1; \
	$(PYTHON) -m coverage run -m pytest -n 0 -m "browser and not soak" --timeout=400 $(ARGS) || status=1; \
	for database in postgresql mariadb; do DJANGO_FSSPEC_DATABASE=$$database \
	    $(PYTHON) -m coverage run -m pytest -n $(or $(WORKERS),auto) --dist=worksteal --timeout=400 \
	    -m "django_db and not soak and not browser and not twin" $(BY_DATABASE) $(ARGS) || status=1; \
	done; \
	$(PYTHON) -m coverage combine -q || status=1; \
	$(PYTHON) -m coverage report || status=1; \
	exit $$status

soak: ## Run the heavy proofs: races, kill -9, gigabytes, a site in production (SOAK_SECONDS=360)
	@scripts/bootstrap test
	@status=0; for some in "soak and not browser" "soak and browser"; do \
	    $(PYTHON) -m pytest -m "$$some" -p no:randomly -n 0 --timeout=7200 -rA $(ARGS) || status=1; \
	done; exit $$status

mutants: ## Change the code in small ways, and list the changes that no test notices (20 minutes)
	@scripts/bootstrap mutants
	@.venv-mutants/bin/mutmut run $(ARGS)
	@.venv-mutants/bin/mutmut results | sed '/: not checked/d'

lint: ## Check style, types, import direction and spelling
	@scripts/bootstrap test
	@status=0; for check in "ruff check" "ruff format --check" mypy; do \
	    echo "lint: $$check"; $(PYTHON) -m $$check || status=1; \
	done; \
	echo "lint: lint-imports"; .venv/bin/lint-imports --no-logo || status=1; \
	echo "lint: codespell"; .venv/bin/codespell $(SPELLED) || status=1; \
	exit $$status

format: ## Mend what ruff can mend
	@scripts/bootstrap test
	-$(PYTHON) -m ruff check --fix
	$(PYTHON) -m ruff format

bench: ## Measure against other packages and write docs/benchmarks.md (ARGS=--quick: print one round)
	@scripts/bootstrap bench
	@.venv-bench/bin/python -m benchmarks.report $(ARGS)

table: ## Run the conformance suite and write its table into docs/reference/backends.md
	@scripts/bootstrap test
	@$(PYTHON) -m tests.helpers.backend_table

messages: ## Write the table of all messages into docs/reference/messages.md
	@scripts/bootstrap test
	@$(PYTHON) -m tests.helpers.message_table

architecture: ## Draw the picture of the packages in docs/explanation/architecture.md from the imports
	@scripts/architecture > docs/images/architecture.svg.new
	@mv docs/images/architecture.svg.new docs/images/architecture.svg

screenshots: ## Take the pictures and animations of the documents anew, with Debian's chromium
	@scripts/bootstrap test
	$(PYTHON) -m pytest -q -n 0 -m browser tests/browser/test_screenshots.py tests/browser/test_animations.py --screenshots docs/images $(ARGS)

docs: ## Build the site of the documents into build/docs; a warning is an error
	@scripts/bootstrap docs
	@$(SPHINX) -b html docs build/docs $(ARGS)
	@echo "docs: build/docs/index.html"

docs-links: ## Check the links of the documents to other sites; needs a network
	@scripts/bootstrap docs
	@$(SPHINX) -b linkcheck docs build/links $(ARGS)

translations: ## Extract the texts into django_fsspec/locale, and compile the translations
	@scripts/bootstrap test
	@$(PYTHON) scripts/translations

pins: ## Pin the releases in requirements/*.txt
	@scripts/bootstrap test
	@scripts/pins

clean: ## Remove everything that was set up or made, the demo's files too
	rm -rf .venv .venv-newest .venv-middle .venv-oldest .venv-docs .venv-bench .venv-mutants .venv*.lock node_modules mutants var build dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
