# Two commands are enough: `make demo` and `make test`. Both do all set-up on a Debian 12 machine with Rust.
.DEFAULT_GOAL := help
.PHONY: help demo demo-down test check e2e seeds crds rbac manifests chart docs book fmt bench measured charts measure scale images images-test

help:          ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: .*## /\t/' | expand -t 14
demo:          ## a real cluster, manager and daemons; images pulled over two nodes, a sidecar injected and upgraded; stays running
	@examples/demo/demo up
demo-down:     ## stop all that `make demo` started
	@examples/demo/demo down
test:          ## all that CI checks
	@bash .ci/checks
check:         ## the checks that need no cluster
	@bash .ci/checks --no-cluster
e2e:           ## the end-to-end tests alone; FILTER='test(name)' picks some
	@bash examples/e2e/run $(if $(FILTER),-E '$(FILTER)')
seeds:         ## the fault simulation with 10,000 seeds; SEEDS=17 repeats one, SEEDS=0..500 some
	@KRUISE_SEEDS=$(or $(SEEDS),0..10000) cargo test --locked -p kruise-core --test simulate -- --nocapture
	@KRUISE_SEEDS=$(or $(SEEDS),0..10000) cargo test --locked -p kruise-imagepull --test faults -- --nocapture
	@KRUISE_SEEDS=$(or $(SEEDS),0..10000) cargo test --locked -p kruise-sidecar --test faults -- --nocapture
crds:          ## write the CRDs of examples/manifests and of the chart from the Rust types
	@cargo run --quiet -p kruise-manager -- crds > examples/manifests/crds.yaml.new && mv examples/manifests/crds.yaml.new examples/manifests/crds.yaml
	@cp examples/manifests/crds.yaml examples/charts/kruise/files/crds.yaml
RULES := manager-cluster manager-pulls manager-namespace manager-copies daemon-cluster daemon-copies withdrawal
rbac:          ## write the rules of the chart's roles from what the code needs, then the manifests
	@cargo build --locked -q -p kruise-manager
	@for role in $(RULES); do target/debug/kruise-manager rbac $$role > examples/charts/kruise/files/rules/$$role.yaml; done
	@examples/manifests/render
manifests:     ## write rbac.yaml and kruise.yaml of examples/manifests from the chart
	@examples/manifests/render
chart:         ## check the Helm chart; the tools come from npm
	@examples/charts/check
docs:          ## write docs/reference from the Rust types
	@cargo run --locked -q -p kruise-docs -- reference
book:          ## build the documentation as a book
	@cargo run --locked -q -p kruise-docs -- book
fmt:           ## format the sources
	@cargo fmt --all
bench:         ## the benches, with a baseline in the same run
	@mkdir -p target/bench
	@set -e; for bench in cache_memory webhook sidecar_inject; do \
	  cargo bench --locked -p kruise-benches --bench $$bench > target/bench/$$bench.json; cat target/bench/$$bench.json; done
	@cargo bench --locked -p kruise-benches --bench runtime --bench policy --bench sidecar_plan --bench imagepull_plan
measured:      ## write what the benches have said to docs/charts, and draw it
	@cargo run --locked -q -p kruise-docs -- measured
	@cargo run --locked -q -p kruise-docs -- charts
charts:        ## draw the charts of docs/performance.md from the data in docs/charts
	@cargo run --locked -q -p kruise-docs -- charts
measure:       ## memory, idle CPU and size of the two programs, on the real cluster
	@bash examples/local/measure
scale:         ## the manager over up to 1,000 simulated nodes; SCALE='250x20 989x198' picks NODESxJOBS
	@examples/e2e/scale
images:        ## OCI images of the two programs for three platforms; ARGS='--push HOST:PORT' and others
	@examples/images/build $(ARGS)
images-test:   ## the images: contents, the same bytes twice, run under qemu, run by a real kubelet; ARGS='--arch amd64'
	@examples/images/test $(ARGS)
