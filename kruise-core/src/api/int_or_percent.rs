//! Fields that hold a number or a percentage of something, and the one table of how each is rounded.
//!
//! ```
//! use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
//! use kruise_core::api::int_or_percent::{IntOrPercent, Mode, Quantity};
//!
//! let field = IntOrString::String("25%".into());
//! let value = IntOrPercent::try_from(&field)?;
//! // 2.5 pods: up without maxSurge, down beside it.
//! assert_eq!(Quantity::CloneSetMaxUnavailable.rule(Mode::Current).scale(Some(value), 10), 3);
//! assert_eq!(Quantity::CloneSetMaxUnavailableBesideSurge.rule(Mode::Current).scale(Some(value), 10), 2);
//! # Ok::<(), kruise_core::api::int_or_percent::IntOrPercentError>(())
//! ```

use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Parts of one percent that are kept: six decimal places.
const PARTS_PER_PERCENT: u64 = 1_000_000;
const DECIMAL_PLACES: usize = 6;

/// Why a field is neither a number nor a percentage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IntOrPercentError {
    /// The number is below zero.
    #[error("must not be negative")]
    Negative,
    /// Text that is not digits followed by a percent sign, as `10`, `%` or `ten`.
    #[error("{0:?} is neither a number nor a percentage such as \"25%\"")]
    NotAPercentage(String),
    /// More than 4294967295 percent, or more than six decimal places.
    #[error("{0:?} has more digits than are kept")]
    TooPrecise(String),
}

/// A number, or a percentage of a total that is known later; what an [`IntOrString`] field means.
///
/// Fields of CRDs stay [`IntOrString`], so that an object with a bad one can still be read, reported and mended.
/// Text without a percent sign is refused: releases of OpenKruise before 1.4 read `"5"` as 5 %. Percentages are exact
/// to six decimal places and may exceed 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IntOrPercent(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Int(u32),
    /// In [`PARTS_PER_PERCENT`].
    Percent(u64),
}

/// What becomes of a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// To the next lower number.
    Down,
    /// To the next higher number.
    Up,
    /// To the nearest number, halves up.
    HalfUp,
}

impl IntOrPercent {
    /// A number.
    pub const fn int(value: u32) -> Self {
        Self(Kind::Int(value))
    }

    /// A whole percentage.
    pub const fn percent(value: u32) -> Self {
        Self(Kind::Percent(value as u64 * PARTS_PER_PERCENT))
    }

    /// Reads a field, and a field that can not be read as 0: what planners of OpenKruise do with objects that
    /// passed no webhook. Controllers that can report the error had better do so: a partition of 0 updates everything.
    pub fn or_zero(field: &IntOrString) -> Self {
        Self::try_from(field).unwrap_or(Self::int(0))
    }

    /// Returns the number itself, or the percentage of `total` rounded as told. Not bounded by `total`.
    pub fn scale(self, total: usize, rounding: Rounding) -> usize {
        match self.0 {
            Kind::Int(value) => usize::try_from(value).unwrap_or(usize::MAX),
            Kind::Percent(parts) => {
                const WHOLE: u128 = 100 * PARTS_PER_PERCENT as u128;
                // At most 2^52 * 2^64, so this can not overflow.
                let product = u128::from(parts) * total as u128;
                let scaled = match rounding {
                    Rounding::Down => product / WHOLE,
                    Rounding::Up => product.div_ceil(WHOLE),
                    Rounding::HalfUp => (product + WHOLE / 2) / WHOLE,
                };
                usize::try_from(scaled).unwrap_or(usize::MAX)
            }
        }
    }

    /// Returns whether it is a percentage below 100.
    pub fn is_below_all(self) -> bool {
        matches!(self.0, Kind::Percent(parts) if parts < 100 * PARTS_PER_PERCENT)
    }

    /// Returns whether it is a percentage.
    pub fn is_percent(self) -> bool {
        matches!(self.0, Kind::Percent(_))
    }
}

impl TryFrom<&IntOrString> for IntOrPercent {
    type Error = IntOrPercentError;

    fn try_from(field: &IntOrString) -> Result<Self, IntOrPercentError> {
        match field {
            IntOrString::Int(value) => u32::try_from(*value)
                .map(Self::int)
                .map_err(|_| IntOrPercentError::Negative),
            IntOrString::String(text) => text.parse(),
        }
    }
}

impl FromStr for IntOrPercent {
    type Err = IntOrPercentError;

    /// Reads a percentage, as `25%` or `12.5%`.
    fn from_str(text: &str) -> Result<Self, IntOrPercentError> {
        let wrong = || IntOrPercentError::NotAPercentage(text.to_owned());
        let imprecise = || IntOrPercentError::TooPrecise(text.to_owned());
        let number = text.strip_suffix('%').ok_or_else(wrong)?;
        if number.starts_with('-') {
            return Err(IntOrPercentError::Negative);
        }
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) {
            return Err(wrong());
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > DECIMAL_PLACES {
            return Err(imprecise());
        }
        let whole: u32 = whole.parse().map_err(|_| imprecise())?;
        let parts: u64 = format!("{fraction:0<DECIMAL_PLACES$}")
            .parse()
            .map_err(|_| imprecise())?;
        Ok(Self(Kind::Percent(u64::from(whole) * PARTS_PER_PERCENT + parts)))
    }
}

impl fmt::Display for IntOrPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Int(value) => write!(f, "{value}"),
            Kind::Percent(parts) => {
                write!(f, "{}", parts / PARTS_PER_PERCENT)?;
                match parts % PARTS_PER_PERCENT {
                    0 => f.write_str("%"),
                    rest => write!(
                        f,
                        ".{}%",
                        format!("{rest:0>DECIMAL_PLACES$}").trim_end_matches('0')
                    ),
                }
            }
        }
    }
}

/// How the value of one field becomes a number of objects. Those of the group are in [`Quantity`]; a controller of
/// your own makes its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What becomes of a fraction.
    pub rounding: Rounding,
    /// The value where the field is absent.
    pub default: IntOrPercent,
    /// The least result.
    pub at_least: usize,
    /// Whether the result is at most the total.
    pub within_total: bool,
    /// Whether a percentage below 100 of two or more leaves at least one out, so that something moves.
    pub spares_one: bool,
}

impl Rule {
    /// A rule that rounds, and bounds nothing.
    pub const fn plain(rounding: Rounding, default: IntOrPercent) -> Self {
        Self {
            rounding,
            default,
            at_least: 0,
            within_total: false,
            spares_one: false,
        }
    }

    const fn partition() -> Self {
        Self {
            within_total: true,
            spares_one: true,
            ..Self::plain(Rounding::Up, IntOrPercent::int(0))
        }
    }

    const fn at_least_one(default: u32) -> Self {
        Self {
            at_least: 1,
            ..Self::plain(Rounding::Down, IntOrPercent::int(default))
        }
    }

    /// Returns the number of objects that a field stands for, of `total` objects.
    pub fn scale(&self, value: Option<IntOrPercent>, total: usize) -> usize {
        let value = value.unwrap_or(self.default);
        let mut scaled = value.scale(total, self.rounding);
        if self.within_total {
            scaled = scaled.min(total);
        }
        if self.spares_one && value.is_below_all() && total > 1 && scaled == total {
            scaled = total - 1;
        }
        scaled.max(self.at_least)
    }
}

/// Which release's rounding is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// That of today's OpenKruise: a percentage neither stops a rollout nor is lost.
    #[default]
    Current,
    /// That of release 0.8, bug for bug.
    V0_8,
}

/// The fields of the group that are numbers or percentages. [`Quantity::rule`] is the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quantity {
    /// `updateStrategy.partition` of a CloneSet: pods that stay old, of its replicas.
    CloneSetPartition,
    /// `updateStrategy.maxSurge` of a CloneSet, of its replicas.
    CloneSetMaxSurge,
    /// `scaleStrategy.maxUnavailable` of a CloneSet, of its replicas.
    CloneSetScaleMaxUnavailable,
    /// `updateStrategy.maxUnavailable` of a CloneSet whose maxSurge comes to 0, of its replicas.
    CloneSetMaxUnavailable,
    /// The same where maxSurge comes to more than 0, or the type is `OnDelete`.
    CloneSetMaxUnavailableBesideSurge,
    /// `updateStrategy.partition` of a SidecarSet: waiting pods that stay old, of its matched pods.
    SidecarSetPartition,
    /// `updateStrategy.maxUnavailable` of a SidecarSet, of its matched pods.
    SidecarSetMaxUnavailable,
    /// `updateStrategy.rollingUpdate.maxUnavailable` of a StatefulSet, of its replicas.
    StatefulSetMaxUnavailable,
    /// `scaleStrategy.maxUnavailable` of a StatefulSet, of its replicas.
    StatefulSetScaleMaxUnavailable,
    /// `updateStrategy.rollingUpdate.maxUnavailable` of a DaemonSet, of its desired nodes.
    DaemonSetMaxUnavailable,
    /// `updateStrategy.rollingUpdate.maxSurge` of a DaemonSet, of its desired nodes.
    DaemonSetMaxSurge,
    /// `updateStrategy.rollingUpdate.partition` of a DaemonSet: nodes that stay old.
    DaemonSetPartition,
    /// `burstReplicas` of a DaemonSet, of its desired nodes.
    DaemonSetBurstReplicas,
    /// `parallelism` of a BroadcastJob, of its desired pods.
    BroadcastJobParallelism,
    /// `subsets[].replicas` of a UnitedDeployment, of its replicas.
    UnitedDeploymentSubsetReplicas,
    /// `maxUnavailable` of a PodUnavailableBudget, of its pods.
    PodUnavailableBudgetMaxUnavailable,
    /// `minAvailable` of a PodUnavailableBudget, of its pods.
    PodUnavailableBudgetMinAvailable,
}

impl Quantity {
    /// Returns how this field is rounded: the only place that says so.
    ///
    /// The two modes differ in the partitions and in the maxUnavailable of a SidecarSet.
    pub const fn rule(self, mode: Mode) -> Rule {
        use Rounding::{Down, HalfUp, Up};
        const ZERO: IntOrPercent = IntOrPercent::int(0);
        const ONE: IntOrPercent = IntOrPercent::int(1);
        const FIFTH: IntOrPercent = IntOrPercent::percent(20);
        const NO_LIMIT: IntOrPercent = IntOrPercent::int(i32::MAX as u32);
        match (self, mode) {
            (Self::CloneSetPartition, Mode::Current) => Rule::partition(),
            (Self::CloneSetPartition, Mode::V0_8) => Rule::plain(Up, ZERO),
            (Self::CloneSetMaxSurge, _) => Rule::plain(Up, ZERO),
            (Self::CloneSetScaleMaxUnavailable, _) => Rule::plain(Up, NO_LIMIT),
            (Self::CloneSetMaxUnavailable, _) => Rule::plain(Up, FIFTH),
            (Self::CloneSetMaxUnavailableBesideSurge, _) => Rule::plain(Down, FIFTH),
            (Self::SidecarSetPartition, Mode::Current) => Rule::partition(),
            (Self::SidecarSetPartition, Mode::V0_8) => Rule::plain(Down, ZERO),
            (Self::SidecarSetMaxUnavailable, Mode::Current) => Rule::plain(Up, ONE),
            (Self::SidecarSetMaxUnavailable, Mode::V0_8) => Rule::plain(Down, ONE),
            (Self::StatefulSetMaxUnavailable, _) => Rule::at_least_one(1),
            (Self::StatefulSetScaleMaxUnavailable, _) => Rule::at_least_one(i32::MAX as u32),
            (Self::DaemonSetMaxUnavailable, _) => Rule::plain(Up, ONE),
            (Self::DaemonSetMaxSurge, _) => Rule::plain(Up, ONE),
            (Self::DaemonSetPartition, _) => Rule::plain(Down, ZERO),
            (Self::DaemonSetBurstReplicas, _) => Rule::plain(Down, IntOrPercent::int(250)),
            (Self::BroadcastJobParallelism, _) => Rule::plain(Up, NO_LIMIT),
            (Self::UnitedDeploymentSubsetReplicas, _) => Rule::plain(HalfUp, ZERO),
            (Self::PodUnavailableBudgetMaxUnavailable, _) => Rule::plain(Up, ZERO),
            (Self::PodUnavailableBudgetMinAvailable, _) => Rule::plain(Up, ZERO),
        }
    }
}
