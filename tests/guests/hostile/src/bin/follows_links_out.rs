//! Links that lead out: directly, over other links, through a directory, in circles. None may be
//! followed, and nothing may be made at their targets.

use hostile::directory::{
    BOTH, DescriptorFlags, FOLLOW, NewTimestamp, OpenFlags, STAY, create, granted, must_fail,
    must_work, write,
};

/// Names and targets of links.
const LINKS: &[(&str, &str)] = &[
    ("file-out", "../../../../secret"),
    ("new-out", "../../../../made-by-a-guest"),
    ("dir-out", "../../../.."),
    ("up", ".."),
    ("out-and-in", "../data/file"),
    ("chain-1", "chain-2"),
    ("chain-2", "./sub/../chain-3"),
    ("chain-3", "file-out"),
    ("sub/up-twice", "../.."),
    ("sub/chained", "../up/../../../secret"),
    ("itself", "itself"),
    ("ping", "pong"),
    ("pong", "ping"),
    ("below-itself", "below-itself/x"),
    ("long", "sub/../sub/../sub/../sub/../sub/../sub/../../../../../secret"),
];

/// Paths that begin with one of them.
const WAYS: &[&str] = &[
    "file-out",
    "file-out/",
    "file-out/.",
    "new-out",
    "new-out/",
    "dir-out",
    "dir-out/",
    "dir-out/.",
    "dir-out/secret",
    "dir-out/store/identity.json",
    "up/",
    "up/incoming",
    "up/data/file",
    "up/up/file",
    "out-and-in",
    "chain-1",
    "chain-1/",
    "sub/up-twice/file",
    "sub/up-twice/data/file",
    "sub/chained",
    "itself",
    "itself/x",
    "ping",
    "below-itself",
    "long",
    "hops-49",
];

fn main() {
    let data = granted("/data");
    write(&data, "file", b"good");
    must_work("a directory", data.create_directory_at("sub"));
    for (name, target) in LINKS {
        must_work(name, data.symlink_at(target, name));
    }
    must_work("a link", data.symlink_at("file", "hops-0"));
    for n in 1..50 {
        must_work("a link", data.symlink_at(&format!("hops-{}", n - 1), &format!("hops-{n}")));
    }
    let (now, mut count) = (NewTimestamp::Now, 0);
    for way in WAYS {
        let mut fail = |what: &str, worked| {
            must_fail(&mut count, format_args!("{what} {way}"), worked);
        };
        let open = |how, flags| data.open_at(FOLLOW, way, how, flags).map(drop);
        fail("open", open(OpenFlags::empty(), DescriptorFlags::READ));
        fail("open for writing", open(OpenFlags::empty(), BOTH));
        fail("open as a directory", open(OpenFlags::DIRECTORY, DescriptorFlags::READ));
        fail("create", open(OpenFlags::CREATE, BOTH));
        fail("truncate", open(OpenFlags::TRUNCATE, BOTH));
        fail("stat", data.stat_at(FOLLOW, way).map(drop));
        fail("set the times of", data.set_times_at(FOLLOW, way, now, now));
        fail("link from", data.link_at(FOLLOW, way, &data, "linked"));
        fail("create below", create(&data, &format!("{way}/made-by-a-guest")).map(drop));
        fail("make a directory", data.create_directory_at(&format!("{way}/made-by-a-guest")));
        fail("rename to", data.rename_at("file", &data, &format!("{way}/made-by-a-guest")));
        fail(
            "list",
            data.open_at(FOLLOW, way, OpenFlags::empty(), DescriptorFlags::READ)
                .and_then(|directory| directory.read_directory().map(drop)),
        );
    }
    // A hard link to a symbolic link leads no further.
    must_work("a second name", data.link_at(STAY, "file-out", &data, "second"));
    let second = data.open_at(FOLLOW, "second", OpenFlags::empty(), DescriptorFlags::READ);
    must_fail(&mut count, format_args!("open second"), second);
    hostile::denied(format_args!("all of {count} calls"));
}
