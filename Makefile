# Short names for cargo commands. `make help` lists them.

.DEFAULT_GOAL := help
.PHONY: help run test check bench bench-peers miri doc

help:  ## Lists the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

run:  ## Runs a chat with server and client in one terminal
	cargo run --release -- --scenario chat --role both

test:  ## Runs every test
	cargo test

check:  ## Checks the format, lints every feature set, builds the docs and runs the tests
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --all-targets --no-default-features -- -D warnings
	cargo clippy --lib --bins -- -D warnings
	cargo clippy --lib --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --no-default-features
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features
	cargo test

bench:  ## Runs the benchmarks; see docs/performance.md
	cargo bench

bench-peers:  ## Compares with other actor crates and servers, if installed
	cargo build --release
	cargo build --release --manifest-path benches/peers/Cargo.toml
	cargo build --release --manifest-path benches/peers/actors/Cargo.toml
	benches/peers/actors/target/release/peer_actors --json docs/bench/peers.json --svg docs/bench/peers.svg
	benches/peers/target/release/peers
	benches/peers/target/release/peers thousand
	benches/peers/target/release/peers greeting
	benches/peers/target/release/peers echo

# Runs the unit tests of the runtime with several thread schedules, then a few seeds of the simulation.
# Tests that wait for a descriptor cannot run: Miri has no timerfd and no level-triggered epoll.
miri:  ## Runs the runtime's tests under Miri; needs the nightly component miri
	MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-many-seeds=0..8" \
		cargo +nightly miri test --no-default-features --features testing --lib -- runtime:: reactor::
	MIRIFLAGS="-Zmiri-disable-isolation" \
		cargo +nightly miri test --no-default-features --features testing --test runtime simulation::

doc:  ## Builds the documentation and prints the path of its first page
	cargo doc --no-deps
	@echo target/doc/sockactors/index.html
