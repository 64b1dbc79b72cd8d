#!/bin/sh
# Runs every fuzz target of the module for FUZZTIME (default 1m), one after the
# other, and stops at the first that finds something.
set -eu
go=${GO:-go}
time=${FUZZTIME:-1m}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# 1x: or Go spends most of a short run minimizing.
fuzz() { "$go" test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 1x "$1" >"$log" 2>&1; }

# The end of the time can catch a worker at an awkward moment; go test then fails
# although it found nothing: no input, no crash (golang/go issue 75804, mended in 1.27).
only_out_of_time() { grep -q 'context deadline exceeded' "$log" && ! grep -qE 'Failing input|panic:|DATA RACE' "$log"; }

for package in $("$go" list ./...); do
	for target in $("$go" test -run '^$' -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $target"
		if ! fuzz "$package" "$target" && ! only_out_of_time; then
			cat "$log"
			exit 1
		fi
		grep 'elapsed' "$log" | tail -n 1
	done
done
