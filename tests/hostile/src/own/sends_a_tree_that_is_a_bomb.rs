//! A tree of sixty small messages that names 2^60 files.

use skep_protocol::{Error, Invalid};

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::seen::Seen;
use crate::step_bed::StepBed;

pub(crate) fn run(_: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let bed = StepBed::open();
        let mut tree = bed.put(b"").await.unwrap();
        for _ in 0..60 {
            tree = bed.put(&directory(&tree.hex(), tree.bytes)).await.unwrap();
        }
        let mut request = bed.request("bomb", "probe", &["args"]).await;
        request.step.trees.insert("/src".into(), tree);
        Seen::told(match bed.run(request).await {
            Err(Error::InvalidRequest(Invalid::Step)) => End::Refused("a tree".into()),
            other => End::Wrong(format!("{other:?}")),
        })
    })
}

/// Encodes a `Directory` of the Remote Execution API in which two names are one directory.
fn directory(hash: &str, bytes: u64) -> Vec<u8> {
    let field = |tag: u8, content: &[u8]| -> Vec<u8> {
        let length = u8::try_from(content.len()).expect("it is short");
        assert!(length < 128, "a length of one byte");
        [&[tag, length], content].concat()
    };
    let size = u8::try_from(bytes).unwrap();
    // Sizes over 127 take two bytes.
    let size = if size < 128 { vec![size] } else { vec![size & 0x7f | 0x80, size >> 7] };
    let digest = [field(0x0a, hash.as_bytes()), [&[0x10], &*size].concat()].concat();
    let below =
        |name: &str| field(0x12, &[field(0x0a, name.as_bytes()), field(0x12, &digest)].concat());
    [below("a"), below("b")].concat()
}
