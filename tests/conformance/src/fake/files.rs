//! A worker's directory in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use skep_protocol::*;
use tar::{Archive, Builder, EntryType, Header};

use super::now;

/// The number of files on a page.
const PAGE: usize = 1_000;

/// The files and directories by full name.
#[derive(Clone, Default)]
pub(super) struct Files {
    files: BTreeMap<String, (Vec<u8>, Timestamp)>,
    directories: BTreeSet<String>,
}

impl Files {
    pub(super) fn bytes(&self) -> u64 {
        self.files.values().map(|(content, _)| content.len() as u64).sum()
    }

    pub(super) fn entries(&self) -> u64 {
        (self.files.len() + self.directories.len()) as u64
    }

    pub(super) fn list(&self, query: &ListFiles) -> Result<FileListing, Error> {
        let prefix = query.prefix.as_deref().unwrap_or_default();
        let after = query.cursor.as_deref().map(read_cursor).transpose()?;
        let directories = self.directories.iter().map(|name| format!("{name}/"));
        let directories: BTreeSet<_> = directories.filter(|_| query.by_directory).collect();
        let wanted = |name: &&String| {
            let Some(below) = name.strip_prefix(prefix) else { return false };
            let is_prefix_itself = below.is_empty() && name.ends_with('/');
            let is_deeper = below.trim_end_matches('/').contains('/');
            let is_here = !query.by_directory || !is_prefix_itself && !is_deeper;
            is_here && after.as_ref().is_none_or(|after| *name > after)
        };
        let all: BTreeSet<_> = self.files.keys().chain(&directories).collect();
        let mut names: Vec<_> = all.into_iter().filter(wanted).take(PAGE + 1).collect();
        let more = names.len() > PAGE;
        names.truncate(PAGE);
        let last = names.last().filter(|_| more);
        let next_cursor = last.map(|name| URL_SAFE_NO_PAD.encode(name));
        let (mut items, mut found) = (Vec::new(), Vec::new());
        for name in names {
            match name.strip_suffix('/') {
                Some(directory) => found.push(directory.parse()?),
                None => items.push(self.view(name)?),
            }
        }
        let directories = query.by_directory.then_some(found);
        Ok(FileListing { items, directories, next_cursor, diagnostics: Vec::new() })
    }

    /// Checks a condition on a file.
    pub(super) fn check(&self, name: &str, condition: FileCondition) -> Result<(), Error> {
        let now = self.view(name).ok();
        if condition.holds(now.as_ref()) { Ok(()) } else { Err(Error::PreconditionFailed) }
    }

    /// Removes a file, or a directory with everything below it.
    pub(super) fn remove_all(&mut self, name: &str) -> Result<(), Error> {
        if !self.directories.remove(name) {
            return self.remove(name);
        }
        let below = format!("{name}/");
        self.directories.retain(|name| !name.starts_with(&below));
        self.files.retain(|name, _| !name.starts_with(&below));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), Error> {
        let is_directory = self.directories.contains(from);
        if !is_directory && !self.files.contains_key(from) {
            return Err(Error::UnknownFile);
        }
        let below = format!("{from}/");
        if to.starts_with(&below) {
            return Err(Invalid::NotAFile.into());
        }
        let mut way = self.way(to)?;
        if self.files.contains_key(to) || self.directories.contains(to) {
            return Err(Conflict::FileExists.into());
        }
        self.directories.append(&mut way);
        let moved = |name: &str| match name.strip_prefix(&below) {
            Some(rest) => format!("{to}/{rest}"),
            None if name == from => to.to_owned(),
            None => name.to_owned(),
        };
        let files = std::mem::take(&mut self.files).into_iter();
        self.files = files.map(|(name, file)| (moved(&name), file)).collect();
        let directories = std::mem::take(&mut self.directories).into_iter();
        self.directories = directories.map(|name| moved(&name)).collect();
        Ok(())
    }

    fn view(&self, name: &str) -> Result<FileView, Error> {
        let (content, at) = self.files.get(name).ok_or(Error::UnknownFile)?;
        Ok(FileView { name: name.parse()?, bytes: content.len() as u64, modified_at: *at })
    }

    pub(super) fn read(&self, name: &str) -> Result<(FileView, Vec<u8>), Error> {
        if self.directories.contains(name) {
            return Err(Invalid::NotAFile.into());
        }
        let view = self.view(name)?;
        Ok((view, self.files[name].0.clone()))
    }

    /// Writes a file. Returns true if it is new.
    pub(super) fn write(
        &mut self,
        name: &str,
        content: Vec<u8>,
        limits: &Limits,
    ) -> Result<bool, Error> {
        if self.directories.contains(name) {
            return Err(Invalid::NotAFile.into());
        }
        let known = self.files.get(name).map(|(content, _)| content.len() as u64);
        let bytes = self.bytes() - known.unwrap_or(0) + content.len() as u64;
        within(LimitName::disk_bytes, bytes, limits)?;
        let mut directories = self.way(name)?;
        let entries = directories.len() as u64 + u64::from(known.is_none());
        within(LimitName::disk_entries, self.entries() + entries, limits)?;
        self.directories.append(&mut directories);
        self.files.insert(name.into(), (content, now()));
        Ok(known.is_none())
    }

    pub(super) fn append(&mut self, name: &str, text: &str) {
        let file = self.files.entry(name.into()).or_default();
        file.0.extend(text.as_bytes());
        file.1 = now();
    }

    pub(super) fn remove(&mut self, name: &str) -> Result<(), Error> {
        self.read(name)?;
        self.files.remove(name);
        Ok(())
    }

    fn make(&mut self, name: &str, limits: &Limits) -> Result<(), Error> {
        let mut directories = self.way(&format!("{name}/"))?;
        within(LimitName::disk_entries, self.entries() + directories.len() as u64, limits)?;
        self.directories.append(&mut directories);
        Ok(())
    }

    /// Returns the missing parent directories of a name.
    fn way(&self, name: &str) -> Result<BTreeSet<String>, Error> {
        let mut missing = BTreeSet::new();
        for (at, _) in name.match_indices('/') {
            let directory = &name[..at];
            if self.files.contains_key(directory) {
                return Err(Invalid::NotAFile.into());
            }
            if !self.directories.contains(directory) {
                missing.insert(directory.to_owned());
            }
        }
        Ok(missing)
    }

    pub(super) fn pack(&self) -> Vec<u8> {
        let mut tar = Builder::new(Vec::new());
        let header = |kind, size| {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o644);
            header.set_size(size);
            header
        };
        for name in &self.directories {
            let mut header = header(EntryType::Directory, 0);
            tar.append_data(&mut header, name, std::io::empty()).expect("writes to memory succeed");
        }
        for (name, (content, _)) in &self.files {
            let mut header = header(EntryType::Regular, content.len() as u64);
            tar.append_data(&mut header, name, &content[..]).expect("writes to memory succeed");
        }
        tar.into_inner().expect("writes to memory succeed")
    }

    pub(super) fn unpack(&mut self, tar: &[u8], limits: &Limits) -> Result<Imported, Error> {
        let mut done = Imported::default();
        let mut seen = BTreeSet::new();
        let mut archive = Archive::new(tar);
        for entry in archive.entries().map_err(|_| Invalid::Archive)? {
            let mut entry = entry.map_err(|_| Invalid::Archive)?;
            let path = entry.path_bytes().into_owned();
            let kind = entry.header().entry_type();
            let name = match (kind, String::from_utf8(path)) {
                (EntryType::Regular, Ok(name)) => name,
                (EntryType::Directory, Ok(name)) => name.trim_end_matches('/').to_owned(),
                (EntryType::XGlobalHeader, _) => continue,
                _ => return Err(Invalid::Archive.into()),
            };
            if kind == EntryType::Directory && name == "." {
                continue;
            }
            let name = name.strip_prefix("./").unwrap_or(&name);
            let name = name.parse::<FileName>().map_err(|_| Invalid::Archive)?;
            if !seen.insert(name.clone()) {
                return Err(Invalid::Archive.into());
            }
            let written = if kind == EntryType::Directory {
                self.make(name.as_str(), limits)
            } else {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).map_err(|_| Invalid::Archive)?;
                if content.len() as u64 != entry.size() {
                    return Err(Invalid::Archive.into());
                }
                let bytes = content.len() as u64;
                self.write(name.as_str(), content, limits).map(|_| {
                    done.files += 1;
                    done.bytes += bytes;
                })
            };
            written.map_err(|error| match error {
                Error::InvalidRequest(_) => Invalid::Archive.into(),
                error => error,
            })?;
        }
        if tar.ends_with(&[0; 1_024]) { Ok(done) } else { Err(Invalid::Archive.into()) }
    }
}

fn within(name: LimitName, value: u64, limits: &Limits) -> Result<(), Error> {
    let limit = limits.get(name);
    if value > limit { Err(Error::LimitExceeded { name, limit }) } else { Ok(()) }
}

fn read_cursor(text: &str) -> Result<String, Invalid> {
    let name = URL_SAFE_NO_PAD.decode(text).ok().and_then(|name| String::from_utf8(name).ok());
    let is_name =
        |name: &String| name.strip_suffix('/').unwrap_or(name).parse::<FileName>().is_ok();
    name.filter(is_name).ok_or(Invalid::Cursor)
}
