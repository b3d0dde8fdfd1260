//! `skep-ci.toml`: the pipeline as its author writes it. Data only, so that a stranger's pipeline can
//! be shown before any of it runs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use skep_protocol::LimitName;
use toml::Spanned;

use crate::fault::{FileFault, of_parser};

/// The name of the file.
pub const PIPELINE_FILE: &str = "skep-ci.toml";

/// The only version of the format.
pub(crate) const VERSION: u32 = 1;

/// Names by which tables of the file are found, each with its place.
pub(crate) type Named<T> = BTreeMap<Spanned<String>, T>;

/// The content of the file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "skep-ci.toml")]
pub struct PipelineFile {
    /// Version of the format: 1.
    #[schemars(with = "u32", range(min = 1, max = 1))]
    pub version: Spanned<u32>,
    /// A word that separates this pipeline's results from those of other pipelines.
    #[serde(default)]
    pub salt: String,
    /// Values for steps that do not set them.
    #[serde(default)]
    pub defaults: DefaultsTable,
    /// Programs.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, ToolTable>")]
    pub tool: Named<ToolTable>,
    /// Steps. Each is one action, or one for each combination of its matrix.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, StepTable>")]
    pub step: Named<StepTable>,
}

/// The `[defaults]` section.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DefaultsTable {
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Deadline.
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Spanned<String>>,
    /// Memory.
    #[schemars(with = "Option<String>")]
    pub memory: Option<Spanned<String>>,
    /// Bytes that a step may write.
    #[schemars(with = "Option<String>")]
    pub disk: Option<Spanned<String>>,
    /// Bytes of output that are kept.
    #[schemars(with = "Option<String>")]
    pub log: Option<Spanned<String>>,
    /// Source of the rules for files that no step sees.
    pub ignore: Option<IgnoreRules>,
}

/// A program: a file of the project, or a pinned file of a package.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ToolTable {
    /// Another tool, whose keys this one has unless it sets them.
    #[schemars(with = "Option<String>")]
    pub like: Option<Spanned<String>>,
    /// Path in the project.
    #[schemars(with = "Option<String>")]
    pub file: Option<Spanned<String>>,
    /// `https` address of a file or an archive.
    #[schemars(with = "Option<String>")]
    pub url: Option<Spanned<String>>,
    /// npm package, `NAME@VERSION`.
    #[schemars(with = "Option<String>")]
    pub npm: Option<Spanned<String>>,
    /// PyPI package, `NAME==VERSION`.
    #[schemars(with = "Option<String>")]
    pub pypi: Option<Spanned<String>>,
    /// Path in the package or archive (.tgz, .whl, .zip).
    #[schemars(with = "Option<String>")]
    pub member: Option<Spanned<String>>,
    /// SHA-256 of the program; `skep ci lock` fills it in.
    #[schemars(with = "Option<String>")]
    pub sha256: Option<Spanned<String>>,
    /// Name that the program is started by: it selects one of several in a file.
    pub argv0: Option<String>,
    /// Read-only trees that come with the program, by their path in the guest.
    #[schemars(with = "BTreeMap<String, ToolPlace>")]
    pub files: Named<ToolPlace>,
    /// Environment of each step that uses it.
    pub env: BTreeMap<String, String>,
    /// Memory of each step that uses it.
    #[schemars(with = "Option<String>")]
    pub memory: Option<Spanned<String>>,
}

/// The place of a program or of a tree.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ToolPlace {
    /// Path in the project.
    #[schemars(with = "Option<String>")]
    pub file: Option<Spanned<String>>,
    /// `https` address of a file or an archive.
    #[schemars(with = "Option<String>")]
    pub url: Option<Spanned<String>>,
    /// npm package, `NAME@VERSION`.
    #[schemars(with = "Option<String>")]
    pub npm: Option<Spanned<String>>,
    /// PyPI package, `NAME==VERSION`.
    #[schemars(with = "Option<String>")]
    pub pypi: Option<Spanned<String>>,
    /// Path in the package or archive (.tgz, .whl, .zip).
    #[schemars(with = "Option<String>")]
    pub member: Option<Spanned<String>>,
    /// SHA-256 of the named file; `skep ci lock` fills it in.
    #[schemars(with = "Option<String>")]
    pub sha256: Option<Spanned<String>>,
}

/// A step.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StepTable {
    /// Program.
    #[schemars(with = "Option<String>")]
    pub tool: Option<Spanned<String>>,
    /// Program that an earlier step made: `{step}/path`. It runs in a process of its own.
    #[schemars(with = "Option<String>")]
    pub wasm: Option<Spanned<String>>,
    /// Arguments. `{matrix.K}`, `{matrix.K.stem}`, `{files}` and `{in:/dir/glob}` are replaced.
    #[schemars(with = "Vec<String>")]
    pub args: Vec<Spanned<String>>,
    /// Environment. Nothing of the host's is added.
    #[schemars(with = "BTreeMap<String, String>")]
    pub env: BTreeMap<String, Spanned<String>>,
    /// Standard input: a file of the project, or `{step}/path`.
    #[schemars(with = "Option<String>")]
    pub stdin: Option<Spanned<String>>,
    /// Globs of the project's files that the step sees, read-only, and no others. A leading `!`
    /// leaves out, and a trailing `?` allows that nothing matches.
    #[schemars(with = "Vec<String>")]
    pub src: Vec<Spanned<String>>,
    /// Globs of the files that become `{files}`. The step sees them too.
    #[schemars(with = "Vec<String>")]
    pub files: Vec<Spanned<String>>,
    /// Maximum number of `{files}` of one run; the step runs once for each batch.
    #[schemars(with = "Option<u64>")]
    pub batch: Option<Spanned<u64>>,
    /// Source of the rules for files that the step does not see.
    pub ignore: Option<IgnoreRules>,
    /// Directory of the sources in the guest [default: /].
    #[schemars(with = "Option<String>")]
    pub at: Option<Spanned<String>>,
    /// With `copy`, the sources are a writable copy, and what matches `out` is taken from it.
    pub src_mode: SourceMode,
    /// Steps that end before this one starts.
    #[schemars(with = "Vec<String>")]
    pub needs: Vec<Spanned<String>>,
    /// Read-only directories of earlier steps' outputs, by their path in the guest.
    #[serde(rename = "in")]
    #[schemars(with = "BTreeMap<String, InputTable>")]
    pub inputs: BTreeMap<Spanned<String>, Spanned<InputTable>>,
    /// Globs of the files below /out that are kept.
    #[schemars(with = "Vec<String>")]
    pub out: Vec<Spanned<String>>,
    /// Output that is a JUnit report.
    #[schemars(with = "Option<String>")]
    pub junit: Option<Spanned<String>>,
    /// Values whose combinations the step runs with.
    #[schemars(with = "BTreeMap<String, MatrixTable>")]
    pub matrix: BTreeMap<String, Spanned<MatrixTable>>,
    /// Combinations that are left out.
    pub exclude: Vec<BTreeMap<String, String>>,
    /// Maximum number of combinations [default: 256].
    #[schemars(with = "Option<u64>")]
    pub max: Option<Spanned<u64>>,
    /// Condition on the steps before it.
    #[serde(rename = "if")]
    pub condition: Condition,
    /// Globs: with `--base`, the step is skipped unless a changed file matches.
    #[schemars(with = "Vec<String>")]
    pub paths: Vec<Spanned<String>>,
    /// Deadline [default: 60s].
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Spanned<String>>,
    /// Memory [default: 256MiB].
    #[schemars(with = "Option<String>")]
    pub memory: Option<Spanned<String>>,
    /// Bytes that it may write [default: 1GiB].
    #[schemars(with = "Option<String>")]
    pub disk: Option<Spanned<String>>,
    /// Bytes of standard output and standard error that are kept [default: 4MiB].
    #[schemars(with = "Option<String>")]
    pub log: Option<Spanned<String>>,
    /// Approximate number of instructions.
    #[schemars(with = "Option<u64>")]
    pub fuel: Option<Spanned<u64>>,
    /// Other limits; `skep inspect` lists the names.
    #[schemars(with = "BTreeMap<String, LimitNumber>")]
    pub limits: BTreeMap<LimitName, Spanned<LimitNumber>>,
    /// The end that counts as success [default: exit code 0].
    pub expect: ExpectTable,
    /// True if a failure does not fail the run.
    pub allow_fail: bool,
    /// Repetition after a failure [default: once after a fault of the host].
    #[schemars(with = "Option<RetryTable>")]
    pub retry: Option<Spanned<RetryTable>>,
    /// Use of the cache [default: on; off with `http` or a real clock].
    pub cache: Option<CacheUse>,
    /// Clock that the step sees [default: virtual].
    pub clock: Clock,
    /// Seed of its random numbers.
    pub seed: u64,
    /// True if it runs in a process of its own, as programs that a step made always do.
    pub isolate: bool,
    /// True if instructions are counted and NaNs are canonical, as `skep run --deterministic` does.
    pub deterministic: bool,
    /// HTTP requests that it may send: `[METHOD,… ]SCHEME://HOST[:PORT][ inner]`.
    #[schemars(with = "Vec<String>")]
    pub http: Vec<Spanned<String>>,
    /// Secrets of skep.toml. The step gets a stand-in for each, as a worker does.
    #[schemars(with = "Vec<String>")]
    pub secrets: Vec<Spanned<String>>,
    /// Number of runs whose results must be equal [default: 1].
    #[schemars(with = "Option<u32>")]
    pub verify: Option<Spanned<u32>>,
}

/// The values of one key of a matrix.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a list of texts, { glob = \"…\" } or { dirs = \"…\" }")]
pub enum MatrixTable {
    /// Values.
    List(Vec<String>),
    /// Values from the project.
    Project(MatrixGlob),
}

/// Values that are paths of the project.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MatrixGlob {
    /// The files that match.
    Glob(String),
    /// The directories that match.
    Dirs(String),
}

/// A directory made of outputs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected the name of a step, or { step = \"…\", what = \"results\" }"
)]
pub enum InputTable {
    /// The outputs of a step; those of all its combinations together.
    Step(String),
    /// More than the outputs.
    Chosen(InputChoice),
}

/// The part of a step's results that a directory has.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputChoice {
    /// The step.
    pub step: String,
    /// The part.
    #[serde(default)]
    pub what: InputPart,
}

/// The part of a step's results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputPart {
    /// The outputs.
    #[default]
    Outputs,
    /// For each combination a directory with `result.json`, `stdout`, `stderr` and `out/`, and
    /// `legs.json`, which lists them.
    Results,
}

/// Source of the rules for files that no step sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IgnoreRules {
    /// `.gitignore` files.
    #[default]
    Git,
    /// None: all files but those in `.git`.
    None,
}

/// Access to the sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceMode {
    /// Read-only.
    #[default]
    Ro,
    /// A private writable copy.
    Copy,
}

/// Condition on the steps before one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// All ended as expected.
    #[default]
    Success,
    /// One did not.
    Failure,
    /// None.
    Always,
}

/// The end that counts as success.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectTable {
    /// Exit codes.
    pub exit: Option<ExitCodes>,
    /// Ends: `exited`, `trapped`, `deadline`, `limit`.
    #[schemars(with = "Option<OutcomeWords>")]
    pub outcome: Option<Spanned<OutcomeWords>>,
}

/// Exit codes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected an exit code, a list of them, or \"any\"")]
pub enum ExitCodes {
    /// One.
    One(u8),
    /// Several.
    Several(Vec<u8>),
    /// `any`.
    Any(AnyWord),
}

/// The word `any`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnyWord {
    /// Every value.
    Any,
}

/// Ends of a step.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected an end or a list of them: exited, trapped, deadline, limit"
)]
pub enum OutcomeWords {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// Repetition after a failure.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryTable {
    /// Maximum number of repetitions.
    pub max: u32,
    /// Ends after which it is repeated.
    #[serde(default = "host_fault")]
    pub on: Vec<String>,
}

fn host_fault() -> Vec<String> {
    vec!["host_fault".into()]
}

/// Use of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheUse {
    /// Results are kept and reused.
    On,
    /// The step always runs.
    Off,
}

/// The clock that a step sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Moves only with the guest's own calls.
    #[default]
    Virtual,
    /// The host's.
    Real,
}

/// A limit's value: a number, or a size such as `64MiB`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number or a size such as \"64MiB\"")]
pub enum LimitNumber {
    /// A number in the limit's own unit.
    Number(u64),
    /// A size.
    Text(String),
}

impl ToolTable {
    /// Returns the place of the program.
    pub fn place(&self) -> ToolPlace {
        ToolPlace {
            file: self.file.clone(),
            url: self.url.clone(),
            npm: self.npm.clone(),
            pypi: self.pypi.clone(),
            member: self.member.clone(),
            sha256: self.sha256.clone(),
        }
    }
}

impl PipelineFile {
    /// Parses the text of the file.
    ///
    /// # Errors
    /// The first thing that does not have the form of the file.
    pub fn parse(text: &str) -> Result<Self, FileFault> {
        let file: Self = toml::from_str(text).map_err(|error| of_parser(&error))?;
        if *file.version.get_ref() != VERSION {
            let message = format!("version {} is not known", file.version.get_ref());
            let fault = FileFault::at(file.version.span(), message);
            return Err(fault.hint(format!("this Skep reads version {VERSION}")));
        }
        Ok(file)
    }
}

impl PipelineFile {
    /// Returns true if a step sees files that git ignores.
    pub fn sees_ignored(&self) -> bool {
        let default = self.defaults.ignore.unwrap_or_default();
        self.step.values().any(|step| step.ignore.unwrap_or(default) == IgnoreRules::None)
    }
}

/// Returns the JSON Schema of the file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(PipelineFile).to_value()
}
