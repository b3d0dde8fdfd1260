//! The figures as text and as JSON.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::pairs::Summary;

/// One figure with its target.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The number of samples.
    pub(crate) samples: usize,
    pub(crate) ours: Amount,
    /// The other side, if this is a comparison.
    pub(crate) beside: Option<Beside>,
    pub(crate) target: Option<Amount>,
}

/// The other side of a comparison.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) name: &'static str,
    pub(crate) theirs: Amount,
    pub(crate) ratio: f64,
    /// The range of the middle half of the ratios.
    pub(crate) middle_half: [f64; 2],
    pub(crate) target_ratio: f64,
}

/// A measured amount.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) enum Amount {
    Time(Duration),
    Bytes(u64),
    Count(u64),
}

impl Row {
    /// Makes a figure without a comparison.
    pub(crate) fn alone(name: &'static str, samples: usize, ours: Amount) -> Self {
        Self { name, samples, ours, beside: None, target: None }
    }

    /// Makes a ratio of two times.
    pub(crate) fn beside(
        name: &'static str,
        beside: &'static str,
        summary: Summary,
        target_ratio: f64,
    ) -> Self {
        let beside = Beside {
            name: beside,
            theirs: Amount::Time(summary.theirs),
            ratio: summary.ratio,
            middle_half: summary.ratio_middle_half,
            target_ratio,
        };
        let ours = Amount::Time(summary.ours);
        Self { name, samples: summary.pairs, ours, beside: Some(beside), target: None }
    }

    /// Sets an absolute bound on our side.
    pub(crate) fn at_most(self, target: Amount) -> Self {
        Self { target: Some(target), ..self }
    }

    pub(crate) fn is_met(&self) -> bool {
        self.beside.as_ref().is_none_or(|beside| beside.ratio <= beside.target_ratio)
            && self.target.is_none_or(|target| self.ours <= target)
    }
}

pub(crate) fn text(rows: &[&Row]) -> String {
    let mut out = String::new();
    let line = |out: &mut String, cells: [&str; 7]| {
        let [name, beside, ours, theirs, ratio, middle, target] = cells;
        writeln!(
            out,
            "{name:<33} {beside:<28} {ours:>10} {theirs:>10} {ratio:>6} {middle:>11}  {target}"
        )
        .expect("writes to a string succeed");
    };
    line(&mut out, ["figure", "beside", "ours", "theirs", "ratio", "middle half", "target"]);
    for row in rows {
        let verdict = if row.is_met() { "met" } else { "MISSED" };
        let ours = row.ours.shown();
        let amount = row.target.map(|target| format!("<= {}", target.shown()));
        match &row.beside {
            None => {
                let target = amount.map_or(String::new(), |amount| format!("{amount}: {verdict}"));
                line(&mut out, [row.name, "", &ours, "", "", "", &target]);
            }
            Some(beside) => {
                let [low, high] = beside.middle_half;
                let amount = amount.map_or(String::new(), |amount| format!(", {amount}"));
                line(
                    &mut out,
                    [
                        row.name,
                        beside.name,
                        &ours,
                        &beside.theirs.shown(),
                        &format!("{:.2}", beside.ratio),
                        &format!("{low:.2}–{high:.2}"),
                        &match beside.target_ratio.is_finite() {
                            true => format!("<= {:.2}{amount}: {verdict}", beside.target_ratio),
                            false => format!("{}: {verdict}", amount.trim_start_matches(", ")),
                        },
                    ],
                );
            }
        }
    }
    out
}

pub(crate) fn json(rows: &[&Row]) -> Value {
    let figures: Vec<Value> = rows
        .iter()
        .map(|row| {
            let mut figure = Map::new();
            let mut put = |name: &str, value: Value| figure.insert(name.to_owned(), value);
            put("name", json!(row.name));
            put("samples", json!(row.samples));
            put(&row.ours.named("ours"), row.ours.json());
            if let Some(beside) = &row.beside {
                put("beside", json!(beside.name));
                put(&beside.theirs.named("theirs"), beside.theirs.json());
                put("ratio", json!(beside.ratio));
                put("ratio_middle_half", json!(beside.middle_half));
                put("target_ratio", json!(beside.target_ratio));
            }
            if let Some(target) = row.target {
                put(&target.named("target"), target.json());
            }
            put("met", json!(row.is_met()));
            Value::Object(figure)
        })
        .collect();
    json!({ "figures": figures })
}

impl Amount {
    pub(crate) fn shown(self) -> String {
        match self {
            Self::Time(time) => match time.as_secs_f64() {
                time if time >= 1.0 => format!("{time:.2} s"),
                time if time >= 1e-3 => format!("{:.2} ms", time * 1e3),
                time => format!("{:.2} µs", time * 1e6),
            },
            Self::Bytes(bytes) if bytes >= 10 << 20 => format!("{} MiB", bytes >> 20),
            Self::Bytes(bytes) => format!("{:.1} KiB", bytes as f64 / 1024.0),
            Self::Count(count) => count.to_string(),
        }
    }

    /// Returns a key that ends in the unit.
    fn named(self, what: &str) -> String {
        match self {
            Self::Time(_) => format!("{what}_us"),
            Self::Bytes(_) => format!("{what}_bytes"),
            Self::Count(_) => format!("{what}_count"),
        }
    }

    fn json(self) -> Value {
        match self {
            Self::Time(time) => json!((time.as_secs_f64() * 1e9).round() / 1e3),
            Self::Bytes(number) | Self::Count(number) => json!(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_must_meet_both_of_its_targets() {
        let ms = |ms| Amount::Time(Duration::from_millis(ms));
        let summary = |ratio| Summary {
            pairs: 1,
            ours: Duration::from_millis(5),
            theirs: Duration::from_millis(4),
            ratio,
            ratio_middle_half: [ratio; 2],
        };
        assert!(Row::beside("a", "b", summary(1.2), 1.2).at_most(ms(5)).is_met());
        assert!(!Row::beside("a", "b", summary(1.3), 1.2).at_most(ms(5)).is_met());
        assert!(!Row::beside("a", "b", summary(1.2), 1.2).at_most(ms(4)).is_met());
        assert!(!Row::alone("a", 1, ms(5)).at_most(ms(4)).is_met());
        assert!(Row::alone("a", 1, ms(5)).is_met());
    }

    #[test]
    fn keys_carry_their_unit() {
        let bytes = Amount::Bytes(80 << 10);
        let shown = json(&[&Row::alone("a", 1, bytes).at_most(bytes)]);
        assert_eq!(shown["figures"][0]["ours_bytes"], 81_920);
        assert_eq!(shown["figures"][0]["target_bytes"], 81_920);
    }
}
