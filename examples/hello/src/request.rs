//! The request on the command line.

/// `[--exit N] [WORDS...]`
#[derive(Debug, PartialEq)]
pub struct Request {
    /// The exit code, 0 to 255.
    pub code: u8,
    /// The words to greet.
    pub words: Vec<String>,
}

impl Request {
    /// Parses the arguments after the program's name. The error is a sentence.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = arguments.peekable();
        let mut code = 0;
        if arguments.next_if(|first| first == "--exit").is_some() {
            let number = arguments.next().ok_or("--exit needs a number")?;
            code = number.parse().map_err(|_| format!("{number:?} is not a code from 0 to 255"))?;
        }
        Ok(Self { code, words: arguments.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request, String> {
        Request::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn words_are_kept_in_order() {
        assert_eq!(parse("a b"), Ok(Request { code: 0, words: vec!["a".into(), "b".into()] }));
        assert_eq!(parse(""), Ok(Request { code: 0, words: vec![] }));
    }

    #[test]
    fn the_exit_code_is_a_byte() {
        assert_eq!(parse("--exit 130 a").map(|request| request.code), Ok(130));
        assert!(parse("--exit 256").is_err());
        assert!(parse("--exit").is_err());
    }
}
