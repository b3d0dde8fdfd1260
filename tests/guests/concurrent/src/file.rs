//! Files and directories. Paths are absolute; the directory is the preopened one that contains them.

use futures_util::future::{join, join_all};
use wasip3::filesystem::preopens;
use wasip3::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasip3::wit_bindgen::StreamResult;
use wasip3::wit_stream;

use crate::Verdict;

/// Bytes of a path that no file system has.
const LONG: usize = 1 << 20;

fn code(error: ErrorCode) -> String {
    format!("{error:?}").rsplit("::").next().unwrap_or_default().to_owned()
}

/// Returns the preopened directory of a path, and the rest of the path.
fn locate(path: &str) -> Result<(Descriptor, String), String> {
    let within = |mount: &str| {
        let rest = path.strip_prefix(mount.trim_end_matches('/'))?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/').to_owned())
    };
    preopens::get_directories()
        .into_iter()
        .filter_map(|(directory, mount)| Some((directory, within(&mount)?, mount.len())))
        .max_by_key(|(.., length)| *length)
        .map(|(directory, rest, _)| (directory, if rest.is_empty() { ".".into() } else { rest }))
        .ok_or_else(|| "no such directory".into())
}

async fn open(path: &str, open: OpenFlags, flags: DescriptorFlags) -> Result<Descriptor, String> {
    let (directory, path) = locate(path)?;
    directory.open_at(PathFlags::SYMLINK_FOLLOW, path, open, flags).await.map_err(code)
}

async fn create(path: &str, truncate: OpenFlags) -> Result<Descriptor, String> {
    open(path, OpenFlags::CREATE | truncate, DescriptorFlags::WRITE).await
}

/// Replaces a file.
pub async fn write(path: &str, text: &str) -> Verdict {
    let file = create(path, OpenFlags::TRUNCATE).await?;
    let (mut writer, reader) = wit_stream::new();
    let done = file.write_via_stream(reader, 0);
    let writing = async move { writer.write_all(text.as_bytes().to_vec()).await };
    let (done, rest) = join(async { done.await }, writing).await;
    done.map_err(code)?;
    Ok(format!("{} left\n", rest.len()))
}

/// Adds to a file.
pub async fn append(path: &str, text: &str) -> Verdict {
    let file = create(path, OpenFlags::empty()).await?;
    let (mut writer, reader) = wit_stream::new();
    let done = file.append_via_stream(reader);
    let writing = async move { writer.write_all(text.as_bytes().to_vec()).await };
    let (done, rest) = join(async { done.await }, writing).await;
    done.map_err(code)?;
    Ok(format!("{} left\n", rest.len()))
}

/// Prints a file.
pub async fn read(path: &str) -> Verdict {
    let file = open(path, OpenFlags::empty(), DescriptorFlags::READ).await?;
    let (stream, done) = file.read_via_stream(0);
    let bytes = stream.collect().await;
    done.await.map_err(code)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Prints the sorted names of a directory.
pub async fn list(path: &str) -> Verdict {
    let directory = open(path, OpenFlags::DIRECTORY, DescriptorFlags::READ).await?;
    let (stream, done) = directory.read_directory();
    let mut names: Vec<_> = stream.collect().await.into_iter().map(|entry| entry.name).collect();
    done.await.map_err(code)?;
    names.sort();
    Ok(format!("{}\n", names.join(" ")))
}

/// Prints the size of a file.
pub async fn stat(path: &str) -> Verdict {
    let (directory, path) = locate(path)?;
    let stat = directory.stat_at(PathFlags::SYMLINK_FOLLOW, path).await.map_err(code)?;
    Ok(format!("{} bytes\n", stat.size))
}

/// Makes a symbolic link.
pub async fn symlink(target: &str, path: &str) -> Verdict {
    let (directory, path) = locate(path)?;
    directory.symlink_at(target.to_owned(), path).await.map_err(code)?;
    Ok("linked\n".into())
}

/// Writes until the host refuses.
pub async fn fill(path: &str) -> Verdict {
    let file = create(path, OpenFlags::TRUNCATE).await?;
    let (mut writer, reader) = wit_stream::new();
    let done = file.write_via_stream(reader, 0);
    let writing = async move {
        let mut chunk = vec![b'x'; 64 << 10];
        loop {
            let (result, rest) = writer.write(chunk).await;
            if result == StreamResult::Dropped {
                return;
            }
            chunk = rest.into_vec();
            chunk.resize(64 << 10, b'x');
        }
    };
    let (done, ()) = join(async { done.await }, writing).await;
    done.map_err(code)?;
    Ok("never refused\n".into())
}

/// Opens a file until the host refuses, and keeps all.
pub async fn open_many(path: &str) -> Verdict {
    let mut files = Vec::new();
    loop {
        match open(path, OpenFlags::empty(), DescriptorFlags::READ).await {
            Ok(file) => files.push(file),
            Err(code) => return Ok(format!("{} open, then {code}\n", files.len())),
        }
    }
}

/// Looks for this many files at once, each with a path of a megabyte.
pub async fn long_paths(count: usize) -> Verdict {
    let (directory, _) = locate("/data")?;
    let calls = (0..count).map(|_| directory.stat_at(PathFlags::empty(), "a".repeat(LONG)));
    let found = join_all(calls).await;
    let refused = found.into_iter().filter(Result::is_err).count();
    Ok(format!("{refused} refused\n"))
}
