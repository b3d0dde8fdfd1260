//! The load generator, `wrk`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use xtask::packages;

use crate::Failure;

/// The length of one measurement.
pub(crate) const LENGTH: Duration = Duration::from_secs(4);

/// Sends one request after the other to each path in turn, and reports in one line.
const SCRIPT: &str = r#"
local paths, headers, n = {}, {}, 0
for line in io.lines("paths") do paths[#paths + 1] = line end
local method, body = "GET", nil
for line in io.lines("body") do method, body = "POST", line end
if body then headers["Content-Type"] = "text/plain" end
for line in io.lines("token") do headers["Authorization"] = "Bearer " .. line end
local requests = {}
init = function()
  for i, path in ipairs(paths) do requests[i] = wrk.format(method, path, headers, body) end
end
request = function()
  n = n + 1
  return requests[n % #requests + 1]
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.stderr:write(string.format("%d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// The requests of a measurement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Paths that get a request in turn.
    pub(crate) paths: Vec<String>,
    /// The bearer token, if one is needed.
    pub(crate) token: Option<String>,
    /// A line to post. Without one, the requests are GET.
    pub(crate) body: Option<&'static str>,
}

/// The result of one measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    /// The share of each request in the whole time.
    pub(crate) each: Duration,
    /// The median of the latencies.
    pub(crate) p50: Duration,
    /// The latency that one request in a hundred exceeds.
    pub(crate) p99: Duration,
}

/// Installs the load generator if it is missing.
pub(crate) fn ensure() -> Result<(), Failure> {
    Ok(packages::program("wrk", "to load servers with")?)
}

/// Writes what is asked into a folder, from which [`load`] runs.
pub(crate) fn prepare(folder: &Path, asked: &Asked) -> Result<(), Failure> {
    let line = |text: &str| format!("{text}\n");
    std::fs::write(folder.join("load.lua"), SCRIPT)?;
    std::fs::write(
        folder.join("paths"),
        asked.paths.iter().map(|path| line(path)).collect::<String>(),
    )?;
    std::fs::write(folder.join("token"), asked.token.as_deref().map_or(String::new(), line))?;
    Ok(std::fs::write(folder.join("body"), asked.body.map_or(String::new(), line))?)
}

/// Loads a server over this many connections.
///
/// # Errors
/// If a request fails, or is answered with an error.
pub(crate) fn load(folder: &Path, url: &str, connections: usize) -> Result<Loaded, Failure> {
    let ran = Command::new("wrk")
        .args([
            "-t1",
            &format!("-c{connections}"),
            &format!("-d{}s", LENGTH.as_secs()),
            "-s",
            "load.lua",
            url,
        ])
        .current_dir(folder)
        .output()?;
    let said = String::from_utf8_lossy(&ran.stderr);
    let numbers: Vec<u64> =
        said.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [requests, micros, p50, p99, errors] = numbers[..] else {
        return Err(format!("unexpected output of wrk: {said:?}").into());
    };
    if errors > 0 || requests == 0 {
        return Err(format!("{errors} of {requests} requests to {url} failed").into());
    }
    Ok(Loaded {
        each: Duration::from_micros(micros) / u32::try_from(requests)?,
        p50: Duration::from_micros(p50),
        p99: Duration::from_micros(p99),
    })
}
