//! `skep-worker.toml`: a worker's name, language, build, config, grants, limits and tests.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use skep_protocol::{
    ConfigValues, DisplayRef, Grants, HttpGrant, HttpSpec, Labels, LimitChanges, LimitName,
    ScopeGrant, SecretName, quantity,
};

use toml_edit::{Array, DocumentMut};

use crate::error::ProjectError;
use crate::language::{Kind, Language};

/// The name of the file.
pub const MANIFEST: &str = "skep-worker.toml";

/// The content of `skep-worker.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "skep-worker.toml")]
pub struct Manifest {
    /// Name of the worker and of the component, `build/NAME.wasm`: 1 to 64 of a-z, 0-9, `_` and
    /// `-`, beginning with a letter.
    #[schemars(regex(pattern = "^[a-z][a-z0-9_-]{0,63}$"))]
    pub name: String,
    /// Language of the source.
    pub lang: Language,
    /// Kind of the worker.
    #[serde(default)]
    pub kind: Kind,
    /// Source file that a build begins with, relative to the manifest. The default is
    /// `src/worker.js`, `src/worker.py`, `src/worker.c` or `src/lib.rs`.
    #[serde(default)]
    pub entry: Option<String>,
    /// Changes to the build.
    #[serde(default)]
    pub build: Build,
    /// Values of the config bundle.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// Access beyond the worker's own directory.
    #[serde(default)]
    pub grants: GrantTexts,
    /// Limits that differ from the defaults; `skep inspect` lists the names.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, LimitValue>")]
    pub limits: BTreeMap<LimitName, LimitValue>,
    /// How an HTTP worker's instances are used.
    #[serde(default)]
    pub http: HttpSpec,
    /// True if the component needs WASI 0.3, which is experimental: `skep build`, `skep test` and `skep
    /// dev` turn it on. A host has to turn it on too.
    #[serde(default)]
    pub wasi_0_3: bool,
    /// Labels for finding the worker.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Tests.
    #[serde(default)]
    pub test: Test,
}

/// The `[build]` section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Build {
    /// Command that builds the component instead of Skep's own way, run in the project's folder.
    pub command: Vec<String>,
    /// File that the command leaves the component in. The default is `build/NAME.wasm`.
    pub artifact: Option<String>,
}

/// The `[grants]` section, in the text forms of `skep worker create`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GrantTexts {
    /// Directories that the operator offers: `NAME::GUEST`, then `:ro` or `:rw`.
    pub scopes: Vec<String>,
    /// HTTP requests: `[METHOD,… ]SCHEME://HOST[:PORT][ inner]`.
    pub http: Vec<String>,
    /// Secrets, by the operator's names for them.
    pub secrets: Vec<String>,
}

/// A limit's value: a number, or a size such as `64MiB`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum LimitValue {
    /// A number in the limit's own unit.
    Number(u64),
    /// A size.
    Text(String),
}

/// The `[test]` section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Test {
    /// Command for the unit tests. Without it, it is that of the language.
    pub command: Option<Vec<String>>,
    /// Folder of the test turns. The default is `tests`.
    pub turns: Option<String>,
}

/// Returns the JSON Schema of the file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Manifest).to_value()
}

impl Manifest {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// `invalid_manifest`, with the file, the line and the reason, or `io`.
    pub fn read(path: &Path) -> Result<Self, ProjectError> {
        let text = std::fs::read_to_string(path).map_err(ProjectError::file("read", path))?;
        Self::parse(&text).map_err(|fault| fault.at(path))
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map(|before| before.matches('\n').count() + 1);
            let hint = nearest(error.message());
            Fault { line, message: error.message().to_owned(), hint }
        })?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), Fault> {
        if !is_name(&self.name) {
            return Err(Fault::of(
                "name must be 1 to 64 of a-z, 0-9, `_` and `-`, beginning with a letter",
            ));
        }
        for (what, path) in [
            ("entry", self.entry.as_deref()),
            ("build.artifact", self.build.artifact.as_deref()),
            ("test.turns", self.test.turns.as_deref()),
        ] {
            if path.is_some_and(|path| !is_inside(path)) {
                return Err(Fault::of(format!("{what} must be a path inside the project")));
            }
        }
        if self.test.command.as_ref().is_some_and(Vec::is_empty) {
            return Err(Fault::of("test.command must name a program"));
        }
        self.spec_parts().map(drop)
    }

    /// Adds grants to the file, and keeps everything else in it as it is.
    ///
    /// # Errors
    /// `io`, and `invalid_manifest` if the file cannot be parsed.
    pub fn add_grants(path: &Path, grants: &Grants) -> Result<(), ProjectError> {
        let text = std::fs::read_to_string(path).map_err(ProjectError::file("read", path))?;
        let mut document: DocumentMut = text.parse().map_err(|error| {
            ProjectError::new("invalid_manifest", format!("{}: {error}", path.display()))
        })?;
        let table = document.entry("grants").or_insert_with(toml_edit::table);
        for (kind, what) in grants.words() {
            let key = match kind {
                "scope" => "scopes",
                "secret" => "secrets",
                _ => "http",
            };
            let list = table[key].or_insert(toml_edit::value(Array::new()));
            let list = list
                .as_array_mut()
                .ok_or_else(|| Fault::of(format!("grants.{key} is not a list")).at(path))?;
            if !list.iter().any(|has| has.as_str() == Some(&what)) {
                list.push(what);
            }
        }
        std::fs::write(path, document.to_string()).map_err(ProjectError::file("write", path))
    }

    /// Returns the entry, relative to the manifest.
    pub fn entry(&self) -> &str {
        self.entry.as_deref().unwrap_or_else(|| self.lang.default_entry())
    }

    /// Returns the worker's display name.
    ///
    /// # Panics
    /// Never: the name was checked when the file was read.
    pub fn display_ref(&self) -> DisplayRef {
        self.name.parse().expect("a checked name is a display reference")
    }

    /// Returns the grants.
    pub fn grants(&self) -> Grants {
        self.parts().0
    }

    /// Returns the limits.
    pub fn limits(&self) -> LimitChanges {
        self.parts().1
    }

    /// Returns the labels.
    pub fn labels(&self) -> Labels {
        self.parts().2
    }

    /// Returns the config bundle, if there is a value.
    pub fn config(&self) -> Option<ConfigValues> {
        (!self.config.is_empty()).then(|| self.parts().3)
    }

    fn parts(&self) -> (Grants, LimitChanges, Labels, ConfigValues) {
        self.spec_parts().expect("the manifest was checked when it was read")
    }

    fn spec_parts(&self) -> Result<(Grants, LimitChanges, Labels, ConfigValues), Fault> {
        let mut grants = Grants::default();
        for text in &self.grants.scopes {
            let grant: ScopeGrant = text.parse().map_err(Fault::value("grants.scopes", text))?;
            grants.scopes.push(grant);
        }
        for text in &self.grants.http {
            let grant: HttpGrant = text.parse().map_err(Fault::value("grants.http", text))?;
            grants.http.push(grant);
        }
        for text in &self.grants.secrets {
            let name: SecretName = text.parse().map_err(Fault::value("grants.secrets", text))?;
            grants.secrets.push(name);
        }
        grants.check().map_err(|error| Fault::of(format!("grants: {error}")))?;
        let mut limits = BTreeMap::new();
        for (name, value) in &self.limits {
            if !name.is_per_worker() {
                return Err(Fault::of(format!(
                    "limits.{name} cannot be set for one worker; it holds for every component"
                )));
            }
            let value = match value {
                LimitValue::Number(number) => *number,
                LimitValue::Text(text) => quantity::bytes(text)
                    .map_err(|error| Fault::of(format!("limits.{name}: {error}")))?,
            };
            limits.insert(*name, value);
        }
        let labels = Labels::try_from(self.labels.clone())
            .map_err(|error| Fault::of(format!("labels: {error}")))?;
        let config = ConfigValues::try_from(self.config.clone())
            .map_err(|error| Fault::of(format!("config: {error}")))?;
        Ok((grants, LimitChanges(limits), labels, config))
    }
}

/// A fault of the file.
#[derive(Debug)]
struct Fault {
    line: Option<usize>,
    message: String,
    hint: Option<String>,
}

impl Fault {
    fn of(message: impl Into<String>) -> Self {
        Self { line: None, message: message.into(), hint: None }
    }

    fn value<E: std::fmt::Display>(
        what: &'static str,
        text: &str,
    ) -> impl FnOnce(E) -> Self + use<E> {
        let text = text.to_owned();
        move |error| Self::of(format!("{what}: `{text}`: {error}"))
    }

    fn at(self, path: &Path) -> ProjectError {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        let error = ProjectError::new(
            "invalid_manifest",
            format!("{}{line}: {}", path.display(), self.message),
        );
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error.hint("`skep schema worker` describes the file"),
        }
    }
}

/// Returns the expected name that is nearest to the one that the parser did not know.
fn nearest(message: &str) -> Option<String> {
    let (unknown, expected) = message.split_once(", expected ")?;
    let is_name = unknown.starts_with("unknown field") || unknown.starts_with("unknown variant");
    let unknown = unknown.split('`').nth(1).filter(|_| is_name)?;
    // The names are between backquotes: every second part.
    let known = expected.split('`').skip(1).step_by(2);
    let nearest = known.min_by_key(|known| strsim::damerau_levenshtein(known, unknown))?;
    let distance = strsim::damerau_levenshtein(nearest, unknown);
    (distance <= unknown.len().max(3) / 2).then(|| format!("did you mean `{nearest}`?"))
}

/// Returns true for the name of a project.
pub(crate) fn is_name(name: &str) -> bool {
    let letter = name.starts_with(|first: char| first.is_ascii_lowercase());
    let rest = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    letter && name.len() <= 64 && name.bytes().all(rest)
}

/// Returns true for a relative path that does not lead out of the project.
fn is_inside(path: &str) -> bool {
    use std::path::Component;
    let mut parts = Path::new(path).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fault(text: &str) -> ProjectError {
        match Manifest::parse(text) {
            Ok(manifest) => panic!("accepted: {manifest:?}"),
            Err(fault) => fault.at(Path::new("skep-worker.toml")),
        }
    }

    const LEAST: &str = "name = 'a'\nlang = 'js'\n";

    #[test]
    fn a_manifest_with_every_key_is_parsed() {
        let manifest = Manifest::parse(
            "name = 'tally'\nlang = 'python'\nkind = 'service'\nentry = 'src/worker.py'
            [build]\ncommand = ['make']\nartifact = 'out/tally.wasm'
            [config]\nstep = '2'
            [grants]\nscopes = ['src::/src']\nhttp = ['https://a.example']\nsecrets = ['key']
            [limits]\nmemory_bytes = '64MiB'\nturn_deadline_ms = 500
            [http]\ninstances = 'concurrent'\nreuse = 9\nentries = { every = 10 }
            [labels]\nteam = 'blue'
            [test]\ncommand = ['true']\nturns = 'turns'",
        );
        let manifest = manifest.unwrap_or_else(|fault| panic!("{}", fault.message));
        assert_eq!(manifest.limits().0[&LimitName::memory_bytes], 64 << 20);
        assert_eq!(
            manifest.grants().flags(),
            "--scope src::/src:ro --http https://a.example --secret key"
        );
        assert!(manifest.config().is_some());
        assert_eq!(manifest.http.entries.to_string(), "every=10");
        assert_eq!(
            (manifest.http.instances.as_str(), manifest.http.reuse),
            ("concurrent", Some(9))
        );
    }

    #[test]
    fn an_unknown_key_names_its_line_and_the_nearest_key() {
        let error = fault("name = 'a'\nlang = 'js'\n[limit]\n");
        assert!(error.message.starts_with("skep-worker.toml:3: unknown field `limit`"), "{error}");
        assert_eq!(error.hint.as_deref(), Some("did you mean `limits`?"));
        let error = fault("name = 'a'\nlang = 'javascript'\n");
        assert!(error.message.starts_with("skep-worker.toml:2: unknown variant"), "{error}");
    }

    #[test]
    fn values_are_checked_when_the_file_is_read() {
        for (more, says) in [
            ("entry = '../x.js'", "entry must be a path inside the project"),
            ("entry = '/x.js'", "entry must be a path inside the project"),
            ("[grants]\nhttp = ['example.com']", "grants.http: `example.com`"),
            ("[grants]\nscopes = ['src:/src']", "expected NAME::GUEST"),
            ("[limits]\nmemory_bytes = '64TB'", "limits.memory_bytes: unknown unit"),
            ("[limits]\ncomponent_bytes = 5", "cannot be set for one worker"),
            ("[limits]\nmemory = 5", "no such limit"),
            ("[test]\ncommand = []", "test.command must name a program"),
        ] {
            let error = fault(&format!("{LEAST}{more}"));
            assert!(error.message.contains(says), "{error}");
        }
        assert!(fault("name = 'A b'\nlang = 'js'").message.contains("name must be"));
    }

    #[test]
    fn a_grant_is_added_and_the_rest_of_the_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(MANIFEST);
        std::fs::write(&path, "# mine\nname = 'a' # here\nlang = 'js'\n").unwrap();
        let grants =
            Grants { http: vec!["https://a.example".parse().unwrap()], ..Grants::default() };
        for _ in 0..2 {
            Manifest::add_grants(&path, &grants).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("# mine\nname = 'a' # here\nlang = 'js'\n"), "{text}");
            assert_eq!(Manifest::read(&path).unwrap().grants(), grants);
        }
    }

    #[test]
    fn the_schema_lists_the_keys_and_refuses_others() {
        let schema = schema();
        let properties = schema["properties"].as_object().expect("an object");
        for key in ["name", "lang", "kind", "entry", "build", "config", "grants", "limits", "test"]
        {
            assert!(properties.contains_key(key), "{key}");
        }
        assert_eq!(schema["additionalProperties"], false);
    }
}
