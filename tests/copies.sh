#!/usr/bin/env bash
# Checks that each Rust block of the README and each short example compiles when it is copied into a fresh
# package, with the `cargo add` lines that its head names and no others. The example's lints stay here.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/copies
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

check() { # NAME FILE, and on stdin what follows `cargo add`, a line each
    cargo new --quiet --vcs none --name "copy-of-${1//_/-}" "$work/$1"
    cp "$2" "$work/$1/src/main.rs"
    # The same versions as here, so that nothing is fetched.
    cp "$root/Cargo.lock" "$work/$1/"
    while read -r dependency; do
        # The published crate is this one.
        # shellcheck disable=SC2086 # Options are words of their own.
        cargo add --quiet --offline --manifest-path "$work/$1/Cargo.toml" ${dependency/#acs-identity/--path $root}
    done
    cargo check --quiet --offline --all-targets --manifest-path "$work/$1/Cargo.toml"
    echo "$1: compiles"
}

awk -v prefix="$work/block-" '/^```rust/ {n += 1; file = prefix n; next} /^```/ {file = ""} file {print > file}' "$root/README.md"
for block in "$work"/block-*; do
    name=${block##*/}
    echo "acs-identity --features emulator" | check "readme_$name" "$block"
done
for example in "$root"/examples/*.rs; do
    # One that includes a file of its own is not to be copied.
    if grep -q '^#\[path' "$example"; then continue; fi
    name=$(basename "$example" .rs)
    needs=$(sed -n 's|^//! \$ cargo add ||p' "$example")
    [ -n "$needs" ] || { echo "$name does not say what to cargo add"; exit 1; }
    check "$name" "$example" <<<"$needs"
done
