//! Files that others wrote: any bytes are a result or an error, never a panic.

use proptest::prelude::*;

use crate::PipelineFile;
use crate::plan::{Plan, PlanOptions};
use crate::tests::testing::store;

const PIPELINE: &str = r#"
version = 1
salt = "é"
[tool.t]
file = "t.wasm"
files = { "/usr" = { npm = "a@1.0.0", member = "x" } }
[step.a]
tool = "t"
matrix = { m = ["1", "é"], g = { glob = "**/*.c?" } }
args = ["{matrix.m}", "{files}", "{{"]
src = ["**?", "!x"]
out = ["{matrix.m}.o?"]
timeout = "5s"
[step.b]
wasm = "{a}/x"
in = { "/in" = { step = "a", what = "results" } }
expect = { exit = "any" }
"#;

/// Words that mean something in the file.
fn words() -> impl Strategy<Value = String> {
    let known = vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        "=",
        "?",
        "!",
        "**",
        "é",
        "\n",
        "{matrix.",
        "{in:/",
        "..",
        "/",
        "\\",
        "999999999999999999999",
        "[step.c]\n",
        "like = \"t\"\n",
        "needs = [\"b\"]\n",
        "\0",
        "\u{202e}",
    ];
    let other = prop::collection::vec(any::<char>(), 0..3).prop_map(|it| it.into_iter().collect());
    prop_oneof![prop::sample::select(known).prop_map(str::to_owned), other]
}

proptest! {
    #[test]
    fn a_changed_pipeline_is_planned_or_refused_with_a_place(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..8usize, words()), 1..4)
    ) {
        let mut text: Vec<char> = PIPELINE.chars().collect();
        for (at, removed, word) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + removed).min(text.len());
            text.splice(at..end, word.chars());
        }
        let text: String = text.into_iter().collect();
        let faults = match PipelineFile::parse(&text) {
            Err(fault) => vec![fault],
            Ok(file) => Plan::make(&file, &Default::default(), &PlanOptions::default())
                .err()
                .unwrap_or_default(),
        };
        for fault in faults {
            prop_assert!(!fault.shown("file", &text).to_string().is_empty());
        }
    }

    #[test]
    fn any_report_is_counted_or_refused(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "<testsuite>", "</testsuite>", "<testcase name=\"", "\"/>", "<failure", ">", "&lt;", "&x;", "<!--",
            "-->", "<![CDATA[", "]]>", "<?xml ?>", "<!DOCTYPE", "a", "\"", "'", "\u{0}", "é",
        ]), 0..30)
    ) {
        // A result is as good as an error.
        drop(crate::junit::counts(pieces.concat().as_bytes()));
    }

    #[test]
    fn any_archive_is_unpacked_or_refused(head in 0..3usize, bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let (store, _cache) = store();
        let head: &[u8] = [&b"\x1f\x8b\x08"[..], b"PK\x03\x04", b""][head];
        let mut archive = [head, &bytes].concat();
        if head.is_empty() && archive.len() > 300 {
            archive[257..262].copy_from_slice(b"ustar");
        }
        drop(crate::archive::tree(&archive, &store));
        drop(crate::archive::member(&archive, "x"));
    }
}

#[test]
fn paths_and_links_of_an_archive_stay_inside() {
    let (store, _cache) = store();
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType| {
        let mut header = tar::Header::new_ustar();
        // The library itself refuses such paths.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o4777);
        header.set_size(1);
        header.set_cksum();
        tar.append(&header, &b"x"[..]).unwrap();
    };
    add("../up", tar::EntryType::Regular);
    add("/etc/x", tar::EntryType::Regular);
    add("a/../../b", tar::EntryType::Regular);
    add("link", tar::EntryType::Symlink);
    add("dev", tar::EntryType::Char);
    add("./good/x", tar::EntryType::Regular);
    let tree = crate::archive::tree(&tar.into_inner().unwrap(), &store).unwrap();
    assert_eq!(tree.0.keys().collect::<Vec<_>>(), ["good/x"]);
}
