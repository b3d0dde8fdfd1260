//! `cargo run --release -p skep-bench`: measures the cost of Skep against the same work without it.
//!
//! Every figure is a ratio of two ways to do the same thing, measured alternately within one run:
//! absolute times drift with the machine and its other load, ratios much less. Run it on an
//! otherwise idle machine.

mod apart;
mod attacks;
mod bulk;
mod cold;
mod counted;
mod crowd;
mod durable;
mod fanout;
mod fleet;
mod floor;
mod growth;
mod host;
mod load;
mod mixed;
mod noise;
mod pairs;
mod pipelines;
mod plain;
mod report;
mod served;
mod single;
mod table;
mod tools;
mod turns;
mod warm;
mod web;
mod whole;
mod workerd;
mod wrk;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};

use table::Row;

/// The reason why a figure could not be measured.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures the cost of Skep against the same work without it.
#[derive(Parser)]
#[command(name = "skep-bench")]
struct Arguments {
    /// Figures to measure [default: all]
    #[arg(value_enum)]
    figures: Vec<Figure>,

    /// Format of the figures
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,

    /// Exit with 1 if a figure is past its target
    #[arg(long)]
    check: bool,

    /// Task of a child process, for `crowd`
    #[arg(long, hide = true, num_args = 2, value_names = ["TASK", "FOLDER"])]
    crowd_child: Vec<String>,

    /// Work that `cargo xtask counts` counts: a case, how often, and a folder
    #[arg(long, hide = true, num_args = 3, value_names = ["CASE", "TIMES", "FOLDER"])]
    counted: Vec<String>,

    /// Child process of `mixed`
    #[arg(long, hide = true)]
    mixed_child: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// `skep run hello` as a whole process, against `wasmtime run`.
    Whole,
    /// An instance of `hello`, run and dropped, against embedded wasmtime.
    Cold,
    /// An out-of-process run of a command, against one in the host's process.
    Apart,
    /// A call of a live service, against embedded wasmtime.
    Warm,
    /// Durable turns of 200 workers at once, against the same rows in bare SQLite.
    Turns,
    /// One worker's durable turn, against a bare commit of one row.
    Single,
    /// Appending and opening at a million entries, against a thousand.
    Growth,
    /// 100,000 idle workers, and 5,000 with an instance.
    Crowd,
    /// The latency of a worker's reader while another worker floods, against a quiet runtime.
    Noise,
    /// A worker's turns among hostile ones of forty kinds, against a quiet runtime.
    Mixed,
    /// Durable turns over HTTP, against workerd's Durable Objects.
    Load,
    /// HTTP requests to `skep serve`, against `wasmtime serve` and workerd.
    Http,
    /// A runtime that is reached through a NATS server, against one over HTTP.
    Fleet,
    /// Five hundred readers of one worker that emits a thousand events a second.
    Fanout,
    /// The host's resources taken by attacks, against the stock engine.
    Attacks,
    /// Steps of `skep ci`, against one `skep run` for each, and tests of a crate, against `wasmtime`.
    Ci,
}

impl Figure {
    /// Returns the word for this figure on the command line.
    fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// A table.
    Text,
    /// One JSON object.
    Json,
    /// Tables in Markdown, a section for each figure.
    Markdown,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.figures.is_empty() {
        arguments.figures = Figure::value_variants().to_vec();
    }
    if let [task, folder] = &arguments.crowd_child[..] {
        return match crowd::child(task, folder.as_ref()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&*error),
        };
    }
    if let [case, times, folder] = &arguments.counted[..] {
        return match counted(case, times, folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&*error),
        };
    }
    if arguments.mixed_child {
        mixed::child();
        return ExitCode::SUCCESS;
    }
    let count = arguments.figures.len();
    let mut measured = Vec::new();
    let mut failures = false;
    for (at, figure) in arguments.figures.iter().enumerate() {
        let began = Instant::now();
        eprintln!("measuring {} ({} of {count}) ...", figure.name(), at + 1);
        // A whole run takes long, so a figure that fails does not cost the others.
        let mut rows = Vec::new();
        match measure(figure, &mut rows) {
            Ok(()) => {
                eprintln!("measured {} in {:.0} s", figure.name(), began.elapsed().as_secs_f64());
            }
            Err(error) => {
                eprintln!("error: {}: {error}", figure.name());
                failures = true;
            }
        }
        measured.push((*figure, rows));
    }
    let shown = match arguments.output {
        OutputFormat::Markdown => report::markdown(&measured),
        format => {
            let rows: Vec<&Row> = measured.iter().flat_map(|(_, rows)| rows).collect();
            match format {
                OutputFormat::Json => format!("{:#}\n", table::json(&rows)),
                _ => table::text(&rows),
            }
        }
    };
    // A closed pipe means that the reader has seen enough.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), shown.as_bytes());
    let mut rows = measured.iter().flat_map(|(_, rows)| rows);
    let missed = rows.any(|row| !row.is_met());
    ExitCode::from(u8::from(failures || (arguments.check && missed)))
}

fn counted(case: &str, times: &str, folder: &str) -> Result<(), Failure> {
    let case = counted::CountedCase::from_str(case, false)?;
    counted::repeat(case, times.parse()?, folder.as_ref())
}

fn failed(error: &(dyn std::error::Error + Send + Sync)) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

fn measure(figure: &Figure, rows: &mut Vec<Row>) -> Result<(), Failure> {
    rows.extend(match figure {
        Figure::Whole => whole::measure()?,
        Figure::Cold => cold::measure()?,
        Figure::Apart => apart::measure()?,
        Figure::Warm => warm::measure()?,
        Figure::Turns => turns::measure()?,
        Figure::Single => single::measure()?,
        Figure::Growth => growth::measure()?,
        Figure::Crowd => crowd::measure()?,
        Figure::Noise => noise::measure()?,
        Figure::Mixed => mixed::measure()?,
        Figure::Load => load::measure()?,
        Figure::Http => return web::measure(rows),
        Figure::Fleet => fleet::measure()?,
        Figure::Fanout => fanout::measure()?,
        Figure::Attacks => attacks::measure()?,
        Figure::Ci => return pipelines::measure(rows),
    });
    Ok(())
}
