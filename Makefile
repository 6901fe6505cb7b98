# imgspecd: `make` lists what can be done.

GO       ?= go
PREFIX   ?= /usr/local
CACHE    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/imgspecd-test
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS  := -s -w -X main.version=$(VERSION)

GOLANGCI_VERSION := v2.15.0
GOLANGCI         := $(CACHE)/bin/golangci-lint-$(GOLANGCI_VERSION)

# What a plain `go test` can run anywhere: all but the tests that need engines.
PACKAGES = $$($(GO) list ./... | grep -v -e /test/integration -e /bench)
FUZZTIME ?= 10s

.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/imgspecd
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/imgspecd ./cmd/imgspecd

.PHONY: install
install: build ## install it in $(PREFIX)/bin
	install -D -m 755 bin/imgspecd $(DESTDIR)$(PREFIX)/bin/imgspecd

.PHONY: demo
demo: build ## see it work: a lock is saved, an image gets ready
	examples/demo.sh

.PHONY: test
test: ## all tests; as root on Debian it brings up all they need
	test/run --all -timeout 20m

.PHONY: check
check: ## formatting, go.mod, vet, lint, and the tests that need no engine, under the race detector
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(MAKE) --no-print-directory lint
	IMGSPECD_TEST_REQUIRE= $(GO) test -race -timeout 10m $(PACKAGES)

.PHONY: lint
lint: $(GOLANGCI) ## golangci-lint
	$(GOLANGCI) run ./...

# Built by this machine's own Go, in a module of its own: its dependencies are not ours.
$(GOLANGCI):
	mkdir -p $(@D) && GOBIN=$(@D)/tmp GOFLAGS=-buildvcs=false $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(@D)/tmp/golangci-lint $@

.PHONY: bench
bench: build ## figures beside flytekit's own builder, with the machine's noise
	bench/run

# On a busy machine Go's fuzzer can end with "context deadline exceeded", which is no finding; what it does find fails again.
.PHONY: fuzz
fuzz: ## each fuzz test for FUZZTIME (10s)
	@set -e; grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r file; do \
	  for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$file); do \
	    echo "$$name ($$(dirname $$file))"; \
	    fuzz() { $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$file) </dev/null; }; \
	    fuzz || fuzz; \
	  done; done

.PHONY: wheels
wheels: ## what goes to PyPI, in dist/: the Python package, with the binary for Linux and macOS
	GO=$(GO) python/wheels dist

.PHONY: nightly
nightly: ## all tests in full (some GB from PyPI), then each fuzz test for two minutes: two hours
	IMGSPECD_TEST_FULL=1 test/run -timeout 2h ./...
	$(MAKE) --no-print-directory fuzz FUZZTIME=2m

.PHONY: fmt
fmt: ## format the Go files
	gofmt -w $$(git ls-files '*.go')

.PHONY: tidy
tidy: ## go mod tidy
	$(GO) mod tidy

.PHONY: clean
clean: ## delete what was built
	rm -rf bin dist

.PHONY: distclean
distclean: clean ## and the rig (as root), and the tests' cache
	@[ "$$(id -u)" != 0 ] || test/rig/rig purge
	rm -rf $(CACHE)
