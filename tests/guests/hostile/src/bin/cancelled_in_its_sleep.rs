//! Waits in a host call for a very long time.

fn main() {
    std::thread::sleep(std::time::Duration::from_secs(3_600));
    hostile::allowed("it woke up");
}
