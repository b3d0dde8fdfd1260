//! Input that the command line names: a file, a FIFO, a shell's `<(…)`, or `-` for standard input.
//!
//! Reading blocks until bytes arrive. A command that must react to signals reads on another thread.

use std::fs::{File, OpenOptions};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream;
use rustix::fs::OFlags;
use skep_protocol::{ByteStream, Error};
use skep_sandbox::{CompileOutcome, FileState, KnownDigests, LoadError, Loaded, Profile, Sandbox};

use crate::ambient;
use crate::failure::Failed;
use crate::standard::Standard;

/// Maximum number of bytes of one read.
const CHUNK: usize = 256 << 10;

/// A source of bytes, by its name on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedSource(PathBuf);

/// The content of a component's file.
#[derive(Debug, Default)]
pub(crate) struct ReadComponent {
    pub(crate) wasm: Vec<u8>,
    /// The state of the file with this content.
    pub(crate) state: Option<FileState>,
}

impl ReadComponent {
    /// Loads the component. A file that was loaded before in this state is not hashed again.
    pub(crate) fn load(
        &self,
        sandbox: &Sandbox,
        profile: Profile,
    ) -> Result<(Arc<Loaded>, CompileOutcome), LoadError> {
        let records = || KnownDigests::open(ambient::known_digests()?);
        let known = self.state.and_then(|state| Some((records().ok()?, state)));
        let digest = known.as_ref().and_then(|(known, state)| known.get(state));
        let (loaded, outcome) = sandbox.load_known(&self.wasm, digest, profile)?;
        if let (Some((known, state)), None) = (known, digest)
            && let Err(error) = known.put(&state, &loaded.shape.digest)
        {
            tracing::debug!(%error, "cannot record the digest of a file");
        }
        Ok((loaded, outcome))
    }
}

/// The treatment of a FIFO that no process has open for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoWriter {
    /// Wait for a writer, as `cat` does.
    Wait,
    /// Refuse it: a component should exist already, so the name is likely a mistake.
    Refuse,
}

/// Maximum bytes that are reserved for a file by its size.
const HINT_BYTES: u64 = 256 << 20;

impl From<PathBuf> for NamedSource {
    fn from(path: PathBuf) -> Self {
        Self(path)
    }
}

impl NamedSource {
    /// Returns true if this is standard input.
    pub(crate) fn is_standard_input(&self) -> bool {
        self.0 == Path::new("-")
    }

    /// Returns its name for messages.
    pub(crate) fn name(&self) -> String {
        match self.is_standard_input() {
            true => Standard::In.name().to_owned(),
            false => self.0.display().to_string(),
        }
    }

    /// Fails early if the file is missing.
    pub(crate) fn check(&self) -> Result<(), Failed> {
        if self.is_standard_input() {
            return Ok(());
        }
        std::fs::metadata(&self.0).map(drop).map_err(|error| self.unreadable(&error))
    }

    /// Reads to the end, or to one byte past `limit`, so that the caller can detect the excess.
    pub(crate) fn read(&self, no_writer: NoWriter, limit: u64) -> Result<Vec<u8>, Failed> {
        let most = limit.saturating_add(1);
        // A buffer that grows is copied each time. A pipe has no size, and a file may change.
        let size = std::fs::metadata(&self.0).map_or(0, |file| file.len().saturating_add(1));
        let mut bytes = Vec::new();
        // Only a hint: a sparse file may be larger than memory.
        let _ =
            bytes.try_reserve_exact(usize::try_from(size.min(most).min(HINT_BYTES)).unwrap_or(0));
        let read = self.open(no_writer)?.take(most).read_to_end(&mut bytes);
        match read {
            Ok(_) => Ok(bytes),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    /// Reads a component as [`Self::read`] does, with the state that its file had all the time.
    pub(crate) fn read_component(&self, limit: u64) -> Result<ReadComponent, Failed> {
        let state = || FileState::of(&File::open(&self.0).ok()?);
        // Opening a FIFO would wait, or disturb the process that writes to it.
        let is_file = std::fs::metadata(&self.0).is_ok_and(|found| found.is_file());
        let before = is_file.then(state).flatten();
        let wasm = self.read(NoWriter::Refuse, limit)?;
        let state = before.filter(|before| state() == Some(*before));
        Ok(ReadComponent { wasm, state })
    }

    /// Opens it for reading.
    pub(crate) fn open(&self, no_writer: NoWriter) -> Result<Box<dyn Read + Send>, Failed> {
        if self.is_standard_input() {
            return Ok(Box::new(Standard::In));
        }
        let opened = || -> io::Result<Option<Box<dyn Read + Send>>> {
            // A blocking open of a FIFO would wait for a writer.
            let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
            let mut options = OpenOptions::new();
            options.read(true).custom_flags(flags.bits().cast_signed());
            let file = options.open(&self.0)?;
            let kind = file.metadata()?.file_type();
            if kind.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            match (kind.is_fifo(), no_writer) {
                (false, _) => Ok(Some(Box::new(file))),
                (true, NoWriter::Wait) => Ok(Some(Box::new(File::open(&self.0)?))),
                (true, NoWriter::Refuse) => with_writer(file),
            }
        };
        match opened() {
            Ok(Some(opened)) => Ok(opened),
            Ok(None) => Err(Failed::here(format!(
                "{} is a FIFO that no process writes to, not a file",
                self.name()
            ))),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    fn unreadable(&self, error: &io::Error) -> Failed {
        let name = self.name();
        match error.kind() {
            io::ErrorKind::NotFound => Failed::here(format!("there is no file {name}"))
                .hint("check the path, or build the file first"),
            io::ErrorKind::IsADirectory => {
                Failed::here(format!("{name} is a directory, not a file"))
            }
            _ => Failed::here(format!("cannot read {name}: {error}")),
        }
    }
}

/// Makes a FIFO that was opened without blocking readable to its end. Returns `None` if it has no
/// writer.
fn with_writer(mut fifo: File) -> io::Result<Option<Box<dyn Read + Send>>> {
    let mut first = vec![0; CHUNK];
    let length = match fifo.read(&mut first) {
        Ok(0) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        read => read?,
    };
    first.truncate(length);
    let flags = rustix::fs::fcntl_getfl(&fifo)?;
    rustix::fs::fcntl_setfl(&fifo, flags - OFlags::NONBLOCK)?;
    Ok(Some(Box::new(Cursor::new(first).chain(fifo))))
}

/// A source that is being sent as the body of a request.
#[derive(Debug)]
pub(crate) struct SourceUpload {
    source: NamedSource,
    /// The error that ended the body early.
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl SourceUpload {
    /// Opens a source as a stream of its bytes.
    pub(crate) fn open(
        source: NamedSource,
        no_writer: NoWriter,
    ) -> Result<(Self, ByteStream), Failed> {
        let mut from = source.open(no_writer)?;
        let upload = Self { source, failed: Arc::default() };
        let failed = upload.failed.clone();
        let chunks = std::iter::from_fn(move || {
            let mut chunk = vec![0; CHUNK];
            let length = loop {
                match from.read(&mut chunk) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        // Ends the request. `settle` reports the read error instead of the host's
                        // response to half a body.
                        return Some(Err(Error::Internal));
                    }
                    Ok(0) => return None,
                    Ok(length) => break length,
                }
            };
            chunk.truncate(length);
            Some(Ok(Bytes::from(chunk)))
        });
        Ok((upload, Box::pin(stream::iter(chunks))))
    }

    /// Returns the result of the request, or the error that ended its body early.
    pub(crate) fn settle<T>(self, sent: Result<T, Error>) -> Result<T, Failed> {
        match self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(self.source.unreadable(&error)),
            None => Ok(sent?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustix::fs::{FileType, Mode};

    use super::*;

    fn fifo(dir: &tempfile::TempDir) -> NamedSource {
        let path = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        path.into()
    }

    fn error(read: Result<Vec<u8>, Failed>) -> String {
        read.unwrap_err().to_string()
    }

    #[test]
    fn a_fifo_without_a_writer_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let error = error(fifo(&dir).read(NoWriter::Refuse, 9));
        assert!(error.contains("is a FIFO that no process writes to"), "{error}");
    }

    #[test]
    fn a_fifo_is_read_until_its_writer_closes_it() {
        for no_writer in [NoWriter::Refuse, NoWriter::Wait] {
            let dir = tempfile::tempdir().unwrap();
            let source = fifo(&dir);
            // Open for reading and writing, it does not wait for a reader.
            let mut writer = OpenOptions::new().read(true).write(true).open(&source.0).unwrap();
            writer.write_all(b"first").unwrap();
            let mut reader = source.open(no_writer).unwrap();
            let mut read = [0; 5];
            reader.read_exact(&mut read).unwrap();
            let rest = std::thread::spawn(move || {
                let mut rest = Vec::new();
                reader.read_to_end(&mut rest).map(|_| rest)
            });
            writer.write_all(b"rest").unwrap();
            drop(writer);
            assert_eq!((&read, &rest.join().unwrap().unwrap()[..]), (b"first", &b"rest"[..]));
        }
    }

    #[test]
    fn a_missing_file_and_a_directory_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = error(NamedSource(dir.path().join("x")).read(NoWriter::Wait, 9));
        assert!(missing.starts_with("there is no file ") && missing.ends_with("/x"), "{missing}");
        let directory = error(NamedSource(dir.path().into()).read(NoWriter::Wait, 9));
        assert!(directory.ends_with("is a directory, not a file"), "{directory}");
    }

    #[test]
    fn no_more_than_one_byte_past_the_limit_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "0123456789").unwrap();
        assert_eq!(NamedSource(path).read(NoWriter::Wait, 4).unwrap(), b"01234");
    }
}
