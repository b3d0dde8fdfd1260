//! A walk through a guest's tree in the order of whole names.
//!
//! A directory sorts with a `/` appended to its name, so that descending into it in place yields
//! all names in the order of their bytes. A directory is read a thousand names at a time.
//!
//! A name has up to 2,048 directories. The walk keeps the last 64 of them open, and every 64th of
//! the others. The rest are opened again on the way back, from the nearest open directory above.

use std::collections::{BTreeMap, VecDeque};

use skep_protocol::FileName;

use super::error::{FileError, gone};
use super::path::{descend, split};
use crate::{NodeKind, OpenDirectory, Order, ScopeError};

/// Maximum number of names held per directory.
const BATCH: usize = 1_000;

/// Number of directories kept open at the end of the path, and the interval before that.
const HELD: usize = 64;

/// The type of an entry when its directory was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WalkKind {
    File,
    Directory,
}

/// A file or directory.
pub(super) struct WalkEntry {
    /// Its whole name.
    pub(super) name: FileName,
    pub(super) kind: WalkKind,
    /// True for a directory that stands for everything below it.
    pub(super) is_whole: bool,
    /// The directory that contains it.
    pub(super) directory: OpenDirectory,
}

impl WalkEntry {
    /// Returns the last component of the name.
    pub(super) fn leaf(&self) -> &str {
        split(self.name.as_str()).1
    }
}

/// The position of a walk. See the module's documentation.
pub(super) struct Walk {
    root: OpenDirectory,
    /// The prefix of all names that are returned.
    prefix: String,
    /// The name that all returned names come after.
    after: String,
    /// True if directories below the prefix are returned and not entered.
    one_level: bool,
    levels: Vec<WalkLevel>,
    /// Number of names that are not valid [`FileName`]s.
    hidden: u64,
}

struct WalkLevel {
    /// The name of the directory with a `/`; empty for the root.
    base: String,
    directory: Option<OpenDirectory>,
    /// The next names in order; directories have a trailing `/`.
    pending: VecDeque<String>,
    /// The last name that was taken.
    last: String,
    /// True if there are names after `pending`.
    more: bool,
}

impl Walk {
    pub(super) fn new(root: OpenDirectory, prefix: &str, after: &str) -> Self {
        let levels = vec![WalkLevel::new(String::new(), root.clone())];
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        Self { root, prefix, after, one_level: false, levels, hidden: 0 }
    }

    /// Walks through one level: returns the directories whose names begin with the prefix, and does
    /// not enter them.
    pub(super) fn one_level(self) -> Self {
        Self { one_level: true, ..self }
    }

    /// Returns the number of files and directories skipped because of their names.
    pub(super) fn hidden(&self) -> u64 {
        self.hidden
    }

    pub(super) fn next(&mut self) -> Result<Option<WalkEntry>, FileError> {
        loop {
            let Some(level) = self.levels.last() else { return Ok(None) };
            let next = if level.pending.is_empty() && level.more { self.fill() } else { Ok(()) };
            let found = next.and_then(|()| self.found());
            match found {
                Ok(Some(found)) => {
                    let full = format!("{}/", found.name);
                    let is_directory = found.kind == WalkKind::Directory;
                    let is_whole = is_directory && self.one_level && full.starts_with(&self.prefix);
                    // A page that continues in the middle of a level comes after its directories.
                    let is_past = is_whole && full <= self.after;
                    // The prefix may name the directory itself: then its level is the wanted one.
                    let is_whole = is_whole && full != self.prefix;
                    if is_past && full != self.prefix {
                        continue;
                    }
                    if !is_directory || is_whole || self.enter(&found)? {
                        return Ok(Some(WalkEntry { is_whole, ..found }));
                    }
                }
                Ok(None) => drop(self.levels.pop()),
                // The directory was removed in the meantime.
                Err(error) => {
                    gone(error)?;
                    self.levels.pop();
                }
            }
        }
    }

    /// Returns the next entry of the current directory.
    fn found(&mut self) -> Result<Option<WalkEntry>, FileError> {
        let Some(level) = self.levels.last_mut() else { return Ok(None) };
        let Some(key) = level.pending.pop_front() else { return Ok(None) };
        let (leaf, kind) = match key.strip_suffix('/') {
            Some(leaf) => (leaf, WalkKind::Directory),
            None => (key.as_str(), WalkKind::File),
        };
        let name = format!("{}{leaf}", level.base).parse().map_err(|_| FileError::Unknown)?;
        level.last = key;
        Ok(Some(WalkEntry { name, kind, is_whole: false, directory: self.directory()? }))
    }

    /// Descends into a directory. Returns false if it is none any more.
    fn enter(&mut self, found: &WalkEntry) -> Result<bool, FileError> {
        let directory = match descend(&found.directory, found.leaf()) {
            Ok(directory) => directory,
            Err(error) => return gone(error).map(|()| false),
        };
        if let Some(above) = self.levels.len().checked_sub(HELD)
            && !above.is_multiple_of(HELD)
        {
            self.levels[above].directory = None;
        }
        self.levels.push(WalkLevel::new(format!("{}/", found.name), directory));
        Ok(true)
    }

    /// Returns the current directory, opening it again if necessary.
    fn directory(&mut self) -> Result<OpenDirectory, FileError> {
        let held = self.levels.iter().rposition(|level| level.directory.is_some());
        let mut directory = self.root.clone();
        for level in &mut self.levels[held.unwrap_or(0)..] {
            directory = match &level.directory {
                Some(directory) => directory.clone(),
                None => descend(&directory, level.leaf())?,
            };
            level.directory = Some(directory.clone());
        }
        Ok(directory)
    }

    /// Reads the next names of the current directory.
    fn fill(&mut self) -> Result<(), FileError> {
        let directory = self.directory()?;
        if let Some(level) = self.levels.last_mut() {
            self.hidden += level.fill(&directory, &self.prefix, &self.after)?;
        }
        Ok(())
    }
}

impl WalkLevel {
    fn new(base: String, directory: OpenDirectory) -> Self {
        let (pending, last) = (VecDeque::new(), String::new());
        Self { base, directory: Some(directory), pending, last, more: true }
    }

    /// Returns the last component of the name.
    fn leaf(&self) -> &str {
        split(self.base.trim_end_matches('/')).1
    }

    /// Reads the next names. Returns the number of invalid names if this call has to count them.
    fn fill(
        &mut self,
        directory: &OpenDirectory,
        prefix: &str,
        after: &str,
    ) -> Result<u64, FileError> {
        let counts = self.counts(prefix, after);
        let mut hidden = 0;
        self.more = false;
        let mut listing = directory.list(Order::Stored)?;
        let mut next = BTreeMap::new();
        loop {
            let batch = match listing.next_batch() {
                Err(ScopeError::NotUnicode(names)) => {
                    hidden += names;
                    break;
                }
                batch => batch?,
            };
            if batch.is_empty() {
                break;
            }
            for entry in batch {
                let key = match entry.kind {
                    NodeKind::File => entry.name,
                    NodeKind::Directory => entry.name + "/",
                    _ => continue,
                };
                let is_wanted = key > self.last && self.wanted(&key, prefix, after);
                if (counts || is_wanted) && !self.is_name(&key) {
                    hidden += 1;
                } else if is_wanted {
                    next.insert(key, ());
                }
                if next.len() > BATCH {
                    next.pop_last();
                    self.more = true;
                }
            }
        }
        self.pending = next.into_keys().collect();
        Ok(if counts { hidden } else { 0 })
    }

    /// Returns true if a name was asked for, or is a directory on the way to one.
    fn wanted(&self, key: &str, prefix: &str, after: &str) -> bool {
        let full = format!("{}{key}", self.base);
        let leads_to = |name: &str| full.ends_with('/') && name.starts_with(&full);
        (full.starts_with(prefix) || leads_to(prefix)) && (full.as_str() > after || leads_to(after))
    }

    /// Returns true if invalid names in this directory are counted. Each directory is counted once,
    /// by the page that starts it, and not if it is only on the way to the prefix.
    fn counts(&self, prefix: &str, after: &str) -> bool {
        let begins = self.last.is_empty() && (after.is_empty() || !after.starts_with(&self.base));
        let on_the_way = prefix.strip_prefix(&self.base).is_some_and(|rest| rest.contains('/'));
        begins && !on_the_way
    }

    /// Returns true if the whole name is a valid [`FileName`].
    fn is_name(&self, key: &str) -> bool {
        format!("{}{key}", self.base).trim_end_matches('/').parse::<FileName>().is_ok()
    }
}
