//! Panics, which aborts.

fn main() {
    hostile::now_it_comes();
    panic!("as it was told");
}
