//! The messages of the Remote Execution API (build.bazel.remote.execution.v2) that name what a step
//! is. Their canonical bytes make the digests, so a server of that API can take the same names.
//!
//! Only the fields that Skep sets are declared. A field with its default value is not written, and
//! lists are sorted before encoding.

/// `Digest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct DigestMessage {
    /// SHA-256 in hexadecimal.
    #[prost(string, tag = "1")]
    pub(crate) hash: String,
    /// Size of the blob.
    #[prost(int64, tag = "2")]
    pub(crate) size_bytes: i64,
}

/// `FileNode`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct FileNode {
    /// Name in its directory.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// Content.
    #[prost(message, optional, tag = "2")]
    pub(crate) digest: Option<DigestMessage>,
    /// True if the file is executable.
    #[prost(bool, tag = "4")]
    pub(crate) is_executable: bool,
}

/// `DirectoryNode`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct DirectoryNode {
    /// Name in its directory.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// Digest of its `Directory` message.
    #[prost(message, optional, tag = "2")]
    pub(crate) digest: Option<DigestMessage>,
}

/// `SymlinkNode`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct SymlinkNode {
    /// Name in its directory.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// The text of the link.
    #[prost(string, tag = "2")]
    pub(crate) target: String,
}

/// `Directory`, each list sorted by name.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct DirectoryMessage {
    /// Files.
    #[prost(message, repeated, tag = "1")]
    pub(crate) files: Vec<FileNode>,
    /// Directories.
    #[prost(message, repeated, tag = "2")]
    pub(crate) directories: Vec<DirectoryNode>,
    /// Symbolic links.
    #[prost(message, repeated, tag = "3")]
    pub(crate) symlinks: Vec<SymlinkNode>,
}

/// A name with a value: `Command.EnvironmentVariable` and `Platform.Property`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct NamedValue {
    /// Name.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// Value.
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

/// `Platform`, sorted by name and value.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct PlatformMessage {
    /// Properties.
    #[prost(message, repeated, tag = "1")]
    pub(crate) properties: Vec<NamedValue>,
}

/// `Command`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct CommandMessage {
    /// Arguments; the first is the program's own name.
    #[prost(string, repeated, tag = "1")]
    pub(crate) arguments: Vec<String>,
    /// Environment, sorted by name.
    #[prost(message, repeated, tag = "2")]
    pub(crate) environment: Vec<NamedValue>,
    /// Platform.
    #[prost(message, optional, tag = "5")]
    pub(crate) platform: Option<PlatformMessage>,
    /// Declared outputs, sorted.
    #[prost(string, repeated, tag = "7")]
    pub(crate) output_paths: Vec<String>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct DurationMessage {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    /// Nanoseconds of the last second.
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

/// `Action`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ActionMessage {
    /// Digest of the `Command`.
    #[prost(message, optional, tag = "1")]
    pub(crate) command_digest: Option<DigestMessage>,
    /// Digest of the root `Directory`.
    #[prost(message, optional, tag = "2")]
    pub(crate) input_root_digest: Option<DigestMessage>,
    /// Deadline.
    #[prost(message, optional, tag = "6")]
    pub(crate) timeout: Option<DurationMessage>,
    /// True if the result is never cached.
    #[prost(bool, tag = "7")]
    pub(crate) do_not_cache: bool,
    /// Separates those who do not share results.
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) salt: Vec<u8>,
}

/// `OutputFile`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct OutputFileMessage {
    /// Path below the output directory.
    #[prost(string, tag = "1")]
    pub(crate) path: String,
    /// Content.
    #[prost(message, optional, tag = "2")]
    pub(crate) digest: Option<DigestMessage>,
    /// True if the file is executable.
    #[prost(bool, tag = "4")]
    pub(crate) is_executable: bool,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct AnyMessage {
    /// Type.
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    /// Content.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

/// `ExecutedActionMetadata`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ExecutedMessage {
    /// Name of the executor.
    #[prost(string, tag = "1")]
    pub(crate) worker: String,
    /// Properties that REAPI has no field for.
    #[prost(message, repeated, tag = "11")]
    pub(crate) auxiliary_metadata: Vec<AnyMessage>,
}

/// `ActionResult`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ActionResultMessage {
    /// Files.
    #[prost(message, repeated, tag = "2")]
    pub(crate) output_files: Vec<OutputFileMessage>,
    /// Exit code.
    #[prost(int32, tag = "4")]
    pub(crate) exit_code: i32,
    /// Standard output.
    #[prost(message, optional, tag = "6")]
    pub(crate) stdout_digest: Option<DigestMessage>,
    /// Standard error.
    #[prost(message, optional, tag = "8")]
    pub(crate) stderr_digest: Option<DigestMessage>,
    /// How it ran.
    #[prost(message, optional, tag = "9")]
    pub(crate) execution_metadata: Option<ExecutedMessage>,
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::digest::{digest_of, to_message};

    /// The digests that other implementations of the API compute for the same messages.
    #[test]
    fn known_messages_have_their_canonical_bytes() {
        assert_eq!(DirectoryMessage::default().encode_to_vec(), b"");
        let file = FileNode {
            name: "a".into(),
            digest: Some(to_message(&digest_of(b""))),
            is_executable: true,
        };
        let directory = DirectoryMessage { files: vec![file], ..Default::default() };
        let bytes = directory.encode_to_vec();
        // Field 1 of the directory; field 1 of the node; its digest; field 4.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let expected =
            [&[10, 73, 10, 1, b'a', 18, 66, 10, 64][..], empty.as_bytes(), &[32, 1]].concat();
        assert_eq!(bytes, expected);
    }
}
