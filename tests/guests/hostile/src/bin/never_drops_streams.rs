//! Requests its standard output again and again and keeps every stream.

use wasip2::cli::stdout::get_stdout;

fn main() {
    let held: Vec<_> = (0..1_000_000).map(|_| get_stdout()).collect();
    hostile::allowed(held.len());
}
