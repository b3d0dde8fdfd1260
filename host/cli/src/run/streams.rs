//! The guest's streams, connected to those of this process.

use std::io;
use std::time::Duration;

use skep_protocol::ComponentKind;
use skep_sandbox::stdio::{GuestInput, GuestOutput, OutputWriter};

use crate::filter::Filter;
use crate::output::OutputFormat;
use crate::standard::Standard;
use crate::terminal::LostOutput;

/// The streams of a run.
pub(super) struct Streams {
    pub(super) stdin: GuestInput,
    pub(super) stdout: GuestOutput,
    pub(super) stderr: GuestOutput,
    pub(super) writers: Writers,
}

/// The host's ends of standard output and standard error.
pub(super) struct Writers([(Standard, OutputWriter); 2]);

impl Streams {
    /// Connects the streams of a guest of this kind. With JSON output, the guest's standard output
    /// goes to standard error, because the report takes standard output.
    pub(super) fn connect(kind: ComponentKind, format: OutputFormat) -> io::Result<Self> {
        let to = match format {
            OutputFormat::Text => Standard::Out,
            OutputFormat::Json => Standard::Err,
        };
        let (stdout, out) = output(to)?;
        let (stderr, err) = output(Standard::Err)?;
        let stdin = match kind {
            // A service gets its input from --input; its standard input is empty.
            ComponentKind::Service => GuestInput::empty(),
            _ if Standard::In.was_closed() => GuestInput::empty(),
            _ => GuestInput::from_reader(Standard::In, Standard::In.is_terminal())?,
        };
        Ok(Self { stdin, stdout, stderr, writers: Writers([(to, out), (Standard::Err, err)]) })
    }
}

impl Writers {
    /// Waits until the guest's output is written, for `patience` at most. GuestOutput that is still
    /// queued then does not count as lost: the guest was stopped.
    pub(super) fn drain(&self, patience: Option<Duration>) -> Result<(), LostOutput> {
        let drained = self.0.each_ref().map(|(stream, writer)| {
            writer.drain(patience).map(drop).map_err(|error| LostOutput::new(*stream, error))
        });
        drained.into_iter().collect()
    }
}

/// Connects one stream. On a terminal, the guest's control sequences are filtered.
fn output(stream: Standard) -> io::Result<(GuestOutput, OutputWriter)> {
    match stream.is_terminal() {
        true => GuestOutput::to_writer(Filter::new(stream), true),
        false => GuestOutput::to_writer(stream, false),
    }
}
