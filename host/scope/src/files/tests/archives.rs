use super::*;
use skep_protocol::Imported;
use tar::{EntryType, Header};

/// Raw tar blocks: no library writes the archives that are tested here.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(mut self, kind: u8, name: &[u8], content: &[u8]) -> Self {
        self.push(kind, name, content.len() as u64, content);
        self
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(b'0', name.as_bytes(), content)
    }

    fn sized(mut self, kind: u8, name: &[u8], size: u64, content: &[u8]) -> Self {
        self.push(kind, name, size, content);
        self
    }

    fn pax(self, kind: u8, records: &[(&str, &str)]) -> Self {
        let mut content = String::new();
        for (key, value) in records {
            let rest = format!(" {key}={value}\n");
            let mut length = rest.len();
            while length.to_string().len() + rest.len() != length {
                length = length.to_string().len() + rest.len();
            }
            content += &format!("{length}{rest}");
        }
        self.entry(kind, b"pax", content.as_bytes())
    }

    fn push(&mut self, kind: u8, name: &[u8], size: u64, content: &[u8]) {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(EntryType::new(kind));
        header.set_size(size);
        header.set_mtime(1_600_000_000);
        header.set_mode(0o4_777);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1_024, 0);
        self.0
    }
}

fn tar() -> Tar {
    Tar::default()
}

fn unpack_in(place: &Place, archive: &[u8], piece: usize) -> Result<Imported, FileError> {
    let mut import = ArchiveImport::new(&place.scope, place.aside.clone());
    for piece in archive.chunks(piece) {
        import.push(piece)?;
    }
    import.finish()
}

fn unpack(place: &Place, archive: &[u8]) -> Result<Imported, FileError> {
    unpack_in(place, archive, 1_000)
}

fn pack(place: &Place) -> Vec<u8> {
    let mut export = ArchiveExport::new(&place.scope);
    let mut archive = Vec::new();
    while let Some(piece) = export.next_piece().unwrap() {
        assert!(piece.len() < 2 * PIECE);
        archive.extend(piece);
    }
    archive
}

#[test]
fn exported_archives_can_be_imported() {
    let from = place(1 << 24, 1_000);
    let long = format!("{}/{}", "d".repeat(200), "ü".repeat(100));
    let exact = "e".repeat(100);
    let exact_dir = format!("{}/x", "f".repeat(100));
    let big: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    for (name, content) in [
        ("a/b/c", &b"content"[..]),
        ("empty", b""),
        ("block", &[1; 512]),
        ("over", &[2; 513]),
        ("big", &big),
        (&long, b"long"),
        (&exact, b"exact"),
        (&exact_dir, b"x"),
    ] {
        from.put(name, content).unwrap();
    }
    from.data.create_dir_all("bare/barer").unwrap();
    from.data.symlink("a/b/c", "link").unwrap();
    let archive = pack(&from);
    assert_eq!(archive.len() % 512, 0);
    for piece in [1, 511, 512, 513, 65_536, archive.len()] {
        if piece == 1 && archive.len() > 1 << 20 {
            continue;
        }
        let to = place(1 << 24, 1_000);
        let done = unpack_in(&to, &archive, piece).unwrap();
        assert_eq!(done.files, 8);
        assert_eq!(done.bytes, 7 + 512 + 513 + 800_000 + 4 + 5 + 1);
        assert_eq!(to.names(""), from.names(""));
        for name in to.names("") {
            assert_eq!(to.get(&name).unwrap(), from.get(&name).unwrap(), "{name}");
        }
        assert!(to.data.is_dir("bare/barer") && !to.data.exists("link"));
        assert_eq!(to.used().0, done.bytes);
        assert_eq!(pack(&to).len(), archive.len());
    }
    // Another implementation can read it too.
    let mut read = tar::Archive::new(&archive[..]);
    let paths: Vec<_> =
        read.entries().unwrap().map(|e| e.unwrap().path().unwrap().into_owned()).collect();
    assert!(paths.contains(&long.into()) && paths.contains(&"bare/barer/".into()));
}

#[test]
fn archives_from_other_tools_are_imported() {
    let place = place(1 << 20, 100);
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = Header::new_ustar();
    header.set_size(3);
    header.set_mode(0o777);
    let long = format!("{}/{}", "p".repeat(120), "n".repeat(90));
    for name in ["x/y", &long] {
        builder.append_data(&mut header, name, &b"abc"[..]).unwrap();
    }
    let archive = builder.into_inner().unwrap();
    assert_eq!(unpack(&place, &archive).unwrap(), Imported { files: 2, bytes: 6 });
    assert_eq!(place.names(""), [long.as_str(), "x/y"]);
    let archive = tar()
        .pax(b'g', &[("comment", "of all")])
        .entry(b'5', b"./", b"")
        .entry(b'5', b"./dir/", b"")
        .pax(b'x', &[("path", "./dir/from-pax"), ("mtime", "1.5"), ("size", "1")])
        .entry(b'0', b"short", b"1")
        .entry(b'L', b"././@LongLink", b"dir/from-gnu\0")
        .entry(b'0', b"short", b"2")
        .entry(b'\0', b"./x/y", b"replaced")
        .end();
    assert_eq!(unpack(&place, &archive).unwrap(), Imported { files: 3, bytes: 10 });
    assert_eq!(place.get("dir/from-pax").unwrap(), b"1");
    assert_eq!(place.get("dir/from-gnu").unwrap(), b"2");
    assert_eq!(place.get("x/y").unwrap(), b"replaced");
    let metadata = place.data.open("x/y").unwrap().into_std().metadata().unwrap();
    assert_eq!((metadata.mtime(), metadata.permissions().mode() & 0o7_777), (1_600_000_000, 0o600));
    let nothing = unpack(&place, &tar().end()).unwrap();
    assert_eq!(nothing, Imported::default());
}

#[test]
fn unsupported_entries_end_the_import() {
    let long = "n/".repeat(2_048) + "n";
    let wide = "w".repeat(256);
    let kinds = b"1234 67ADKMNSVx9g\xff";
    let mut hostile: Vec<(String, Tar)> = Vec::new();
    for kind in kinds {
        hostile.push((format!("kind {kind}"), tar().entry(*kind, b"name", b"")));
        hostile.push((format!("kind {kind} with content"), tar().entry(*kind, b"n", b"content")));
    }
    for name in [
        "/etc/passwd",
        "../up",
        "a/../../up",
        "..",
        "a/..",
        "",
        "a//b",
        "a/./b",
        "././a",
        "a/",
        "/",
        "./",
        ".",
        "\u{1b}[2J",
        "new\nline",
    ] {
        hostile.push((name.into(), tar().file(name, b"x")));
        hostile.push((
            format!("pax {name}"),
            tar().pax(b'x', &[("path", name)]).file("innocent", b"x"),
        ));
        let gnu = format!("{name}\0");
        hostile.push((
            format!("gnu {name}"),
            tar().entry(b'L', b"././@LongLink", gnu.as_bytes()).file("innocent", b"x"),
        ));
    }
    for name in ["/", "/abs/", "../", "a/../b/", "a//", "", "..", "./.."] {
        hostile.push((format!("directory {name}"), tar().entry(b'5', name.as_bytes(), b"")));
    }
    for (what, archive) in [
        ("a long name", tar().entry(b'L', b"l", long.as_bytes()).file("n", b"")),
        ("a wide name", tar().entry(b'L', b"l", wide.as_bytes()).file("n", b"")),
        ("an endless name", tar().sized(b'L', b"l", 1 << 40, b"x")),
        ("endless pax", tar().sized(b'x', b"l", 1 << 40, b"x")),
        ("not utf-8", tar().entry(b'0', b"\xff\xfe", b"")),
        ("pax is not pax", tar().entry(b'x', b"p", b"nonsense").file("n", b"")),
        ("pax lies of the size", tar().pax(b'x', &[("size", "9999")]).file("n", b"x")),
        ("pax size is none", tar().pax(b'x', &[("size", "-1")]).file("n", b"x")),
        ("sparse", tar().pax(b'x', &[("GNU.sparse.name", "n")]).file("n", b"x")),
        ("sparse 1.0", tar().pax(b'x', &[("GNU.sparse.major", "1")]).file("n", b"x")),
        ("two names", tar().pax(b'x', &[("path", "a"), ("path", "b")]).file("n", b"x")),
        ("two pax", tar().pax(b'x', &[("path", "a")]).pax(b'x', &[]).file("n", b"x")),
        ("two gnu", tar().entry(b'L', b"l", b"a").entry(b'L', b"l", b"b").file("n", b"x")),
        ("gnu and pax", tar().entry(b'L', b"l", b"a").pax(b'x', &[("path", "b")]).file("n", b"")),
        ("a name for all", tar().pax(b'g', &[("path", "a")]).file("n", b"x")),
        ("a name for none", tar().entry(b'L', b"l", b"a")),
        ("a directory with content", tar().entry(b'5', b"d", b"content")),
        ("a name twice", tar().file("a", b"1").file("a", b"2")),
        ("a name twice, otherwise", tar().file("a", b"1").file("./a", b"2")),
        ("a directory twice", tar().entry(b'5', b"d", b"").entry(b'5', b"d/", b"")),
        ("a file and a directory", tar().file("a", b"1").entry(b'5', b"a/", b"")),
        ("below a file", tar().file("a", b"1").file("a/b", b"2")),
        ("a directory below a file", tar().file("a", b"1").entry(b'5', b"a/b", b"")),
        ("in place of a directory", tar().file("dir", b"1")),
        ("in place of a directory on the way", tar().file("b/c", b"1").file("b", b"1")),
        ("a directory in place of a file", tar().entry(b'5', b"file", b"")),
        ("below a file that was there", tar().file("file/x", b"")),
        ("through a link", tar().file("link/x", b"")),
        ("over a link", tar().file("link", b"")),
        ("a directory over a link", tar().entry(b'5', b"link", b"")),
        ("over a fifo", tar().file("fifo", b"")),
    ] {
        hostile.push((what.into(), archive));
    }
    for (what, archive) in hostile {
        let place = place(1 << 20, 1_000);
        place.outer.create_dir("elsewhere").unwrap();
        place.data.create_dir("dir").unwrap();
        place.data.write("file", b"as it was").unwrap();
        place.data.symlink("../elsewhere", "link").unwrap();
        rustix::fs::mknodat(
            &place.data,
            "fifo",
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let archive = Tar(tar().file("before", b"stays").0.into_iter().chain(archive.0).collect());
        let done = unpack(&place, &archive.end());
        assert!(matches!(done, Err(FileError::Archive)), "{what:?}: {done:?}");
        assert_eq!(place.get("before").unwrap(), b"stays", "{what:?}");
        assert_eq!(place.get("file").unwrap(), b"as it was", "{what:?}");
        assert!(place.is_aside_empty(), "{what:?}");
        assert!(!place.data.exists("innocent"), "{what:?}");
        let names: Vec<_> = place.outer.entries().unwrap().collect();
        assert_eq!(names.len(), 3, "{what:?}");
        assert!(place.outer.open_dir("elsewhere").unwrap().entries().unwrap().next().is_none());
    }
}

#[test]
fn malformed_archives_are_refused() {
    let good = tar().file("a", &[7; 600]).end();
    for cut in [0, 1, 100, 511, 512, 600, 1_535, 1_536, 1_600, 2_047, 2_048, 2_559] {
        let place = place(1 << 20, 100);
        let done = unpack(&place, &good[..cut]);
        assert!(matches!(done, Err(FileError::Archive)), "{cut}: {done:?}");
        assert!(place.is_aside_empty());
        assert_eq!(place.names("").is_empty(), cut < 1_112, "{cut}");
    }
    let mut flipped = good.clone();
    flipped[3] ^= 1;
    let mut trailing = good.clone();
    trailing.push(1);
    let mut endless = good.clone();
    endless.resize(2 << 20, 0);
    let zip = b"PK\x03\x04".repeat(300);
    let random: Vec<u8> =
        (0..4_096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for bad in [flipped, trailing, endless, zip, random] {
        let place = place(1 << 20, 100);
        assert!(matches!(unpack(&place, &bad), Err(FileError::Archive)));
    }
}

#[test]
fn imports_are_bounded_by_the_quota() {
    let place = place(1_000, 3);
    let past = unpack(&place, &tar().file("a", &[1; 900]).file("b", &[2; 200]).end());
    assert!(matches!(past, Err(FileError::Quota(LimitName::disk_bytes))));
    assert_eq!((place.names(""), place.used()), (vec!["a".to_owned()], (900, 1)));
    // An entry that claims to be larger than any disk.
    let past = unpack(&place, &tar().sized(b'0', b"c", 1 << 60, &[3; 600]).end());
    assert!(matches!(past, Err(FileError::Quota(LimitName::disk_bytes))));
    let past = unpack(&place, &tar().entry(b'5', b"d/e/f", b"").end());
    assert!(matches!(past, Err(FileError::Quota(LimitName::disk_entries))));
    assert_eq!(place.used(), (900, 1));
    assert!(place.is_aside_empty());
}

#[test]
fn exports_tolerate_changes_to_the_tree() {
    let place = place(1 << 22, 100);
    place.put("a", &vec![1; 300_000]).unwrap();
    place.put("b", b"gone").unwrap();
    place.put("d/x", b"gone with its directory").unwrap();
    let mut export = ArchiveExport::new(&place.scope);
    let mut archive = export.next_piece().unwrap().unwrap();
    place
        .data
        .open_with("a", cap_std::fs::OpenOptions::new().write(true))
        .unwrap()
        .set_len(9)
        .unwrap();
    place.data.remove_file("b").unwrap();
    place.data.remove_dir_all("d").unwrap();
    place.data.write("e", b"new").unwrap();
    while let Some(piece) = export.next_piece().unwrap() {
        archive.extend(piece);
    }
    let to = super::place(1 << 22, 100);
    assert_eq!(unpack(&to, &archive).unwrap(), Imported { files: 1, bytes: 300_000 });
    assert!(to.get("a").unwrap().ends_with(&[0; 100_000]), "the header has announced the size");
}
