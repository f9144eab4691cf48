//! How the program is linked: with its relative relocations packed (DT_RELR), where the C library at hand can read them.
//! They are over a megabyte otherwise, all of it read at each start and resident in each sidecar.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=deploy/build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let is_native = std::env::var("HOST") == std::env::var("TARGET");
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_ENV", "gnu") && is_native && reads_packed() {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether this machine's C library is glibc 2.36 or later.
fn reads_packed() -> bool {
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let told = told.ok().and_then(|told| String::from_utf8(told.stdout).ok()).unwrap_or_default();
    let mut numbers =
        told.trim().trim_start_matches("glibc ").split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (2_u32, 36_u32)
}
