//! The command line, split into Skep's own words and the guest's before anything is parsed.
//!
//! All words after COMPONENT belong to the guest, even those that look like flags. A caller who
//! chooses the guest's arguments must not be able to choose Skep's, which map directories of the
//! host. A parser that sees both cannot keep them apart, so ours never sees the guest's words.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

/// A subcommand that passes the words after its first positional argument to the guest.
pub(crate) struct WithGuest {
    /// Its words after the program's name.
    pub(crate) path: &'static [&'static str],
    /// Adds its arguments.
    pub(crate) define: fn(Command) -> Command,
}

/// A command line in two parts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// Skep's own words, from the program's name to COMPONENT.
    pub(crate) own: Vec<OsString>,
    /// The guest's words, without one leading `--`.
    pub(crate) guest: Vec<OsString>,
}

/// Splits `line`, which begins with the program's name, by the flags of its subcommand.
///
/// Unless it is one of `subcommands` and names a component, all words are Skep's.
pub(crate) fn split(subcommands: &[WithGuest], line: Vec<OsString>) -> CommandLine {
    let is_of = |path: &[&str]| {
        let named = line.get(1..=path.len());
        named.is_some_and(|named| named.iter().zip(path).all(|(word, name)| word == name))
    };
    let found = subcommands.iter().find(|subcommand| is_of(subcommand.path));
    let at = found.and_then(|subcommand| {
        let first = 1 + subcommand.path.len();
        let definition = (subcommand.define)(Command::new(""));
        Some(1 + first + first_positional(&definition, &line[first..])?)
    });
    let mut own = line;
    let mut guest = at.map_or_else(Vec::new, |at| own.split_off(at));
    if guest.first().is_some_and(|first| first == "--") {
        guest.remove(0);
    }
    CommandLine { own, guest }
}

/// Returns the index of the first word that is neither a flag nor a flag's value.
fn first_positional(command: &Command, words: &[OsString]) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let word = word.as_encoded_bytes();
        match word {
            b"--" => return (at + 1 < words.len()).then_some(at + 1),
            b"-" => return Some(at),
            _ if !word.starts_with(b"-") => return Some(at),
            _ => at += 1 + usize::from(takes_next(command, word)),
        }
    }
    None
}

/// Returns true if the word after this flag is its value. For an unknown flag it is not; the parser
/// refuses that flag later.
fn takes_next(command: &Command, word: &[u8]) -> bool {
    let flag = |is: &dyn Fn(&Arg) -> bool| command.get_arguments().find(|argument| is(argument));
    let wants_value =
        |argument: &Arg| argument.get_action().takes_values() && !argument.is_require_equals_set();
    let Some(long) = word.strip_prefix(b"--") else {
        // In `-abc`, each letter is a flag until one takes the rest as its value.
        let letters = String::from_utf8_lossy(&word[1..]);
        let mut letters = letters.chars();
        let taker = letters.find_map(|letter| {
            flag(&|argument| argument.get_short() == Some(letter)).filter(|it| wants_value(it))
        });
        return taker.is_some() && letters.as_str().is_empty();
    };
    let is_named = |argument: &Arg| {
        let names =
            argument.get_long().into_iter().chain(argument.get_all_aliases().unwrap_or_default());
        names.map(OsStr::new).any(|name| name.as_encoded_bytes() == long)
    };
    flag(&is_named).is_some_and(wants_value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WITH_GUEST;

    fn words(line: &[&str]) -> Vec<OsString> {
        line.iter().map(OsString::from).collect()
    }

    #[track_caller]
    fn assert_split(own: &[&str], guest: &[&str]) {
        let line = [own, guest].concat();
        let expected = CommandLine { own: words(own), guest: words(guest) };
        assert_eq!(split(WITH_GUEST, words(&line)), expected, "{line:?}");
    }

    #[test]
    fn every_word_after_the_component_is_the_guests() {
        assert_split(&["skep", "run", "tool.wasm"], &["--dir=/etc::/h", "x"]);
        assert_split(&["skep", "run", "tool.wasm"], &["--help"]);
        assert_split(&["skep", "run", "tool.wasm"], &["a", "--", "b"]);
        assert_split(&["skep", "run", "--dir", "a", "--timeout=5s", "tool.wasm"], &["--dir", "b"]);
        assert_split(&["skep", "run", "--", "tool.wasm"], &["--help"]);
        assert_split(&["skep", "run", "--", "--odd.wasm"], &["a"]);
        assert_split(&["skep", "run", "--input", "-", "-"], &["-"]);
        assert_split(&["skep", "worker", "send", "--store", "s", "tally"], &["--input", "x"]);
    }

    #[test]
    fn a_flag_with_an_optional_value_takes_none_from_the_next_word() {
        assert_split(&["skep", "run", "--deterministic", "tool.wasm"], &["a"]);
        assert_split(&["skep", "run", "--deterministic=7", "tool.wasm"], &["a"]);
    }

    #[test]
    fn a_line_without_a_component_is_all_skeps_own() {
        for line in [
            &["skep"][..],
            &["skep", "run"],
            &["skep", "run", "--help"],
            &["skep", "run", "--dir"],
            &["skep", "run", "--dir", "a"],
            &["skep", "run", "--"],
            &["skep", "inspect", "tool.wasm", "--output", "json"],
            &["skep", "worker", "list", "--output", "json"],
            &["skep", "worker"],
        ] {
            assert_split(line, &[]);
        }
    }

    #[test]
    fn one_leading_separator_is_dropped_and_no_other() {
        for (line, guest) in
            [(&["--"][..], &[][..]), (&["--", "--"], &["--"]), (&["a", "--"], &["a", "--"])]
        {
            let line = [&["skep", "run", "tool.wasm"], line].concat();
            assert_eq!(split(WITH_GUEST, words(&line)).guest, words(guest), "{line:?}");
        }
    }

    /// Puts each flag of these subcommands before the component.
    #[test]
    fn no_flag_is_mistaken_for_the_component() {
        for WithGuest { path, define } in WITH_GUEST {
            let command = define(Command::new(""));
            for argument in command.get_arguments().filter(|it| !it.is_positional()) {
                let takes = argument.get_action().takes_values();
                let long = format!("--{}", argument.get_long().unwrap());
                let short = argument.get_short().map(|letter| format!("-{letter}"));
                for flag in [Some(long), short].into_iter().flatten() {
                    let mut own = vec!["skep"];
                    own.extend(*path);
                    own.push(&flag);
                    if takes && !argument.is_require_equals_set() {
                        own.push("--value");
                    }
                    own.push("component");
                    assert_split(&own, &[&flag, "x"]);
                }
            }
        }
    }
}
