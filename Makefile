# SPDX-License-Identifier: Apache-2.0
# The front door. Everything real is in CMakePresets.json, CMakeLists.txt and tools/.
#   make demo [ONESHOT=1]   build and watch the main job      make test     build with ASan+UBSan, run all tests
#   make build              programs into build/release/bin   make install  [PREFIX=/usr/local] [DESTDIR=]
#   make check              style, layers, lengths, analysis  make fuzz     [SECONDS_EACH=300] libFuzzer, corpus kept
#   make bench              our own cost: CPU, memory         make bench-peers  the same beside mosquitto and NATS
#   make soak               an hour of churn, kills and floods (SOAK_SECONDS=)
#   make tsan               tests under ThreadSanitizer       make cov      branch coverage of the pure layers
#   make paho               Eclipse Paho's interoperability suites against the hub (PAHO= a checkout, or it is cloned)
PREFIX ?= /usr/local
SECONDS_EACH ?= 300
ONESHOT ?=
JOBS ?= $(shell nproc)

.PHONY: all build demo test check paho fuzz tsan cov bench bench-peers soak install clean setup
all: build

setup:
	@tools/setup

build: setup
	@cmake --preset release > build-configure.log 2>&1 || { cat build-configure.log; rm -f build-configure.log; exit 1; }
	@rm -f build-configure.log
	@cmake --build build/release -j $(JOBS)

install: build
	cmake --install build/release --prefix $(PREFIX)

demo: build
	@ONESHOT=$(ONESHOT) tools/demo build/release/bin

test: setup
	cmake --preset asan
	cmake --build build/asan -j $(JOBS)
	ctest --test-dir build/asan -j $(JOBS) --output-on-failure --no-tests=error

check: setup
	cmake --preset dev > /dev/null
	tools/check

fuzz:
	tools/setup check
	cmake --preset fuzz
	cmake --build build/fuzz -j $(JOBS)
	tools/fuzz build/fuzz/bin $(SECONDS_EACH)

tsan: setup
	cmake --preset tsan
	cmake --build build/tsan -j $(JOBS)
	ctest --test-dir build/tsan -L unit --output-on-failure --no-tests=error
	ctest --test-dir build/tsan -R system.cores_test --output-on-failure --no-tests=error

cov:
	tools/setup check
	cmake --preset cov
	cmake --build build/cov -j $(JOBS)
	ctest --test-dir build/cov -L 'unit|fuzz' -j $(JOBS) --output-on-failure
	gcovr --root . --filter src/base --filter src/codec --filter src/trust --filter src/proto --filter src/service \
	  --branches --exclude-unreachable-branches build/cov

# LOAD names the folder of the load generator; BENCH takes options of test/bench/bench.py.
LOAD ?= ../shared/load
BENCH ?=
bench: build
	@cmake --preset release -B build/bench -DFL_TESTS=ON > /dev/null
	@cmake --build build/bench --target sign_bench ocsp_bench -j $(JOBS) > /dev/null
	@test/bench/sign.sh build/bench/bin build/release/bin
	@build/bench/bin/ocsp_bench
	@LOAD=$(LOAD) test/bench/bench.py --peers hub $(BENCH)

bench-peers: build
	@tools/setup bench
	@LOAD=$(LOAD) test/bench/bench.py $(BENCH)

SOAK_SECONDS ?= 3600
soak: build
	@FAIRLEAD_BIN=build/release/bin test/soak/soak.py $(SOAK_SECONDS)

PAHO ?= build/paho.mqtt.testing
paho: build
	@[ -d $(PAHO) ] || git clone -q --depth 1 https://github.com/eclipse/paho.mqtt.testing $(PAHO)
	@FAIRLEAD_BIN=build/release/bin test/interop/paho_suite.py $(PAHO)

clean:
	rm -rf build
