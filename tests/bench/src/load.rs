//! Durable turns over HTTP: `wrk` against `skep up`, compared with `wrk` against a Durable Object
//! of `workerd` that inserts one row in SQLite per request.
//!
//! Both sides have fifty objects. Requests go to them in turn and are answered once their effects
//! are on disk. Ours writes an input, an event, a key of the state, an outcome and the usage;
//! theirs writes one row.

use crate::Failure;
use crate::host::Host;
use crate::pairs::{First, Pairs};
use crate::table::Row;
use crate::tools::folder;
use crate::workerd;
use crate::wrk::{self, Asked, Loaded};

const PAIRS: usize = 4;
const OBJECTS: usize = 50;

/// The other side's program, as short as possible.
const WORKER: &str = r#"
import { DurableObject } from "cloudflare:workers";
export class Counter extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS entry (seq INTEGER PRIMARY KEY, body TEXT)");
  }
  async fetch(request) {
    this.ctx.storage.sql.exec("INSERT INTO entry (body) VALUES (?)", await request.text());
    return new Response("ok");
  }
}
export default {
  fetch(request, env) {
    const name = env.COUNTER.idFromName(new URL(request.url).pathname);
    return env.COUNTER.get(name).fetch(request);
  },
};
"#;

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    let folder = folder()?;
    wrk::ensure()?;
    let [our_load, their_load] = ["our-load", "their-load"].map(|name| folder.path().join(name));
    for folder in [&our_load, &their_load] {
        std::fs::create_dir(folder)?;
    }
    let host = Host::start(&folder.path().join("ours"), "counter", OBJECTS, &[])?;
    let inputs = |worker: &String| format!("{worker}/inputs?wait_ms=30000");
    let body = Some("turn");
    let paths = host.workers.iter().map(inputs).collect();
    wrk::prepare(&our_load, &Asked { paths, token: Some(host.token.clone()), body })?;
    let theirs = workerd::start(&folder.path().join("theirs"), WORKER)?;
    let paths = (0..OBJECTS).map(|object| format!("/{object}")).collect();
    wrk::prepare(&their_load, &Asked { paths, token: None, body })?;
    let mut rows = Vec::new();
    for (name, connections, target) in [
        ("durable turn by HTTP, 50 connections", 50, 1.0 / 10.0),
        ("durable turn by HTTP, one connection", 1, 0.4),
    ] {
        // With many connections the share of the total counts, with one the latency.
        let figure = |loaded: Loaded| if connections == 1 { loaded.p50 } else { loaded.each };
        let our_load = || host.served.load(&our_load, connections).map(figure);
        let their_load = || theirs.load(&their_load, connections).map(figure);
        let mut pairs = Pairs::default();
        // The first pair is a warm-up.
        for pair in 0..=PAIRS {
            let (our_time, their_time) = First::of(pair).both(our_load, their_load)?;
            if pair > 0 {
                pairs.push(1, our_time, their_time);
            }
        }
        rows.push(Row::beside(name, "workerd, Durable Object", pairs.summary(), target));
    }
    Ok(rows)
}
