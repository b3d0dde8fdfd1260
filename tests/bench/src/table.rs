//! The figures as a person and as a program reads them.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::pairs::Summary;

/// One figure with what it has to be.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What ours is compared with.
    pub(crate) beside: &'static str,
    pub(crate) summary: Summary,
    pub(crate) target_ratio: f64,
    pub(crate) target_time: Option<Duration>,
}

impl Row {
    pub(crate) fn is_met(&self) -> bool {
        self.summary.ratio <= self.target_ratio
            && self.target_time.is_none_or(|target| self.summary.ours < target)
    }
}

pub(crate) fn text(rows: &[Row]) -> String {
    let mut out = String::new();
    let line = |out: &mut String, cells: [&str; 7]| {
        let [name, beside, ours, theirs, ratio, middle, target] = cells;
        writeln!(
            out,
            "{name:<28} {beside:<24} {ours:>9} {theirs:>9} {ratio:>6} {middle:>11}  {target}"
        )
        .expect("a string takes everything");
    };
    line(&mut out, ["figure", "beside", "ours", "theirs", "ratio", "middle half", "target"]);
    for row in rows {
        let Summary { ours, theirs, ratio, ratio_middle_half: [low, high], .. } = row.summary;
        let time = row.target_time.map_or(String::new(), |time| format!(", < {}", shown(time)));
        let verdict = if row.is_met() { "met" } else { "MISSED" };
        line(
            &mut out,
            [
                row.name,
                row.beside,
                &shown(ours),
                &shown(theirs),
                &format!("{ratio:.2}"),
                &format!("{low:.2}–{high:.2}"),
                &format!("<= {:.1}{time}: {verdict}", row.target_ratio),
            ],
        );
    }
    out
}

pub(crate) fn json(rows: &[Row]) -> Value {
    let micros = |time: Duration| (time.as_secs_f64() * 1e9).round() / 1e3;
    let figures: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "beside": row.beside,
                "pairs": row.summary.pairs,
                "ours_us": micros(row.summary.ours),
                "theirs_us": micros(row.summary.theirs),
                "ratio": row.summary.ratio,
                "ratio_middle_half": row.summary.ratio_middle_half,
                "target_ratio": row.target_ratio,
                "target_us": row.target_time.map(micros),
                "met": row.is_met(),
            })
        })
        .collect();
    json!({ "figures": figures })
}

fn shown(time: Duration) -> String {
    match time.as_secs_f64() {
        time if time >= 1e-3 => format!("{:.2} ms", time * 1e3),
        time => format!("{:.2} µs", time * 1e6),
    }
}
