//! `probe VERB [ARGUMENTS]`: exercises one host function and prints the result for a test.
//!
//! The host's tests run it, both for conformance and for attacks. Each module has the verbs on one
//! noun. A verb that can fail prints `ok` or its result, or `error: <ErrorKind> (<raw code>)`, and
//! exits 0 or 1; a usage error exits 2. It builds as a component (`wasm32-wasip2`) and as a
//! preview1 module (`wasm32-wasip1`), the latter without `timers`.

mod answer;
mod descriptor;
mod directory;
mod fault;
mod file;
mod link;
mod memory;
mod network;
mod output;
mod randomness;
mod surroundings;
mod tell;
mod time;

use answer::{Answer, Verdict};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    answer::leave(verb(&arguments))
}

fn verb(arguments: &[&str]) -> Verdict {
    match *arguments {
        ["exit", code] => answer::exit(answer::number(code)),
        ["panic"] => fault::panic(),
        ["spin"] => fault::spin(),
        ["recurse"] => fault::recurse(),

        ["nap", seconds] => time::nap(seconds),
        ["say-and-nap", seconds] => time::say_and_nap(seconds),
        ["timers", count] => time::timers(answer::number(count)),
        ["tell"] => tell::tell(),

        ["stdin"] => output::measure_stdin(),
        ["cat"] => output::cat(),
        ["flood"] => output::flood(),
        ["fill"] => output::fill(),

        ["grow"] => memory::grow(),
        ["grow-gently", mib] => memory::grow_gently(answer::number(mib)),

        ["write", path, bytes] => file::write(path, answer::number(bytes)),
        ["append", path, text] => file::append(path, text),
        ["read", path] => file::read(path),
        ["truncate", path, size] => file::truncate(path, answer::number(size)),
        ["touch", path] => file::touch(path),
        ["stat", path] => file::stat(path),
        ["rm", path] => file::remove(path),
        ["open-many", path] => descriptor::open_many(path),

        ["ls", path] => directory::list(path),
        ["mkdir", path] => directory::create(path),
        ["rmdir", path] => directory::remove(path),
        ["mkfiles", path, count] => directory::fill(path, answer::number(count)),

        ["rename", from, to] => link::rename(from, to),
        ["link", from, to] => link::hard(from, to),
        ["symlink", target, path] => link::symbolic(target, path),
        ["readlink", path] => link::read(path),

        ["connect", address] => network::connect(address),
        ["resolve", host] => network::resolve(host),

        ["random", count] => randomness::random(answer::number(count)),
        ["env"] => surroundings::environment(),
        ["args", ..] => surroundings::arguments(),
        _ => Err(Answer::Usage),
    }
}
