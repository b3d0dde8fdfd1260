//! The figures in Markdown, to be published.

use std::fmt::Write;

use clap::ValueEnum;

use crate::Figure;
use crate::table::Row;

/// Returns the table, with a section for each figure.
pub(crate) fn markdown(measured: &[(Figure, Vec<Row>)]) -> String {
    let mut out = String::from(
        "# Figures\n\n\
         Written by `cargo xtask bench -- --output markdown`; nothing here is edited by hand. A ratio is ours by\n\
         theirs, measured alternately in one run, and the median of its pairs; below 1 we are faster or smaller.\n\
         Compare ratios, not times: the machine has ",
    );
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    put(&mut out, format_args!("{cores} cores and other work.\n"));
    for (figure, rows) in measured {
        let value = figure.to_possible_value();
        let (name, help) = value.as_ref().map_or(("", String::new()), |value| {
            (value.get_name(), value.get_help().map(ToString::to_string).unwrap_or_default())
        });
        put(&mut out, format_args!("\n## {name}\n\n{help}\n\n"));
        out.push_str("| figure | beside | ours | theirs | ratio | middle half | target |\n");
        out.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
        for row in rows {
            put(&mut out, format_args!("{}\n", line(row)));
        }
    }
    out
}

fn line(row: &Row) -> String {
    let verdict = if row.is_met() { "met" } else { "**missed**" };
    let amount = row.target.map(|target| format!("≤ {}", target.shown()));
    let (name, ours) = (row.name, row.ours.shown());
    let Some(beside) = &row.beside else {
        let target = amount.map_or(String::new(), |amount| format!("{amount}: {verdict}"));
        return format!("| {name} | | {ours} | | | | {target} |");
    };
    let ratio = beside.target_ratio.is_finite().then(|| format!("≤ {:.2}", beside.target_ratio));
    let targets: Vec<String> = ratio.into_iter().chain(amount).collect();
    let [low, high] = beside.middle_half;
    format!(
        "| {name} | {} | {ours} | {} | {:.2} | {low:.2}–{high:.2} | {}: {verdict} |",
        beside.name,
        beside.theirs.shown(),
        beside.ratio,
        targets.join(", "),
    )
}

/// Appends to a text.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writes to a string succeed");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pairs::Summary;

    #[test]
    fn each_figure_has_a_section_and_each_row_a_line() {
        let time = Duration::from_millis(2);
        let summary =
            Summary { pairs: 3, ours: time, theirs: time, ratio: 1.0, ratio_middle_half: [1.0; 2] };
        let rows = vec![
            Row::beside("hello", "a peer", summary, 1.5),
            Row::beside("bye", "a peer", summary, 0.5),
        ];
        let text = markdown(&[(Figure::Http, rows)]);
        assert!(text.contains("\n## http\n\nHTTP requests"), "{text}");
        let hello = "| hello | a peer | 2.00 ms | 2.00 ms | 1.00 | 1.00–1.00 | ≤ 1.50: met |";
        assert!(text.contains(hello), "{text}");
        assert!(text.contains("≤ 0.50: **missed** |"), "{text}");
    }
}
