//! Why a text of feature gates is refused.

/// Why feature gates cannot be set as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// No gate has this name.
    #[error("unknown feature gate {name:?}, known are: {known}")]
    Unknown {
        /// The name as it was written.
        name: String,
        /// The names of all gates, separated by commas.
        known: String,
    },
    /// A gate is set more than once.
    #[error("feature gate {name} is set twice")]
    Duplicate {
        /// The gate.
        name: String,
    },
    /// A part of the text is not of the form `Name=true`.
    #[error("feature gate {text:?} lacks a value, expected Name=true or Name=false")]
    MissingValue {
        /// The part.
        text: String,
    },
    /// The value is not a boolean.
    #[error("feature gate {name} has value {value:?}, expected true or false")]
    InvalidValue {
        /// The gate.
        name: String,
        /// The value as it was written.
        value: String,
    },
    /// The feature is always there, or never.
    #[error("feature gate {name} cannot be {value}: {why}")]
    Fixed {
        /// The gate.
        name: &'static str,
        /// The value as it was asked for.
        value: bool,
        /// Why not.
        why: &'static str,
    },
    /// Two dependencies pull a gate in different directions.
    #[error("feature gate {enabled} needs {needed}, which is forced off")]
    Conflict {
        /// The gate that is on.
        enabled: &'static str,
        /// The gate that should be on with it.
        needed: &'static str,
    },
}
