//! Makes empty files, directories, symbolic and hard links until the limit on names is reached.

use hostile::directory::{ErrorCode, STAY, create, granted, write};

fn main() {
    let data = granted("/data");
    write(&data, "file", b"");
    for n in 0..1_000_000_u32 {
        let name = n.to_string();
        let made = match n % 4 {
            0 => create(&data, &name).map(drop),
            1 => data.create_directory_at(&name),
            2 => data.symlink_at("file", &name),
            _ => data.link_at(STAY, "file", &data, &name),
        };
        match made {
            Ok(()) => {}
            Err(ErrorCode::Quota) => {
                for name in ["0", "1", "2", "3"] {
                    if data.create_directory_at(&format!("1/{name}")).is_ok() {
                        hostile::allowed("one more");
                    }
                }
                hostile::denied(format_args!("after {} names", n + 1))
            }
            Err(other) => hostile::allowed(other),
        }
    }
    hostile::allowed("a million names");
}
