//! A native program: the test binary itself.

pub(crate) fn bytes() -> Vec<u8> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let program = std::fs::File::open("/proc/self/exe").unwrap();
    program.take(1 << 20).read_to_end(&mut bytes).unwrap();
    bytes
}
