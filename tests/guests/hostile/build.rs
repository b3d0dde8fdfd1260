//! Passes the linker the start file of a C library other than the compiler's own.

fn main() {
    println!("cargo::rerun-if-env-changed=SKEP_GUEST_START");
    if let Ok(start) = std::env::var("SKEP_GUEST_START") {
        println!("cargo::rustc-link-arg-bins={start}");
    }
}
