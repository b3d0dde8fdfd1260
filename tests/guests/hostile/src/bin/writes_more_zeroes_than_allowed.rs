//! Writes more zeroes to a stream than it has permitted.

use wasip2::cli::stdout::get_stdout;

fn main() {
    hostile::now_it_comes();
    hostile::allowed(get_stdout().write_zeroes(u64::MAX).is_ok());
}
