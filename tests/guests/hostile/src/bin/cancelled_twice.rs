//! Computes until it is cancelled, more than once.

fn main() {
    loop {
        std::hint::black_box(());
    }
}
