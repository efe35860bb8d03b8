# Elpis. `make demo` tells the whole story; `make test` proves it. Nothing here needs root.
# PYTHON=/path/to/python3.12 chooses an interpreter when none of python3.12, python3.11, python3 fits.

.PHONY: demo test lint coverage bench simulate simulate-devices nightly lock clean
.DEFAULT_GOAL := demo

export PYTHON

demo: ## the story of one record, on a relay of its own, with what each party saw
	@.requirements/install run
	@.venv/bin/elpis demo

test: ## every test, on all cores; ARGS are handed to pytest
	@.requirements/install dev
	@.venv/bin/python -m pytest -n auto --dist loadfile $(ARGS)

lint: ## style, types, and who may import whom
	@.requirements/install dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python -m pytest -q tests/test_house.py

COVERING = tests/vault/test_attachment.py tests/vault/test_encoding.py tests/vault/test_grant.py \
	tests/vault/test_hybrid.py tests/vault/test_io_faults.py tests/vault/test_keyslots.py tests/vault/test_opening.py \
	tests/vault/test_roster.py tests/sync/test_envelope.py tests/spec/test_ground.py tests/spec/test_vectors.py \
	tests/spec/attacks/test_identities.py tests/spec/attacks/test_removed_devices.py

coverage: ## every branch of keys, encoding, primitives, grants, openings, rosters, sealed files, envelopes
	@.requirements/install dev
	@.venv/bin/python -m coverage run -m pytest -q -k 'not every_bit and not makers' $(COVERING)
	@.venv/bin/python -m coverage report

bench: ## one table of measured ratios; ARGS="--quick" or "--only NAME"
	@.requirements/install dev
	@.venv/bin/python -m tests.benchmarks $(ARGS)

simulate: ## many seeded lives of a record, its readers and a relay in good or bad hands; ARGS="--seeds 1..10000"
	@.requirements/install dev
	@.venv/bin/python -m tests.simulation.exchange $(or $(ARGS),--seeds 1..10000)

simulate-devices: ## many seeded lives of several devices of one patient; ARGS="--seeds 1..10000"
	@.requirements/install dev
	@.venv/bin/python -m tests.simulation.household $(or $(ARGS),--seeds 1..10000)

nightly: ## what takes hours: 10 000 lives of each kind, a million hostile changes, every check taken out once
	@$(MAKE) simulate ARGS=
	@$(MAKE) simulate-devices ARGS=
	@.venv/bin/python -m tests.fuzz.crdt
	@.venv/bin/python -m tests.spec.mutations

lock: ## writes .requirements/*.txt from pyproject.toml; ARGS="--upgrade" takes newer versions
	@.requirements/lock $(ARGS)

clean: ## what was made, and nothing that was written
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage build dist
	find . -name __pycache__ -type d -not -path './.git/*' -exec rm -rf {} +
