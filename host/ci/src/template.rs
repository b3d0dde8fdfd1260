//! Texts of a pipeline with places for values: `{matrix.K}`, `{matrix.K.stem}`, `{files}`,
//! `{in:/dir/glob}` and `{step}/path`. There is no expression language. `{{` is a brace.

use std::collections::BTreeMap;

use crate::pattern;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// Text that stays.
    Text(String),
    /// The value of a key of the matrix.
    Matrix {
        /// Key.
        key: String,
        /// True for the file name of the value without folders and its last extension.
        stem: bool,
    },
    /// The files of the batch, one argument each.
    Files,
    /// The inputs that match, one argument each.
    Inputs {
        /// An absolute glob in the guest.
        glob: String,
    },
    /// The output folder of a step.
    Step(String),
}

/// A parsed text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(pub Vec<TemplatePart>);

impl Template {
    /// Parses a text. `steps` and `keys` are the names that it may use.
    ///
    /// # Errors
    /// The reason, and the nearest right word.
    pub fn parse(
        text: &str,
        keys: &[&str],
        steps: &[&str],
    ) -> Result<Self, (String, Option<String>)> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal += &rest[..at];
            let brace = &rest[at..at + 1];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal += brace;
                rest = after;
                continue;
            }
            let end = rest.find('}').filter(|_| brace == "{");
            let Some(end) = end else {
                let why =
                    format!("`{brace}` has no partner; write `{brace}{brace}` for the character");
                return Err((why, None));
            };
            let part = part(&rest[..end], keys, steps)?;
            rest = &rest[end + 1..];
            if !literal.is_empty() {
                parts.push(TemplatePart::Text(std::mem::take(&mut literal)));
            }
            parts.push(part);
        }
        literal += rest;
        if !literal.is_empty() || parts.is_empty() {
            parts.push(TemplatePart::Text(literal));
        }
        Ok(Self(parts))
    }

    /// Returns the step that the text begins with, and the path after it.
    pub fn step_path(&self) -> Option<(&str, String)> {
        let (TemplatePart::Step(step), rest) = self.0.split_first()? else { return None };
        Some((step, Self(rest.to_vec()).filled(&BTreeMap::new(), false)))
    }

    /// Returns true if a part stands for any number of arguments.
    pub fn is_list(&self) -> bool {
        self.0.iter().any(|it| matches!(it, TemplatePart::Files | TemplatePart::Inputs { .. }))
    }

    /// Replaces the parts of the matrix. With `escape`, values are escaped for a glob.
    pub fn filled(&self, matrix: &BTreeMap<String, String>, escape: bool) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                TemplatePart::Text(text) => out += text,
                TemplatePart::Matrix { key, stem } => {
                    let value = matrix.get(key).map_or("", String::as_str);
                    let value = if *stem { file_stem(value) } else { value };
                    match escape {
                        true => out += &pattern::escaped(value),
                        false => out += value,
                    }
                }
                TemplatePart::Files | TemplatePart::Inputs { .. } | TemplatePart::Step(_) => {}
            }
        }
        out
    }

    /// Replaces the parts of the matrix and keeps the others.
    pub fn with_matrix(&self, matrix: &BTreeMap<String, String>) -> Self {
        let filled = self.0.iter().map(|part| match part {
            TemplatePart::Matrix { .. } => {
                TemplatePart::Text(Self(vec![part.clone()]).filled(matrix, false))
            }
            TemplatePart::Inputs { glob } => TemplatePart::Inputs { glob: glob.clone() },
            part => part.clone(),
        });
        Self(filled.collect())
    }
}

fn part(
    word: &str,
    keys: &[&str],
    steps: &[&str],
) -> Result<TemplatePart, (String, Option<String>)> {
    let near = |word: &str, known: Vec<&str>| {
        crate::fault::nearest(word, known).map(|near| format!("did you mean `{near}`?"))
    };
    if word == "files" {
        return Ok(TemplatePart::Files);
    }
    if let Some(glob) = word.strip_prefix("in:") {
        return match glob.starts_with('/') {
            true => Ok(TemplatePart::Inputs { glob: glob.to_owned() }),
            false => Err((format!("`{{{word}}}` needs an absolute path in the guest"), None)),
        };
    }
    if let Some(key) = word.strip_prefix("matrix.") {
        let (key, stem) = match key.strip_suffix(".stem") {
            Some(key) if !keys.contains(&word) => (key, true),
            _ => (key, false),
        };
        return match keys.contains(&key) {
            true => Ok(TemplatePart::Matrix { key: key.to_owned(), stem }),
            false => Err((format!("the matrix has no key `{key}`"), near(key, keys.to_vec()))),
        };
    }
    if steps.contains(&word) {
        return Ok(TemplatePart::Step(word.to_owned()));
    }
    let keys: Vec<_> = keys.iter().map(|key| format!("matrix.{key}")).collect();
    let known = ["files"].into_iter().chain(keys.iter().map(String::as_str));
    let known = known.chain(steps.iter().copied()).collect();
    let hint = near(word, known).or_else(|| Some("write `{{` for a brace".to_owned()));
    Err((format!("`{{{word}}}` stands for nothing here"), hint))
}

fn file_stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Template, (String, Option<String>)> {
        Template::parse(text, &["file", "v"], &["link"])
    }

    #[test]
    fn values_are_replaced_and_braces_are_kept() {
        let matrix = [("file", "src/a.b.c"), ("v", "[1]")];
        let matrix = matrix.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        for (text, expected) in [
            ("/out/{matrix.file.stem}.o", "/out/a.b.o"),
            ("{matrix.file}", "src/a.b.c"),
            ("{{\"a\":1}}", "{\"a\":1}"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(parse(text).unwrap().filled(&matrix, false), expected, "{text}");
        }
        assert_eq!(parse("{matrix.v}").unwrap().filled(&matrix, true), "\\[1\\]");
        assert_eq!(parse("{link}/app.wasm").unwrap().step_path().unwrap().1, "/app.wasm");
        assert!(parse("{in:/obj/*.o}").unwrap().is_list() && parse("{files}").unwrap().is_list());
    }

    #[test]
    fn an_unknown_word_is_refused_with_the_nearest() {
        assert_eq!(parse("{matrix.fil}").unwrap_err().1.as_deref(), Some("did you mean `file`?"));
        assert_eq!(parse("{lnk}/a").unwrap_err().1.as_deref(), Some("did you mean `link`?"));
        for bad in ["{", "a}", "{x y z}", "{in:obj/*}"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
