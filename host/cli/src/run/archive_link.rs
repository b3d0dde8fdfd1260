//! The links of an archive that `--archive` unpacks: those that stay inside are made, and any other
//! refuses the archive.
//!
//! They are made when all files are in place, so nothing is written through them. A guest cannot
//! follow a link out of its directory, whatever the link says: that a link which leads out is
//! refused tells the operator at once, and not the guest in the middle of its work.

use std::collections::BTreeSet;
use std::io;

use cap_std::fs::Dir;
use skep_scope::files::ArchiveLink;

/// The reason that a link is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadLink {
    #[error("its link {name} to {target} leads out of the archive")]
    Outside { name: String, target: String },
    #[error("its hard link {name} is to {target}, which is no file of the archive")]
    NoFile { name: String, target: String },
    #[error("its link {name} has the name of a directory, or lies below a link")]
    Below { name: String },
    #[error("its link {name} cannot be made: {error}")]
    Io { name: String, error: io::Error },
}

/// Makes all links of an archive in the directory with its files.
pub(super) fn make(links: &[ArchiveLink], to: &Dir) -> Result<(), BadLink> {
    let names: BTreeSet<_> = links.iter().map(|link| link.name.as_str()).collect();
    for link in links {
        let name = link.name.as_str();
        let mut parts = name.match_indices('/');
        if parts.any(|(at, _)| names.contains(&name[..at])) {
            return Err(BadLink::Below { name: name.to_owned() });
        }
        let from = if link.is_hard { "" } else { name };
        if !stays_inside(from, &link.target) {
            let target = link.target.clone();
            return Err(BadLink::Outside { name: name.to_owned(), target });
        }
    }
    // A hard link is to a file, which no symbolic link stands in for.
    for link in links.iter().filter(|link| link.is_hard) {
        let target = link.target.trim_start_matches("./");
        let is_file = to.symlink_metadata(target).is_ok_and(|meta| meta.is_file());
        if !is_file {
            let name = link.name.as_str().to_owned();
            return Err(BadLink::NoFile { name, target: link.target.clone() });
        }
        place(link, to, |name| to.hard_link(target, to, name))?;
    }
    for link in links.iter().filter(|link| !link.is_hard) {
        place(link, to, |name| to.symlink_contents(&link.target, name))?;
    }
    Ok(())
}

fn place(
    link: &ArchiveLink,
    to: &Dir,
    place: impl FnOnce(&str) -> io::Result<()>,
) -> Result<(), BadLink> {
    let name = link.name.as_str();
    let parents = match name.rsplit_once('/') {
        Some((folder, _)) => to.create_dir_all(folder),
        None => Ok(()),
    };
    let placed = parents.and_then(|()| place(name));
    placed.map_err(|error| match error.kind() {
        // A file or directory of the archive took its name for a directory.
        io::ErrorKind::AlreadyExists => BadLink::Below { name: name.to_owned() },
        _ => BadLink::Io { name: name.to_owned(), error },
    })
}

/// Returns true if a target, seen from the directory of `name`, does not lead above the top.
fn stays_inside(name: &str, target: &str) -> bool {
    if target.is_empty() || target.starts_with('/') {
        return false;
    }
    let mut depth = name.matches('/').count();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return false,
            },
            _ => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_seen_from_the_directory_of_its_link() {
        for (name, target) in [("a", "b"), ("a/b", "../c"), ("a/b/c", "../../d"), ("a", "./b/../c")]
        {
            assert!(stays_inside(name, target), "{name} -> {target}");
        }
        for (name, target) in
            [("a", ".."), ("a", "/etc"), ("a/b", "../../c"), ("a", ""), ("a/b", "c/../../../d")]
        {
            assert!(!stays_inside(name, target), "{name} -> {target}");
        }
    }
}
