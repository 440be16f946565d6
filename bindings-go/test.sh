#!/bin/sh
# Checks and tests the module; `make go-test` builds what it needs, and says where the command is in SSMWIRE.
set -eu
# The emulator of a thousand sessions needs more descriptors than are usual. Go raises its own limit, and no child's.
ulimit -Sn "$(ulimit -Hn)"
badly=$(gofmt -l .)
if [ -n "$badly" ]; then
    echo "not as gofmt has it: $badly" >&2
    exit 1
fi
go vet ./...
go vet -tags ssmwiredebug ./...
go test -race -count=1 -timeout 300s ./...
# With collections all the time, and reports of what was not closed.
go test -count=1 -timeout 120s -tags ssmwiredebug -run 'Reported|Collected|Nobody|TestRun|TestAShell|TestAForward' .
