//! The files of a project that a step sees.

use std::collections::BTreeSet;

use toml::Spanned;

use crate::fault::{FileFault, nearest};
use crate::file::IgnoreRules;
use crate::listing::ProjectFiles;
use crate::matrix::MatrixLeg;
use crate::pattern::Pattern;
use crate::template::{Template, TemplatePart};

/// Maximum number of paths among which a nearest one is searched.
const SEARCHED: usize = 20_000;

/// A list of globs with places for the values of the matrix.
pub(crate) struct SourceGlobs(Vec<(Template, std::ops::Range<usize>)>);

impl SourceGlobs {
    pub(crate) fn parse(list: &[Spanned<String>], keys: &[&str]) -> Result<Self, FileFault> {
        let parse = |text: &Spanned<String>| {
            // A glob's own braces stay, so only those of the matrix are read.
            let template = glob_template(text.get_ref(), keys)
                .map_err(|(message, hint)| FileFault { span: Some(text.span()), message, hint })?;
            Ok((template, text.span()))
        };
        list.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Returns true if the globs have no place for a value of the matrix.
    pub(crate) fn is_fixed(&self) -> bool {
        let parts = self.0.iter().flat_map(|(template, _)| &template.0);
        parts.into_iter().all(|part| matches!(part, TemplatePart::Text(_)))
    }

    /// Returns the globs with the values of the matrix.
    pub(crate) fn patterns(&self, leg: &MatrixLeg) -> Result<Vec<Pattern>, FileFault> {
        let pattern = |(template, span): &(Template, std::ops::Range<usize>)| {
            Pattern::parse(&template.filled(leg, true))
                .map_err(|error| FileFault::at(span.clone(), format!("bad glob: {error}")))
        };
        self.0.iter().map(pattern).collect()
    }

    /// Returns the files that the globs select.
    pub(crate) fn select(
        &self,
        leg: &MatrixLeg,
        files: &ProjectFiles,
        ignore: IgnoreRules,
    ) -> Result<BTreeSet<String>, FileFault> {
        let all = ignore == IgnoreRules::None;
        let mut found = BTreeSet::new();
        let mut left_out = Vec::new();
        for (pattern, (_, span)) in self.patterns(leg)?.into_iter().zip(&self.0) {
            if pattern.excludes {
                left_out.push(pattern);
                continue;
            }
            let before = found.len();
            let mut matched = false;
            for (path, stamp) in pattern.find(&files.0) {
                if all || !stamp.ignored {
                    matched = true;
                    found.insert(path.clone());
                }
            }
            if !matched && found.len() == before && !pattern.optional {
                return Err(unmatched(&pattern, span.clone(), files));
            }
        }
        found.retain(|path| !left_out.iter().any(|pattern| pattern.matches(path)));
        Ok(found)
    }
}

/// Reads `{matrix.K}` in a glob and keeps other braces, which choose between texts.
fn glob_template(text: &str, keys: &[&str]) -> Result<Template, (String, Option<String>)> {
    let mut escaped = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        escaped += &rest[..at];
        let is_matrix = rest[at..].starts_with("{matrix.");
        let end = rest[at..].find('}').map(|end| at + end + 1).filter(|_| is_matrix);
        match end {
            Some(end) => {
                escaped += &rest[at..end];
                rest = &rest[end..];
            }
            None => {
                escaped += &rest[at..=at].repeat(2);
                rest = &rest[at + 1..];
            }
        }
    }
    Template::parse(&(escaped + rest), keys, &[])
}

fn unmatched(pattern: &Pattern, span: std::ops::Range<usize>, files: &ProjectFiles) -> FileFault {
    let fault = FileFault::at(span, format!("`{}` matches no file", pattern.text));
    let names = files.visible(false).take(SEARCHED).map(|(path, _)| path);
    match nearest(&pattern.text, names) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault.hint(
            "add `?` at its end if it may match nothing; files that git ignores are seen with \
             `ignore = \"none\"`",
        ),
    }
}
