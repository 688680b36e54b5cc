//! Feature gates: named switches with a default, read from text such as `A=true,B=false`.
//!
//! A [`GateRegistry`] is a value that says which gates there are and how they depend on each other. It makes
//! [`Gates`], which answer whether a gate is on. Nothing is global: two managers in one process may have different
//! gates.
//!
//! ```
//! use kruise_core::gates::{Gate, GateRegistry, KRUISE_DAEMON, Stage};
//!
//! const NIGHT_SHIFT: Gate = Gate::new("NightShift");
//!
//! let registry = GateRegistry::kruise()
//!     .gate(NIGHT_SHIFT, false, Stage::Alpha, "Roll only by night.")
//!     .requires(NIGHT_SHIFT, KRUISE_DAEMON);
//! let gates = registry.parse("NightShift=true")?;
//! assert!(gates.is_enabled(NIGHT_SHIFT));
//!
//! // The gate is forced off with the one that it requires, and says so.
//! let gates = registry.parse("NightShift=true,KruiseDaemon=false")?;
//! assert!(!gates.is_enabled(NIGHT_SHIFT));
//! assert_eq!(gates.forced()[0].to_string(), "NightShift is off because KruiseDaemon is off");
//!
//! // What is misspelled is refused.
//! assert!(registry.parse("NigthShift=true").is_err());
//! # Ok::<(), kruise_core::gates::GateError>(())
//! ```

mod error;
mod kruise;
mod registry;
mod state;

pub use error::GateError;
pub use kruise::{KRUISE_DAEMON, PATCH_ANY_POD_METADATA, POD_WEBHOOK, SORT_SIDECARS};
pub use registry::{FixedGate, Gate, GateInfo, GateRegistry, Stage};
pub use state::{Forced, Gates};

#[cfg(test)]
mod tests;
