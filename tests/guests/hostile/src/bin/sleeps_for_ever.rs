//! Sleeps for five hundred years.

fn main() {
    std::thread::sleep(std::time::Duration::from_nanos(u64::MAX));
    hostile::allowed("it woke up");
}
