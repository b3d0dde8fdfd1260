//! Names with a trailing slash mean the same in a scope as to the kernel.
//!
//! Each call is made twice, in a scope and by the kernel in a tree with the same content. Both must
//! have the same result, including the error, and leave the same tree.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat as KernelStat, Timespec, Timestamps};
use rustix::io::Errno;

use super::*;

/// A name for each kind of file in the tree, and one that does not exist.
const NAMES: [&str; 9] =
    ["file", "full", "empty", "to-file", "to-full", "to-empty", "to-nothing", "loop", "missing"];

/// Suffixes that are appended to a name.
const TAILS: [&str; 6] = ["", "/", "//", "/.", "/./", "/.."];

/// The names that a call gets. A call with one name ignores the second.
struct Names {
    first: String,
    second: String,
}

/// The result of a call.
type Found = Result<String, Errno>;

struct Call {
    name: &'static str,
    in_scope: fn(&OpenDirectory, &Names) -> Result<String, ScopeError>,
    by_the_kernel: fn(&Dir, &Names) -> Found,
}

const ON_ONE_NAME: [Call; 14] = [
    Call {
        name: "stat",
        in_scope: |dir, names| dir.stat_at(&names.first, true).map(kind),
        by_the_kernel: |dir, names| {
            rustix::fs::statat(dir, &*names.first, AtFlags::empty()).map(kind_of)
        },
    },
    Call {
        name: "lstat",
        in_scope: |dir, names| dir.stat_at(&names.first, false).map(kind),
        by_the_kernel: |dir, names| {
            rustix::fs::statat(dir, &*names.first, AtFlags::SYMLINK_NOFOLLOW).map(kind_of)
        },
    },
    Call {
        name: "open",
        in_scope: |dir, names| opened(dir.open(&names.first, READ)),
        by_the_kernel: |dir, names| open(dir, names, OFlags::RDONLY),
    },
    Call {
        name: "open without following",
        in_scope: |dir, names| opened(dir.open(&names.first, OpenHow { follow: false, ..READ })),
        by_the_kernel: |dir, names| open(dir, names, OFlags::RDONLY | OFlags::NOFOLLOW),
    },
    Call {
        name: "open a directory",
        in_scope: |dir, names| opened(dir.open(&names.first, OpenHow { directory: true, ..READ })),
        by_the_kernel: |dir, names| open(dir, names, OFlags::RDONLY | OFlags::DIRECTORY),
    },
    Call {
        name: "open for writing",
        in_scope: |dir, names| opened(dir.open(&names.first, OpenHow { write: true, ..READ })),
        by_the_kernel: |dir, names| open(dir, names, OFlags::RDWR),
    },
    Call {
        name: "create",
        in_scope: |dir, names| opened(dir.open(&names.first, WRITE)),
        by_the_kernel: |dir, names| open(dir, names, OFlags::RDWR | OFlags::CREATE),
    },
    Call {
        name: "create a new one",
        in_scope: |dir, names| opened(dir.open(&names.first, OpenHow { exclusive: true, ..WRITE })),
        by_the_kernel: |dir, names| open(dir, names, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL),
    },
    Call {
        name: "create for reading",
        in_scope: |dir, names| opened(dir.open(&names.first, OpenHow { create: true, ..READ })),
        by_the_kernel: |dir, names| open(dir, names, OFlags::RDONLY | OFlags::CREATE),
    },
    Call {
        name: "mkdir",
        in_scope: |dir, names| done(dir.create_directory(&names.first)),
        by_the_kernel: |dir, names| done(rustix::fs::mkdirat(dir, &*names.first, Mode::RWXU)),
    },
    Call {
        name: "rmdir",
        in_scope: |dir, names| done(dir.remove_directory(&names.first)),
        by_the_kernel: |dir, names| {
            done(rustix::fs::unlinkat(dir, &*names.first, AtFlags::REMOVEDIR))
        },
    },
    Call {
        name: "unlink",
        in_scope: |dir, names| done(dir.unlink(&names.first)),
        by_the_kernel: |dir, names| {
            done(rustix::fs::unlinkat(dir, &*names.first, AtFlags::empty()))
        },
    },
    Call {
        name: "symlink",
        in_scope: |dir, names| done(dir.symlink("target", &names.first)),
        by_the_kernel: |dir, names| done(rustix::fs::symlinkat("target", dir, &*names.first)),
    },
    Call {
        name: "readlink",
        in_scope: |dir, names| dir.read_link(&names.first),
        by_the_kernel: |dir, names| {
            let target = rustix::fs::readlinkat(dir, &*names.first, Vec::new())?;
            Ok(target.into_string().unwrap())
        },
    },
];

const SET_TIMES: [Call; 2] = [
    Call {
        name: "set times",
        in_scope: |dir, names| done(dir.set_times_at(&names.first, true, AT, AT)),
        by_the_kernel: |dir, names| set_times(dir, names, AtFlags::empty()),
    },
    Call {
        name: "set times without following",
        in_scope: |dir, names| done(dir.set_times_at(&names.first, false, AT, AT)),
        by_the_kernel: |dir, names| set_times(dir, names, AtFlags::SYMLINK_NOFOLLOW),
    },
];

const ON_TWO_NAMES: [Call; 2] = [
    Call {
        name: "rename",
        in_scope: |dir, names| done(dir.rename(&names.first, dir, &names.second)),
        by_the_kernel: |dir, names| {
            done(rustix::fs::renameat(dir, &*names.first, dir, &*names.second))
        },
    },
    Call {
        name: "link",
        in_scope: |dir, names| done(dir.link(&names.first, dir, &names.second)),
        by_the_kernel: |dir, names| {
            let flags = AtFlags::empty();
            done(rustix::fs::linkat(dir, &*names.first, dir, &*names.second, flags))
        },
    },
];

const AT: NewTime = NewTime::At(std::time::Duration::from_secs(1_000_000_000));

fn kind(stat: Stat) -> String {
    format!("{:?}", stat.kind)
}

fn kind_of(stat: KernelStat) -> String {
    format!("{:?}", NodeKind::from(FileType::from_raw_mode(stat.st_mode)))
}

fn done<E>(result: Result<(), E>) -> Result<String, E> {
    result.map(|()| "done".to_owned())
}

fn opened(result: Result<OpenNode, ScopeError>) -> Result<String, ScopeError> {
    match result? {
        OpenNode::File(file) => file.stat(),
        OpenNode::Directory(directory) => directory.stat(),
    }
    .map(kind)
}

fn open(dir: &Dir, names: &Names, flags: OFlags) -> Found {
    let file = rustix::fs::openat(dir, &*names.first, flags | OFlags::CLOEXEC, Mode::RWXU)?;
    rustix::fs::fstat(file).map(kind_of)
}

fn set_times(dir: &Dir, names: &Names, flags: AtFlags) -> Found {
    let at = Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 };
    let times = Timestamps { last_access: at, last_modification: at };
    done(rustix::fs::utimensat(dir, &*names.first, &times, flags))
}

fn fill(dir: &Dir) {
    dir.write("file", b"content").unwrap();
    dir.create_dir("full").unwrap();
    dir.write("full/inner", b"").unwrap();
    dir.create_dir("empty").unwrap();
    for (target, name) in [
        ("file", "to-file"),
        ("full", "to-full"),
        ("empty", "to-empty"),
        ("nothing", "to-nothing"),
        ("loop", "loop"),
    ] {
        dir.symlink(target, name).unwrap();
    }
}

/// Describes all files of a tree: the name, the type, and whether the time was set.
fn content(dir: &Dir) -> Vec<String> {
    let mut names = Vec::new();
    let mut pending = vec![String::new()];
    while let Some(base) = pending.pop() {
        for entry in dir.read_dir(format!("./{base}")).unwrap() {
            let name = format!("{base}{}", entry.unwrap().file_name().display());
            let stat = rustix::fs::statat(dir, &*name, AtFlags::SYMLINK_NOFOLLOW).unwrap();
            if FileType::from_raw_mode(stat.st_mode).is_dir() {
                pending.push(format!("{name}/"));
            }
            let is_set = stat.st_mtime == 1_000_000_000;
            names.push(format!("{name} {} {is_set}", kind_of(stat)));
        }
    }
    names.sort();
    names
}

/// Two trees with the same content.
struct Twins {
    ours: Fixture,
    the_kernels: cap_tempfile::TempDir,
}

impl Twins {
    fn new() -> Self {
        let ours = fixture(Rights::ReadWrite, 1 << 20, 100);
        let the_kernels = cap_tempfile::tempdir(ambient_authority()).unwrap();
        fill(&ours.temp);
        fill(&the_kernels);
        Self { ours, the_kernels }
    }

    /// Makes one call in the scope and by the kernel, and describes the difference if there is one.
    fn compare(&mut self, call: &Call, names: &Names) -> Option<String> {
        let end = (call.in_scope)(&self.ours.scope.open(), names).map_err(|error| match error {
            ScopeError::Io(error) => {
                Errno::from_io_error(&error).expect("the error comes from the kernel")
            }
            other => panic!("{}: {other}", call.name),
        });
        let expected = (call.by_the_kernel)(&self.the_kernels, names);
        let same = end == expected && content(&self.ours.temp) == content(&self.the_kernels);
        if !same || end.is_ok() {
            *self = Self::new();
        }
        (!same).then(|| {
            let Names { first, second } = names;
            format!("{} {first} {second}: scope {end:?}, kernel {expected:?}", call.name)
        })
    }
}

fn with_tails<'a>(tails: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
    NAMES.iter().flat_map(move |name| tails.iter().map(move |tail| format!("{name}{tail}")))
}

#[test]
fn trailing_slashes_mean_the_same_as_to_the_kernel() {
    let (mut twins, mut differences) = (Twins::new(), Vec::new());
    for call in ON_ONE_NAME.iter().chain(&SET_TIMES) {
        for first in with_tails(&TAILS) {
            // A scope never creates a file through a dangling link, since it would not know what
            // was created.
            if call.name.starts_with("create") && first == "to-nothing" {
                continue;
            }
            differences.extend(twins.compare(call, &Names { first, second: String::new() }));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn trailing_slashes_on_two_names_mean_the_same_as_to_the_kernel() {
    let (mut twins, mut differences) = (Twins::new(), Vec::new());
    for call in &ON_TWO_NAMES {
        for first in with_tails(&["", "/", "/.", "/.."]) {
            for second in with_tails(&["", "/", "/.", "/.."]) {
                differences.extend(twins.compare(call, &Names { first: first.clone(), second }));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Links and paths that lead out of a scope.
const WAYS_OUT: [&str; 8] =
    ["up", "to-secret", "to-outside", "absolute", "..", "../secret", "/", "/etc"];

#[test]
fn trailing_slashes_never_leave_the_scope() {
    let mut edge = Edge::new();
    for call in ON_ONE_NAME.iter().chain(&SET_TIMES).chain(&ON_TWO_NAMES) {
        for way in WAYS_OUT {
            for tail in TAILS {
                let path = format!("{way}{tail}");
                edge.check(call, &Names { first: path.clone(), second: "new".into() });
                if ON_TWO_NAMES.iter().any(|other| other.name == call.name) {
                    edge.check(call, &Names { first: "file".into(), second: path });
                }
            }
        }
    }
}

/// A scope that contains links out of it, and its surroundings.
struct Edge {
    f: Fixture,
    scope: Scope,
    before: Vec<String>,
}

impl Edge {
    fn new() -> Self {
        let f = fixture(Rights::ReadWrite, 1 << 20, 100);
        for name in ["inside", "outside"] {
            f.temp.create_dir(name).unwrap();
        }
        f.temp.write("secret", b"s").unwrap();
        let inside = f.temp.open_dir("inside").unwrap();
        inside.write("file", b"content").unwrap();
        for (target, link) in
            [("..", "up"), ("../secret", "to-secret"), ("../outside", "to-outside")]
        {
            inside.symlink(target, link).unwrap();
        }
        symlink("/etc", proc_path(&inside, "absolute")).unwrap();
        let before = outside(&f.temp);
        let scope = Scope::new(inside, Rights::ReadWrite, f.disk.clone());
        Self { f, scope, before }
    }

    /// Makes a call on a name that leads out. Without a trailing slash the guest may rename or
    /// remove the link itself, but not its target.
    fn check(&mut self, call: &Call, names: &Names) {
        let end = (call.in_scope)(&self.scope.open(), names);
        let Names { first, second } = names;
        assert_eq!(outside(&self.f.temp), self.before, "{} {first} {second}", call.name);
        let is_a_link = !first.contains(['/', '.']) && !second.contains(['/', '.']);
        let follows = ["stat", "open", "create", "set times"].iter().any(|verb| {
            call.name.starts_with(verb) && !call.name.ends_with("times without following")
        });
        if !is_a_link || follows {
            assert!(end.is_err(), "{} {first} {second}: {end:?}", call.name);
        }
        if end.is_ok() {
            *self = Self::new();
        }
    }
}

/// Describes the files outside the scope's directory.
fn outside(dir: &Dir) -> Vec<String> {
    content(dir).into_iter().filter(|name| !name.starts_with("inside/")).collect()
}
