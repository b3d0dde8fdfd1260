//! `N` or `LOW..HIGH`: how often an instance is used.

/// The lowest and the highest number of requests of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReuseArg(pub(super) (u32, u32));

impl ReuseArg {
    /// Parses the value of `--reuse`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let parsed = text.parse::<u32>().ok().filter(|number| *number > 0);
            parsed.ok_or_else(|| format!("`{text}` is not a number from 1"))
        };
        let (low, high) = match text.split_once("..") {
            None => (number(text)?, number(text)?),
            Some((low, high)) => (number(low)?, number(high)?),
        };
        match low <= high {
            true => Ok(Self((low, high))),
            false => Err(format!("{low} is more than {high}; give the lower number first")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_a_range_is_accepted() {
        assert_eq!(ReuseArg::parse("128"), Ok(ReuseArg((128, 128))));
        assert_eq!(ReuseArg::parse("64..128"), Ok(ReuseArg((64, 128))));
        for bad in ["", "0", "-1", "x", "2..1", "1..", "..2", "1...2"] {
            assert!(ReuseArg::parse(bad).is_err(), "{bad}");
        }
    }
}
