//! `concurrent VERB [ARGUMENTS]`: exercises one host function of WASI 0.3 and prints the result for a test.
//!
//! Each module has the verbs on one noun. A verb that can fail prints its result, or `error: <code>` and
//! exits with 1; a usage error exits with 2.

mod background;
mod file;
mod network;
mod stdio;
mod surroundings;
mod time;

use wasip3::cli::{environment, exit};

struct Concurrent;

wasip3::cli::command::export!(Concurrent);

/// The result of a verb: what it prints.
type Verdict = Result<String, String>;

impl wasip3::exports::cli::run::Guest for Concurrent {
    async fn run() -> Result<(), ()> {
        let arguments = environment::get_arguments();
        let arguments: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
        match verb(&arguments).await {
            Some(Ok(text)) => stdio::print(text).await.map_err(drop),
            Some(Err(code)) => {
                let _ = stdio::print(format!("error: {code}\n")).await;
                Err(())
            }
            None => {
                exit::exit_with_code(2);
                Err(())
            }
        }
    }
}

async fn verb(arguments: &[&str]) -> Option<Verdict> {
    Some(match *arguments {
        ["hello"] => Ok("hello from WASI 0.3\n".into()),
        ["exit", code] => {
            exit::exit_with_code(code.parse().ok()?);
            Ok(String::new())
        }
        ["fail"] => Err("as asked".into()),
        ["tell"] => surroundings::tell(),
        ["random", count] => surroundings::random(count.parse().ok()?),

        ["cat"] => stdio::cat().await,
        ["flood"] => stdio::flood().await,
        ["leave-output", count] => stdio::leave(count.parse().ok()?).await,

        ["nap", millis] => time::nap(millis.parse().ok()?).await,
        ["naps", count, millis] => time::naps(count.parse().ok()?, millis.parse().ok()?).await,
        ["sleep"] => time::sleep().await,
        ["spin"] => time::spin(),
        ["wait-for-nothing"] => time::wait_for_nothing().await,

        ["leave-a-task"] => background::leave_a_task(),
        ["spin-behind"] => background::spin_behind(),

        ["write", path, text] => file::write(path, text).await,
        ["append", path, text] => file::append(path, text).await,
        ["read", path] => file::read(path).await,
        ["ls", path] => file::list(path).await,
        ["stat", path] => file::stat(path).await,
        ["link", target, path] => file::symlink(target, path).await,
        ["fill", path] => file::fill(path).await,
        ["open-many", path] => file::open_many(path).await,
        ["long-paths", count] => file::long_paths(count.parse().ok()?).await,

        ["tcp"] => network::tcp(),
        ["udp"] => network::udp(),
        ["resolve", host] => network::resolve(host).await,
        _ => return None,
    })
}
