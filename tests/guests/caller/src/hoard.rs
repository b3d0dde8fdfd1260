//! Parts of requests that are never sent and never dropped.

use std::mem::forget;

use wasip2::http::types::{Fields, OutgoingRequest};

/// Makes this many header lists, each with one header of this length.
pub fn fields(count: u64, bytes: u64) -> String {
    let value = vec![b'x'; bytes as usize];
    for held in 0..count {
        let fields = Fields::new();
        if let Err(error) = fields.append("x", &value) {
            return format!("error {error:?} after {held}");
        }
        forget(fields);
    }
    format!("held {count}")
}

/// Makes this many bodies, each filled until the host takes no more.
pub fn bodies(count: u64) -> String {
    let mut taken = 0;
    for held in 0..count {
        let request = OutgoingRequest::new(Fields::new());
        let Ok(body) = request.body() else {
            return format!("no body after {held}, {taken} bytes");
        };
        let stream = body.write().expect("not taken before");
        while let Ok(room @ 1..) = stream.check_write() {
            let room = room.min(1 << 20);
            stream.write(&vec![b'x'; room as usize]).expect("the stream had room");
            taken += room;
        }
        forget((request, body, stream));
    }
    format!("held {count}, {taken} bytes")
}
