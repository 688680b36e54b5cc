//! Sample manager.
fn main() {}
