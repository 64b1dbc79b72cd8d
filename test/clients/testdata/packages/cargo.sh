#!/bin/sh
# cargo.sh MODE BASE: cargo with a registry of crates at BASE that has a sparse index, see
# ../../upstream_cargo_test.go.
#
#	get             resolve a dependency from the index
#	all             that, fetch the crate, and publish another one
#	large-upload    publish a crate of 64 MiB
#	large-download  fetch one
#	redirect        fetch one that is at another host
#	gzip            resolve a dependency from an index that comes encoded
set -eu
mode=$1 base=$2
index=index
if [ "$mode" = gzip ]; then index=zipped; fi

export CARGO_HOME="$PWD/cargo" CARGO_REGISTRIES_TEST_INDEX="sparse+$base/$index/" CARGO_NET_RETRY=0 CARGO_TERM_COLOR=never
export CARGO_REGISTRIES_TEST_TOKEN='Bearer bogus-of-the-client' CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS=cargo:token
export CARGO_HTTP_DEBUG=true CARGO_LOG=network=debug

programs=$(dirname "$NODE_PATH")
export RUSTC="$programs/rustc"
cargo() { "$programs/cargo" "$@"; }

package() {
	mkdir -p "$1/src"
	touch "$1/src/lib.rs"
	cat >"$1/Cargo.toml" <<-END
		[package]
		name = "$1"
		version = "1.0.0"
		edition = "2021"
		license = "MIT"
		description = "a test"
		include = ["src/lib.rs", "data.bin"]
	END
}

resolve() {
	package "uses-$1"
	printf '[dependencies]\n%s = { version = "1", registry = "test" }\n' "$1" >>"uses-$1/Cargo.toml"
	(cd "uses-$1" && cargo generate-lockfile)
}

fetch() {
	resolve "$1"
	(cd "uses-$1" && cargo fetch --locked)
	cp cargo/registry/src/*/"$1-1.0.0/data.bin" "$2"
}

publish() {
	package new
	cp "$1" new/data.bin
	(cd new && cargo publish --registry test --no-verify --allow-dirty)
}

case $mode in
get | gzip) resolve small ;;
all)
	fetch small download.bin
	publish upload.bin
	;;
large-upload) publish large.bin ;;
large-download) fetch large large-download.bin ;;
redirect) fetch moved download.bin ;;
*)
	echo "no such mode" >&2
	exit 64
	;;
esac
