//! Transfers between the guest's memory and the host, bounded per call.

use wiggle::{GuestMemory, GuestPtr};

use super::abi::types::{self, Errno, Error};
use crate::wasi::world::World;

/// Maximum bytes of a path. No kernel accepts a longer one.
const PATH_BYTES: u32 = 4_096;

impl World {
    /// Returns the maximum bytes of one call.
    pub(super) fn transfer_limit(&self) -> u32 {
        u32::try_from(self.limits.hostcall_bytes).unwrap_or(u32::MAX)
    }

    /// Returns the guest's buffers for a read, cut to the limit.
    pub(super) fn read_buffers(
        &self,
        memory: &GuestMemory<'_>,
        iovs: types::IovecArray,
    ) -> Result<Vec<GuestPtr<[u8]>>, Error> {
        let mut left = self.transfer_limit();
        let mut buffers = Vec::new();
        for iov in iovs.iter() {
            let iov = memory.read(iov?)?;
            let len = iov.buf_len.min(left);
            if len > 0 {
                buffers.push(iov.buf.as_array(len));
            }
            left -= len;
            if left == 0 || buffers.len() >= MAX_BUFFERS {
                break;
            }
        }
        Ok(buffers)
    }

    /// Returns the bytes that the guest writes, cut to the limit.
    pub(super) fn gather(
        &self,
        memory: &GuestMemory<'_>,
        ciovs: types::CiovecArray,
    ) -> Result<Vec<u8>, Error> {
        let mut left = self.transfer_limit();
        let mut bytes = Vec::new();
        for ciov in ciovs.iter().take(MAX_BUFFERS) {
            let ciov = memory.read(ciov?)?;
            let len = ciov.buf_len.min(left);
            bytes.extend_from_slice(&memory.as_cow(ciov.buf.as_array(len))?);
            left -= len;
            if left == 0 {
                break;
            }
        }
        Ok(bytes)
    }
}

/// Maximum buffers of one call. The guest passes the rest in its next call.
const MAX_BUFFERS: usize = 1_024;

pub(super) fn total(buffers: &[GuestPtr<[u8]>]) -> usize {
    buffers.iter().map(|buffer| buffer.len() as usize).sum()
}

pub(super) fn scatter(
    memory: &mut GuestMemory<'_>,
    buffers: &[GuestPtr<[u8]>],
    bytes: &[u8],
) -> Result<types::Size, Error> {
    let mut rest = bytes;
    for buffer in buffers {
        let (now, later) = rest.split_at(rest.len().min(buffer.len() as usize));
        write_bytes(memory, buffer.as_ptr(), now)?;
        rest = later;
    }
    Ok(u32::try_from(bytes.len() - rest.len())?)
}

pub(super) fn write_bytes(
    memory: &mut GuestMemory<'_>,
    at: GuestPtr<u8>,
    bytes: &[u8],
) -> Result<(), Error> {
    Ok(memory.copy_from_slice(bytes, at.as_array(u32::try_from(bytes.len())?))?)
}

pub(super) fn write_strings(
    memory: &mut GuestMemory<'_>,
    strings: impl Iterator<Item = Vec<u8>>,
    mut pointer: GuestPtr<GuestPtr<u8>>,
    mut at: GuestPtr<u8>,
) -> Result<(), Error> {
    for mut string in strings {
        string.push(0);
        memory.write(pointer, at)?;
        write_bytes(memory, at, &string)?;
        at = at.add(u32::try_from(string.len())?)?;
        pointer = pointer.add(1)?;
    }
    Ok(())
}

pub(super) fn sizes(
    lengths: impl ExactSizeIterator<Item = usize>,
) -> Result<(types::Size, types::Size), Error> {
    let count = lengths.len();
    let bytes: usize = lengths.map(|len| len + 1).sum();
    Ok((u32::try_from(count)?, u32::try_from(bytes)?))
}

pub(super) fn read_path(memory: &GuestMemory<'_>, path: GuestPtr<str>) -> Result<String, Error> {
    if path.len() > PATH_BYTES {
        return Err(Errno::Nametoolong.into());
    }
    Ok(memory.as_cow_str(path)?.into_owned())
}
