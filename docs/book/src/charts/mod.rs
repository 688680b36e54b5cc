//! The charts of the page on performance, drawn from the data in `docs/charts`.
//!
//! * `measured.json` — what the benches said last; [`measured`] writes it.
//! * `openkruise.json` — what OpenKruise needs for the same on the same kind of machine.
//! * `scale.jsonl` — a line for each run of `make scale`.

mod draw;
pub mod measured;
mod pages;

pub use draw::{Bar, Line, Panel, svg};
pub use pages::{Chart, charts};
