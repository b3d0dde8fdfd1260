//! The guest's streams, connected to this process's own.

use std::io;
use std::time::Duration;

use skep_protocol::ComponentKind;
use skep_sandbox::stdio::{GuestInput, GuestOutput, OutputWriter};

use crate::OutputFormat;
use crate::filter::Filter;
use crate::standard::Standard;
use crate::terminal::Lost;

/// The streams of a run.
pub(super) struct Streams {
    pub(super) stdin: GuestInput,
    pub(super) stdout: GuestOutput,
    pub(super) stderr: GuestOutput,
    pub(super) writers: Writers,
}

/// The host's ends of both outputs.
pub(super) struct Writers([(Standard, OutputWriter); 2]);

impl Streams {
    /// Connects the streams of a guest of this kind.
    pub(super) fn connect(kind: ComponentKind, format: OutputFormat) -> io::Result<Self> {
        let to = match format {
            OutputFormat::Text => Standard::Out,
            OutputFormat::Json => Standard::Err,
        };
        let (stdout, out) = output(to)?;
        let (stderr, err) = output(Standard::Err)?;
        let stdin = match kind {
            // A service is fed by --input; its standard input is empty.
            ComponentKind::Service => GuestInput::empty(),
            _ if Standard::In.was_closed() => GuestInput::empty(),
            _ => GuestInput::from_reader(Standard::In, Standard::In.is_terminal())?,
        };
        Ok(Self { stdin, stdout, stderr, writers: Writers([(to, out), (Standard::Err, err)]) })
    }
}

impl Writers {
    /// Waits until all that the guest wrote has been written, for `patience` at most. What was still
    /// on its way then is not lost by a failure, but by the guest's being stopped.
    pub(super) fn drain(&self, patience: Option<Duration>) -> Result<(), Lost> {
        let drained = self.0.each_ref().map(|(stream, writer)| {
            writer.drain(patience).map(drop).map_err(|error| Lost::new(*stream, error))
        });
        drained.into_iter().collect()
    }
}

/// One of our streams as the guest's. On a terminal, a guest's control sequences are filtered.
fn output(stream: Standard) -> io::Result<(GuestOutput, OutputWriter)> {
    match stream.is_terminal() {
        true => GuestOutput::to_writer(Filter::new(stream), true),
        false => GuestOutput::to_writer(stream, false),
    }
}
