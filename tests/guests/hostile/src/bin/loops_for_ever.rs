//! Computes and never ends.

fn main() {
    loop {
        std::hint::black_box(());
    }
}
