# make demo and make test need Go and make, nothing else.

GO ?= go
FUZZTIME ?= 1m

# Pinned here and run from the module cache: a tool directive in go.mod would put
# the linter's modules into the graph of the binary's.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

# The race detector needs cgo, so a C compiler, and a system that it knows.
RACE = $(shell CGO_ENABLED=1 $(GO) build -race runtime/cgo 2>/dev/null && echo yes)

.PHONY: help
help: ## print this
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

.PHONY: build
build: ## build bin/keybearer
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o bin/keybearer .

.PHONY: demo
demo: build ## see it work: no account, no network
	bin/keybearer demo

.PHONY: test
test: build ## run every test that needs only Go; a short soak too
	$(if $(RACE),CGO_ENABLED=1 $(GO) test -race,CGO_ENABLED=0 $(GO) test) ./...
	$(if $(RACE),CGO_ENABLED=0 $(GO) test -run 'Allocations|Stack' ./proxy) # not with the race detector, which changes both
	cd test/soak && $(GO) test -count=1 ./...

.PHONY: soak
soak: build ## a million requests, and every fault: 6 minutes
	cd test/soak && $(GO) test -count=1 -v -timeout 30m . -long

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "run gofmt -w on:" $$unformatted; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags clients,containers,browser ./test/...
	cd test/manifests && $(GO) vet ./...
	cd test/soak && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./...
	cd test/operations && $(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) run $(STATICCHECK) -tags clients,containers,browser ./test/...

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME
	GO=$(GO) FUZZTIME=$(FUZZTIME) test/fuzz.sh

.PHONY: bench
bench: ## compare with other proxies: 12 minutes, BENCH=quick 2
	bench/install.sh
	cd bench && $(GO) run . $(if $(filter quick,$(BENCH)),,-o ../docs/performance.md)

.PHONY: bench-go
bench-go: ## run the Go benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: clean
clean: ## remove what make has built
	rm -rf bin

.PHONY: test-clients
test-clients: ## install and run the HTTP clients that people use
	cd test/clients && $(GO) test -tags clients -count=1 -timeout 30m

.PHONY: test-browser
test-browser: ## try the page of the admin listener in Chromium
	cd test/browser && $(GO) test -tags browser -count=1 -timeout 10m

.PHONY: test-manifests
test-manifests: ## decode the manifests with the types of Kubernetes and Compose
	cd test/manifests && $(GO) test -count=1 ./...

.PHONY: test-containers
test-containers: test-manifests ## build the image, run it with podman: as root, on Debian
	cd test/containers && $(GO) test -tags containers -count=1

.PHONY: test-operations
test-operations: ## scrape keybearer with Prometheus, rotate its log, replace it: on Debian
	cd test/operations && $(GO) test -count=1
