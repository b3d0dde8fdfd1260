//! A service that only answers with its input: a call of it costs what calling costs.

use skep_guest::{Failure, Input, Output, Worker};

struct Echo;

impl Worker for Echo {
    fn handle(input: Input) -> Result<Output, Failure> {
        Ok(Output::new(input.content_type, input.body))
    }
}

skep_guest::worker!(Echo);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_input() {
        let input = Input::new("application/x-any", *b"\x00\xff");
        let output = skep_guest::testing::handle::<Echo>(input).unwrap();
        assert_eq!(output, Output::new("application/x-any", *b"\x00\xff"));
    }
}
