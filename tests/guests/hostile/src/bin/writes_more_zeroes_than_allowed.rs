//! Asks a stream for more zeroes than it said that it would take.

use wasip2::cli::stdout::get_stdout;

fn main() {
    hostile::now_it_comes();
    hostile::allowed(get_stdout().write_zeroes(u64::MAX).is_ok());
}
