//! Open files are limited, and the guest can handle the error for one too many.

use skep_harness::{Run, test_dir};

#[test]
fn open_descriptors() {
    let dir = test_dir();
    dir.file("file", "x");
    let mount = format!("{}", dir.display());
    for (guest, words) in [("probe", "insufficient"), ("preview1/probe", "33")] {
        let ran = Run::with(&["--dir", &mount]).guest(guest, &["open-many", "/data/file"]).go();
        let text = ran.text();
        assert!(text.contains("opened 102"), "{guest}: {text} {}", ran.stderr);
        assert!(text.to_lowercase().contains(words), "{guest}: {text}");
    }
}
