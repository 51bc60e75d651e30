# Everything here is one cargo command or two; `make help` lists them.

.DEFAULT_GOAL := help
.PHONY: help run test check bench doc

help:  ## Lists what there is
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

run:  ## Runs the chat, server and client in one terminal
	cargo run --release -- --scenario chat --role both

test:  ## Runs every test
	cargo test

check:  ## Checks format, lints with every feature set, documents and tests
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --all-targets --no-default-features -- -D warnings
	cargo clippy --lib --bins -- -D warnings
	cargo clippy --lib --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --no-default-features
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features
	cargo test

bench:  ## Measures, side by side with bare loops; see docs/performance.md
	cargo bench

doc:  ## Builds the documentation and names its first page
	cargo doc --no-deps
	@echo target/doc/sockactors/index.html
