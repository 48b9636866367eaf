# One command tests everything: make test. It needs Go, gcc (for the race detector), a JDK, Maven, curl and openssl, and
# installs the rest into $(CACHE), outside the tree.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
unexport GOFLAGS

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/foretop
GOLANGCI_LINT := $(CACHE)/bin/golangci-lint-v2.15.0
GOVULNCHECK := $(CACHE)/bin/govulncheck-v1.1.4
# Enough to know that it compiles everywhere, since nothing depends on the processor; for a release:
# make cross PLATFORMS="linux/amd64 linux/arm64 darwin/amd64 darwin/arm64"
PLATFORMS := linux/arm64 darwin/arm64
FUZZTIME := 5s
# The version of a binary comes from git, where there is a repository that git trusts.
VCS := $(shell git status > /dev/null 2>&1 && echo auto || echo false)
GO_BUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=$(VCS)

.PHONY: build test fmt vet lint unit rules fuzz fuzz-smoke cross integration kube compose terraform docs docs-check bench vuln up down image-rootfs clean

build: ## bin/foretop for this machine
	$(GO_BUILD) -o bin/foretop ./cmd/foretop

test: ## everything that CI runs, each step timed; all steps run even when one fails
	.ci/steps fmt vet unit rules docs-check compose terraform cross lint fuzz-smoke integration

fmt: ## fails on files that gofmt would change, and names them
	@test -z "$$(git ls-files '*.go' | xargs gofmt -l | tee /dev/stderr)"

vet:
	go vet ./...
	go vet -tags integration ./integration/...
	go vet -tags kube ./integration/kube
	cd integration/bench && go vet ./... && go vet -tags integration ./...

lint: $(GOLANGCI_LINT) ## .golangci.yml; the linter is built once into the cache
	$(GOLANGCI_LINT) run ./...
	cd integration/bench && $(GOLANGCI_LINT) run -c ../../.golangci.yml ./...

$(GOLANGCI_LINT):
	.ci/tool github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 $@

unit: ## tests that need no server
	CGO_ENABLED=1 go test -race -shuffle=on -timeout 15m ./...
	go test -tags purego ./pkg/jsonindex ./pkg/decode ./pkg/engine
	cd integration/bench && go test ./...

rules: ## every rule against its own test cases
	go run ./cmd/foretop rules test

fuzz-smoke: ## every fuzz target for a few seconds
	.ci/fuzz 3s

fuzz: ## every fuzz target for FUZZTIME (make fuzz FUZZTIME=10m)
	.ci/fuzz $(FUZZTIME)

cross: ## the binary without cgo on other platforms
	for p in $(PLATFORMS); do echo "$$p"; GOOS=$${p%/*} GOARCH=$${p#*/} $(GO_BUILD) -o "dist/foretop-$${p%/*}-$${p#*/}" ./cmd/foretop; done

compose: ## docker-compose.yml against the schema of the Compose specification, without an engine
	integration/compose-check

terraform: ## the modules in deployments/terraform: syntax and form
	integration/terraform-check

integration: ## against a real Kafka and a real Elasticsearch, started for the purpose
	integration/services/run go test -p 1 -tags integration -count=1 -timeout 20m ./integration/...

kube: ## with a real kube-apiserver, which is built from its modules once: ten minutes of two processors
	integration/kube/run go test -tags kube -count=1 -timeout 20m -v ./integration/kube

docs: ## the generated reference
	go run ./cmd/foretop config --markdown > docs/reference/configuration.md

docs-check: ## fails when the committed reference is not what the code says
	diff -u docs/reference/configuration.md <(go run ./cmd/foretop config --markdown)

bench: ## what an event costs, beside what others make of it, as one table: ROUNDS=5 BENCH=regexp BENCHTIME=1s
	integration/bench/run

vuln: ## known vulnerabilities in what the binary calls, where the database can be reached
	.ci/tool golang.org/x/vuln/cmd/govulncheck@v1.1.4 $(GOVULNCHECK)
	.ci/vuln $(GOVULNCHECK)

up: ## the demonstration: Kafka, Elasticsearch, Kibana, Foretop and a log generator
	docker compose up --build --detach

down:
	docker compose down --volumes

image-rootfs: ## the file system of the container image, as a folder
	deployments/docker/rootfs.sh dist/rootfs

clean:
	rm -rf bin dist
