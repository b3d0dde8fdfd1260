//! Computes until it is cancelled, which it is again and again.

fn main() {
    loop {
        std::hint::black_box(());
    }
}
