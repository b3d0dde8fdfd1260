//! `fd_readdir`: reads a directory from a cookie on.
//!
//! A libc reads a directory through a small buffer, about a hundred entries at a time, and passes
//! the cookie of the last complete entry. The listing and its current batch are therefore kept with
//! the descriptor, so a long listing is read only once. Only a cookie from before the batch starts
//! again.
//!
//! In this ABI, fewer bytes than requested mean the end, and an error returns no bytes. An error
//! after some entries is therefore deferred to the next call: the last entry is cut off, which
//! makes the guest call again.

use skep_scope::DirectoryEntry;
use wiggle::GuestType;

use super::abi::types::{self, Errno, Error, Rights};
use super::cursor::ListingCursor;
use super::fds::Fd;
use crate::wasi::world::World;

const DOTS: u64 = 2;

impl World {
    /// Returns entries from `cookie` on in the ABI's layout, cut at `len` bytes. Fewer than `len`
    /// bytes mean the end.
    pub(super) async fn list(
        &mut self,
        fd: types::Fd,
        cookie: u64,
        len: usize,
    ) -> Result<Vec<u8>, Error> {
        let listed = self.fds().get_mut(fd, Rights::FD_READDIR)?;
        let Fd::Directory { directory, cursor, .. } = listed else {
            return Err(Errno::Notdir.into());
        };
        let (directory, cursor) = (directory.clone(), cursor.take());
        let first = cookie.saturating_sub(DOTS);
        let mut cursor = match cursor {
            Some(cursor) if cookie > 0 && first >= cursor.start => cursor,
            other => {
                let permit = match other {
                    Some(cursor) => cursor.permit,
                    None => self.descriptors.open().ok_or(Errno::Mfile)?,
                };
                let (order, directory) = (self.descriptors.order(), directory.clone());
                let listing = self.on_disk(move || directory.list(order)).await?;
                ListingCursor { listing: Some(listing), start: 0, batch: Vec::new(), permit }
            }
        };

        let mut out = Vec::new();
        if cookie < DOTS {
            let own = self.on_disk(move || directory.stat()).await?;
            let inode = self.descriptors.number(own.device, own.inode);
            for (at, name) in [".", ".."].into_iter().enumerate().skip(cookie as usize) {
                entry(&mut out, at as u64 + 1, inode, types::Filetype::Directory, name);
            }
        }
        let mut next = first;
        while out.len() < len {
            let within = usize::try_from(next - cursor.start)?;
            if within < cursor.batch.len() {
                let DirectoryEntry { device, inode, kind, name } = &cursor.batch[within];
                let inode = self.descriptors.number(*device, *inode);
                entry(&mut out, next + DOTS + 1, inode, (*kind).into(), name);
                next += 1;
                continue;
            }
            let Some(mut listing) = cursor.listing.take() else { break };
            let call = self.on_disk(move || Ok((listing.next_batch(), listing)));
            let (batch, listing) = call.await?;
            match batch {
                Ok(batch) if batch.is_empty() => break,
                Ok(batch) => {
                    cursor.start += cursor.batch.len() as u64;
                    cursor.batch = batch;
                }
                Err(error) if out.is_empty() => return Err(error.into()),
                // Deliver the entries first. The cut-off entry makes the guest call again.
                Err(_) => {
                    let name = "\0".repeat(len - out.len());
                    entry(&mut out, next + DOTS + 1, 0, types::Filetype::Unknown, &name);
                }
            }
            cursor.listing = Some(listing);
        }
        out.truncate(len);
        if let Fd::Directory { cursor: slot, .. } = self.fds().get_mut(fd, Rights::FD_READDIR)? {
            *slot = Some(cursor);
        }
        Ok(out)
    }
}

fn entry(out: &mut Vec<u8>, next: u64, inode: u64, kind: types::Filetype, name: &str) {
    let begin = out.len();
    out.extend_from_slice(&next.to_le_bytes());
    out.extend_from_slice(&inode.to_le_bytes());
    out.extend_from_slice(&(name.len() as u32).to_le_bytes());
    out.push(kind as u8);
    out.resize(begin + types::Dirent::guest_size() as usize, 0);
    out.extend_from_slice(name.as_bytes());
}
