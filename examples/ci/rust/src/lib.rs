//! Sums of texts.

use std::num::ParseIntError;

/// Adds the numbers of a text.
///
/// # Errors
/// If a word is not a number.
pub fn sum(text: &str) -> Result<i64, ParseIntError> {
    text.split_whitespace().map(str::parse::<i64>).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_added() {
        assert_eq!(sum("40 2"), Ok(42));
        assert_eq!(sum(""), Ok(0));
    }

    #[test]
    fn other_words_are_refused() {
        assert!(sum("40 two").is_err());
    }

    /// The fixture lies beside the sources, and `src` names it.
    #[test]
    fn the_fixture_adds_up() {
        let text = std::fs::read_to_string("/fixtures/numbers.txt").unwrap();
        assert_eq!(sum(&text), Ok(55));
    }
}
