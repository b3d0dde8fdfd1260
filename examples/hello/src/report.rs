//! The program's environment, and its output.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::request::Request;

/// The content of the output.
pub struct Report {
    words: Vec<String>,
    environment: Vec<(String, String)>,
    file: Option<(String, String)>,
}

impl Report {
    /// Collects the content. `directory` may be missing or have no text file.
    pub fn gather(
        request: &Request,
        environment: impl Iterator<Item = (String, String)>,
        directory: &Path,
    ) -> Self {
        let mut environment: Vec<_> = environment.collect();
        environment.sort();
        Self { words: request.words.clone(), environment, file: first_file(directory) }
    }
}

/// Returns the name and content of the first text file by name.
fn first_file(directory: &Path) -> Option<(String, String)> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names.into_iter().find_map(|name| {
        let content = fs::read_to_string(directory.join(&name)).ok()?;
        Some((name, content))
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whom = if self.words.is_empty() { "world".to_owned() } else { self.words.join(" ") };
        writeln!(f, "hello, {whom}")?;
        for (place, word) in self.words.iter().enumerate() {
            writeln!(f, "argument {}: {word}", place + 1)?;
        }
        for (name, value) in &self.environment {
            writeln!(f, "environment {name}={value}")?;
        }
        if let Some((name, content)) = &self.file {
            writeln!(f, "file /data/{name}:\n{}", content.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(words: &[&str], environment: &[(&str, &str)], directory: &str) -> String {
        let request = Request { code: 0, words: words.iter().map(|&word| word.into()).collect() };
        let environment = environment.iter().map(|&(name, value)| (name.into(), value.into()));
        Report::gather(&request, environment, Path::new(directory)).to_string()
    }

    #[test]
    fn without_words_it_greets_the_world() {
        assert_eq!(report(&[], &[], "no such directory"), "hello, world\n");
    }

    #[test]
    fn arguments_and_a_sorted_environment_are_shown() {
        assert_eq!(
            report(&["a", "b"], &[("Z", "1"), ("A", "2")], "no such directory"),
            "hello, a b\nargument 1: a\nargument 2: b\nenvironment A=2\nenvironment Z=1\n"
        );
    }

    #[test]
    fn the_first_file_of_the_directory_is_shown() {
        let shown = report(&[], &[], "src");
        assert!(shown.starts_with("hello, world\nfile /data/exit.rs:\n//! Ends"), "{shown}");
    }
}
