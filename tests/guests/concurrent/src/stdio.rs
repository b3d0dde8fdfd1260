//! The standard streams.

use futures_util::future::join;
use wasip3::cli::{stdin, stdout};
use wasip3::wit_bindgen::StreamResult;
use wasip3::wit_stream;

use crate::Verdict;

/// Prints a text.
pub async fn print(text: String) -> Result<(), String> {
    let (mut writer, reader) = wit_stream::new();
    let done = stdout::write_via_stream(reader);
    let writing = async move { writer.write_all(text.into_bytes()).await };
    let (done, _) = join(async { done.await }, writing).await;
    done.map_err(|error| format!("{error:?}"))
}

/// Copies stdin to stdout.
pub async fn cat() -> Verdict {
    let (mut input, read) = stdin::read_via_stream();
    let (mut writer, reader) = wit_stream::new();
    let written = stdout::write_via_stream(reader);
    let copying = async move {
        let mut chunk = Vec::with_capacity(64 << 10);
        loop {
            let (result, bytes) = input.read(chunk).await;
            let rest = writer.write_all(bytes).await;
            if result == StreamResult::Dropped || !rest.is_empty() {
                return;
            }
            chunk = Vec::with_capacity(64 << 10);
        }
    };
    let (written, ()) = join(async { written.await }, copying).await;
    written.map_err(|error| format!("stdout {error:?}"))?;
    read.await.map_err(|error| format!("stdin {error:?}"))?;
    Ok(String::new())
}

/// Prints lines without end.
pub async fn flood() -> Verdict {
    let lines = "the guest floods its standard output with this line\n".repeat(64);
    let (mut writer, reader) = wit_stream::new();
    let done = stdout::write_via_stream(reader);
    let writing =
        async move { while writer.write_all(lines.clone().into_bytes()).await.is_empty() {} };
    let (done, ()) = join(async { done.await }, writing).await;
    done.map_err(|error| format!("{error:?}"))?;
    Ok("the flood ended\n".into())
}

/// Opens this many streams to stdout and keeps them.
pub async fn leave(count: usize) -> Verdict {
    let mut kept = Vec::new();
    for _ in 0..count {
        let (writer, reader) = wit_stream::new::<u8>();
        kept.push((writer, stdout::write_via_stream(reader)));
    }
    Ok(format!("{} streams\n", kept.len()))
}
