//! What a server of a fleet says of itself to the operator.

/// What a server says of itself to the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerState {
    /// Its name.
    pub name: String,
    /// Its version, such as `2.15.1`.
    pub version: String,
    /// Milliseconds that its clock is ahead of this machine's, give or take the time of the question.
    pub clock_ahead_ms: i64,
    /// The reason why it is not well, in its own words.
    pub unwell: Option<String>,
    /// What it stores for the fleet; none if it stores nothing.
    pub storage: Option<ServerStorage>,
}

/// The storage of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStorage {
    /// True if it writes to disk before it acknowledges.
    pub syncs_always: bool,
    /// Bytes that it uses, and may use.
    pub used: u64,
    /// The bytes that it may use.
    pub most: u64,
    /// The servers that decide together, and their leader. A single server has neither.
    pub group: Option<ServerGroup>,
    /// What the fleet stores. Only the server that leads a stream knows how many copies are current.
    pub streams: Vec<StoredStream>,
}

/// The servers that decide together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerGroup {
    /// Their leader; none while they elect one.
    pub leader: Option<String>,
    /// Their number.
    pub size: usize,
}

/// Something that the fleet stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredStream {
    /// Its name.
    pub name: String,
    /// The servers that are to have a copy.
    pub replicas: usize,
    /// The servers whose copy is complete, with the leader's own; none if this server does not lead it.
    pub current: Option<usize>,
}
