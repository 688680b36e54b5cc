//! What the sample programs share: flags written as OpenKruise's users write them, logging, stop signals, the client
//! configuration, and the HTTP servers for health and metrics.

pub mod config;
pub mod flags;
pub mod http;
pub mod logging;
pub mod outcome;
pub mod rules;
pub mod signals;

// Compiles the program of the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
