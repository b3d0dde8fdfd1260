//! Reads its standard input to the end. In a worker it is empty; from a terminal the end may never
//! come.

use std::io::Read;

fn main() {
    let mut input = Vec::new();
    match std::io::stdin().read_to_end(&mut input) {
        Ok(0) => hostile::denied("end of input"),
        other => hostile::allowed(format_args!("{other:?}")),
    }
}
