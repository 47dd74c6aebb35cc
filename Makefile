# Developers' shorthand; ./run and ./test need no make.
.PHONY: help check format test soak screens lock demo bench

help:            ## this list
	@grep -E '^[a-z]+: +##|^[a-z]+:.*##' Makefile | sed 's/:.*##/\t/'
check:           ## format, lint, types, import contracts, house rules
	@packaging/check.sh
format:          ## format the code
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix-only --quiet .
test:            ## everything, as ./test
	@./test
soak:            ## the long runs: kills, syscall faults, many histories
	@./test -m soak --timeout 7200 -p no:cacheprovider
screens:         ## every page in every theme into build/screens
	@./test tests/ui -k gallery
lock:            ## write the hash-pinned requirements anew (needs uv)
	@packaging/lock.sh
demo:            ## a whole ceremony by scripted participants into build/demo
	@.venv/bin/hsm-console demo --headless --out build/demo
bench:           ## the budgets, measured
	@.venv/bin/hsm-console bench
