//! The error of every `validate()`.

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("setting {field} {problem}")]
pub struct ConfigError {
    field: String,
    problem: String,
}

impl ConfigError {
    /// `field` as it is written in configuration files, and what is wrong with it (`must be above zero`).
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// The same error for a field inside a struct that is itself the field `outer`.
    #[must_use]
    pub fn inside(self, outer: &str) -> Self {
        Self {
            field: format!("{outer}.{}", self.field),
            ..self
        }
    }

    /// The field in error.
    pub fn field(&self) -> &str {
        &self.field
    }
}

/// `exact` less a part of it, of up to `jitter` (0 to 1), drawn from `draw`.
pub(crate) fn shortened(exact: std::time::Duration, jitter: f64, draw: u64) -> std::time::Duration {
    if jitter <= 0.0 {
        return exact;
    }
    // 53 bits, all that a double holds.
    let share = (mix(draw) >> 11) as f64 / (1_u64 << 53) as f64;
    exact.mul_f64(1.0 - jitter.min(1.0) * share)
}

/// SplitMix64: well-spread bits from a counter.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
