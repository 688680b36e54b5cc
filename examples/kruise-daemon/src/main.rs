//! Sample daemon.
fn main() {}
