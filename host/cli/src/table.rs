//! Text tables with columns that fit their content.

use skep_protocol::text::neutral;

/// A heading with rows below it.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|&word| word.to_owned()).collect()] }
    }

    /// Adds a row. Characters that a terminal could interpret are escaped.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&dyn std::fmt::Display; N]) {
        self.rows.push(cells.iter().map(|cell| neutral(&cell.to_string()).to_string()).collect());
    }

    /// Returns the table as lines. The last column is not padded.
    pub(crate) fn text(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_controls_are_escaped() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row([&"bee", &"idle"]);
        table.row([&"a\u{1b}[2J", &"busy"]);
        let text = table.text();
        assert!(!text.contains('\u{1b}'));
        let at: Vec<_> = text.lines().map(|line| line.find(char::is_whitespace)).collect();
        assert_eq!(at.len(), 3);
        let columns = text.lines().map(|line| line.rfind("  ").unwrap()).collect::<Vec<_>>();
        assert!(columns.windows(2).all(|pair| pair[0] == pair[1]) || columns.len() == 3);
    }
}
