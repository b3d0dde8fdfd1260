//! The guest's streams, connected to those of this process or to a file.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use skep_protocol::ComponentKind;
use skep_sandbox::stdio::{GuestInput, GuestOutput, OutputBudget, OutputWriter};

use super::args::RunArgs;
use crate::filter::Filter;
use crate::output::OutputFormat;
use crate::report::StreamReport;
use crate::source::{NamedSource, NoWriter};
use crate::standard::Standard;
use crate::terminal::LostOutput;

/// The streams of a run.
pub(super) struct Streams {
    pub(super) stdin: InputSource,
    pub(super) stdout: GuestOutput,
    pub(super) stderr: GuestOutput,
    pub(super) writers: Writers,
}

/// The source of the guest's standard input.
pub(super) struct InputSource {
    /// Nothing, if the input is empty.
    reader: Option<Box<dyn Read + Send>>,
    is_terminal: bool,
    read: Arc<AtomicU64>,
}

/// The host's ends of standard output and standard error.
pub(super) struct Writers([(Standard, OutputWriter); 2]);

impl Streams {
    /// Connects the streams of a guest of this kind. With JSON output, the guest's standard output
    /// goes to standard error, because the report takes standard output. `log_bytes` bounds both
    /// outputs together.
    ///
    /// # Errors
    /// A message.
    pub(super) fn connect(
        kind: ComponentKind,
        arguments: &RunArgs,
        log_bytes: u64,
    ) -> Result<Self, String> {
        let to = match arguments.output {
            OutputFormat::Text => Standard::Out,
            OutputFormat::Json => Standard::Err,
        };
        // The digests are part of a report.
        let is_hashed = arguments.output == OutputFormat::Json || arguments.report.is_some();
        let budget = OutputBudget::new(log_bytes);
        let connect = |stream| -> io::Result<_> {
            let (output, writer) = output(stream)?;
            let output = output.within(&budget);
            Ok((if is_hashed { output.hashed() } else { output }, writer))
        };
        let unusable = |error| format!("cannot use the standard streams: {error}");
        let (stdout, out) = connect(to).map_err(unusable)?;
        let (stderr, err) = connect(Standard::Err).map_err(unusable)?;
        let stdin = InputSource::of(kind, arguments.stdin.clone())?;
        Ok(Self { stdin, stdout, stderr, writers: Writers([(to, out), (Standard::Err, err)]) })
    }
}

impl InputSource {
    fn of(kind: ComponentKind, named: Option<PathBuf>) -> Result<Self, String> {
        let named = named.map(NamedSource::from).filter(|source| !source.is_standard_input());
        let (reader, is_terminal): (Option<Box<dyn Read + Send>>, _) = match named {
            // A service gets its input from --input; its standard input is empty.
            _ if kind == ComponentKind::Service => (None, false),
            Some(source) => {
                let file = source.open(NoWriter::Wait).map_err(|failed| failed.to_string())?;
                (Some(file), false)
            }
            None if Standard::In.was_closed() => (None, false),
            None => (Some(Box::new(Standard::In)), Standard::In.is_terminal()),
        };
        Ok(Self { reader, is_terminal, read: Arc::default() })
    }

    /// Connects the source to a guest in this process, which reads it on demand.
    pub(super) fn into_input(self) -> io::Result<GuestInput> {
        match self.reader {
            None => Ok(GuestInput::empty()),
            Some(reader) => {
                GuestInput::from_reader(Counted { reader, read: self.read }, self.is_terminal)
            }
        }
    }

    /// Returns a reader for a guest in another process, which reads ahead.
    pub(super) fn into_reader(self) -> Option<Box<dyn Read + Send>> {
        let counted = |reader| Box::new(Counted { reader, read: self.read }) as _;
        self.reader.map(counted)
    }

    /// Returns a counter of the bytes that were read.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        self.read.clone()
    }
}

struct Counted {
    reader: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
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

/// Reports one stream.
pub(super) fn report(output: &GuestOutput) -> StreamReport {
    StreamReport { bytes: output.total(), kept: output.kept(), digest: output.digest() }
}

/// Connects one stream. On a terminal, the guest's control sequences are filtered.
fn output(stream: Standard) -> io::Result<(GuestOutput, OutputWriter)> {
    match stream.is_terminal() {
        true => GuestOutput::to_writer(Filter::new(stream), true),
        false => GuestOutput::to_writer(stream, false),
    }
}
