//! How percentages become numbers: one table for all fields of all kinds.

use crate::api::IntOrPercent;

/// What happens to a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// To the next larger number.
    Up,
    /// To the next smaller number.
    Down,
    /// To the nearest, halves up.
    HalfUp,
}

impl Rounding {
    /// `numerator / denominator`, which must be above zero.
    pub(crate) fn divide(self, numerator: i128, denominator: i128) -> i64 {
        let floor = numerator.div_euclid(denominator);
        let rest = numerator.rem_euclid(denominator);
        let more = match self {
            Self::Up => rest > 0,
            Self::Down => false,
            Self::HalfUp => rest * 2 >= denominator,
        };
        let bounded = (floor + i128::from(more)).clamp(i64::MIN.into(), i64::MAX.into());
        i64::try_from(bounded).unwrap_or(i64::MAX)
    }
}

/// Whose behaviour, where versions of OpenKruise differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Baseline {
    /// OpenKruise v0.8.
    V0_8,
    /// Later versions, which mended what stuck or surprised.
    #[default]
    Latest,
}

/// A field whose value is a number or a percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Amount {
    /// CloneSet `updateStrategy.partition`, of `replicas`.
    CloneSetPartition,
    /// CloneSet `updateStrategy.maxSurge`, of `replicas`.
    CloneSetMaxSurge,
    /// CloneSet `updateStrategy.maxUnavailable`, of `replicas`, if `maxSurge` comes to zero.
    CloneSetMaxUnavailable,
    /// CloneSet `updateStrategy.maxUnavailable`, of `replicas`, if `maxSurge` comes to more than zero.
    CloneSetMaxUnavailableWithSurge,
    /// CloneSet `scaleStrategy.maxUnavailable`, of `replicas`.
    CloneSetScaleMaxUnavailable,
    /// Advanced StatefulSet `maxUnavailable`, of `replicas`, in both strategies.
    StatefulSetMaxUnavailable,
    /// Advanced DaemonSet `maxUnavailable` and `maxSurge`, of the nodes that should run it.
    DaemonSetMaxUnavailable,
    /// Advanced DaemonSet `burstReplicas`, of the nodes that should run it.
    DaemonSetBurstReplicas,
    /// Advanced DaemonSet `partition`, of the nodes that should run it.
    DaemonSetPartition,
    /// BroadcastJob `parallelism`, of the nodes that should run it.
    BroadcastJobParallelism,
    /// UnitedDeployment: replicas of a subset, of all replicas.
    SubsetReplicas,
    /// PodUnavailableBudget `maxUnavailable` and `minAvailable`, of the pods.
    PodUnavailableBudget,
    /// SidecarSet `updateStrategy.partition`, of the matched pods.
    SidecarSetPartition,
    /// SidecarSet `updateStrategy.maxUnavailable`, of the matched pods.
    SidecarSetMaxUnavailable,
}

/// One line of the table.
struct Rule {
    rounding: Rounding,
    /// The result is at least this.
    least: i64,
    /// The result is within 0 and the total; and a percentage below 100 % leaves at least one of several.
    partition: bool,
}

const UP: Rule = Rule {
    rounding: Rounding::Up,
    least: i64::MIN,
    partition: false,
};
const DOWN: Rule = Rule {
    rounding: Rounding::Down,
    ..UP
};
const DOWN_TO_ONE: Rule = Rule { least: 1, ..DOWN };
const HALF_UP: Rule = Rule {
    rounding: Rounding::HalfUp,
    ..UP
};
const KEEP: Rule = Rule {
    partition: true,
    ..UP
};

impl Amount {
    fn rule(self, baseline: Baseline) -> Rule {
        use Baseline::{Latest, V0_8};
        match (self, baseline) {
            (Self::CloneSetPartition, V0_8) => UP,
            (Self::CloneSetPartition | Self::SidecarSetPartition, Latest) => KEEP,
            (
                Self::CloneSetMaxSurge | Self::CloneSetScaleMaxUnavailable | Self::CloneSetMaxUnavailable,
                _,
            ) => UP,
            (Self::CloneSetMaxUnavailableWithSurge, _) => DOWN,
            (Self::StatefulSetMaxUnavailable, _) => DOWN_TO_ONE,
            (
                Self::DaemonSetMaxUnavailable | Self::BroadcastJobParallelism | Self::PodUnavailableBudget,
                _,
            ) => UP,
            (Self::DaemonSetBurstReplicas | Self::DaemonSetPartition, _) => DOWN,
            (Self::SubsetReplicas, _) => HALF_UP,
            (Self::SidecarSetPartition | Self::SidecarSetMaxUnavailable, V0_8) => DOWN,
            (Self::SidecarSetMaxUnavailable, Latest) => UP,
        }
    }

    /// How many `value` is of `total` objects.
    pub fn of(self, value: IntOrPercent, total: usize, baseline: Baseline) -> i64 {
        let rule = self.rule(baseline);
        let number = value.of(total, rule.rounding).max(rule.least);
        if !rule.partition {
            return number;
        }
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        match value {
            // "99%" of 3 keeps 2: something was meant to be updated.
            IntOrPercent::Percent(percent) if percent != 100 && total > 1 && number == total => total - 1,
            _ => number.clamp(0, total),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(amount: Amount, value: &str, total: usize, baseline: Baseline) -> i64 {
        let value = value
            .parse()
            .unwrap_or_else(|_| IntOrPercent::Int(value.parse().unwrap()));
        amount.of(value, total, baseline)
    }

    #[test]
    fn the_examples_of_partitions() {
        use Amount::{CloneSetPartition as CloneSet, SidecarSetPartition as SidecarSet};
        for (value, total, old, latest) in [
            ("99%", 3, 3, 2),
            ("1%", 3, 1, 1),
            ("99%", 1, 1, 1),
            ("100%", 3, 3, 3),
            ("5", 3, 5, 3),
            ("-1", 3, -1, 0),
            ("15%", 10, 2, 2),
        ] {
            assert_eq!(
                of(CloneSet, value, total, Baseline::V0_8),
                old,
                "{value} of {total}"
            );
            assert_eq!(
                of(CloneSet, value, total, Baseline::Latest),
                latest,
                "{value} of {total}"
            );
        }
        for (value, total, old, latest) in [
            ("35%", 10, 3, 4),
            ("95%", 8, 7, 7),
            ("2%", 8, 0, 1),
            ("100%", 8, 8, 8),
            ("50%", 7, 3, 4),
            ("30%", 400, 120, 120),
        ] {
            assert_eq!(
                of(SidecarSet, value, total, Baseline::V0_8),
                old,
                "{value} of {total}"
            );
            assert_eq!(
                of(SidecarSet, value, total, Baseline::Latest),
                latest,
                "{value} of {total}"
            );
        }
    }

    #[test]
    fn the_examples_of_limits() {
        use Amount as A;
        use Baseline::{Latest, V0_8};
        assert_eq!(of(A::CloneSetMaxUnavailable, "25%", 10, V0_8), 3);
        assert_eq!(of(A::CloneSetMaxUnavailableWithSurge, "25%", 10, V0_8), 2);
        assert_eq!(of(A::CloneSetMaxSurge, "30%", 7, V0_8), 3);
        assert_eq!(of(A::StatefulSetMaxUnavailable, "10%", 5, V0_8), 1);
        assert_eq!(of(A::SidecarSetMaxUnavailable, "10%", 6, V0_8), 0);
        assert_eq!(of(A::SidecarSetMaxUnavailable, "10%", 6, Latest), 1);
        assert_eq!(of(A::SubsetReplicas, "25%", 10, Latest), 3);
        assert_eq!(of(A::SubsetReplicas, "24%", 10, Latest), 2);
        assert_eq!(of(A::DaemonSetBurstReplicas, "25%", 10, Latest), 2);
    }

    proptest! {
        #[test]
        fn rounding_is_within_one_of_the_share(percent in 0..300i32, total in 0..100_000usize) {
            let exact = i128::from(percent) * total as i128;
            let up = i128::from(IntOrPercent::Percent(percent).of(total, Rounding::Up));
            let down = i128::from(IntOrPercent::Percent(percent).of(total, Rounding::Down));
            let half = i128::from(IntOrPercent::Percent(percent).of(total, Rounding::HalfUp));
            prop_assert!(down * 100 <= exact && exact <= up * 100 && up - down <= 1);
            prop_assert!((half * 100 - exact).abs() <= 50 && (half == up || half == down));
        }

        #[test]
        fn a_partition_is_within_the_total_and_below_it_unless_all_are_named(percent in 0..150i32, total in 0..1000usize) {
            let kept = Amount::SidecarSetPartition.of(IntOrPercent::Percent(percent), total, Baseline::Latest);
            prop_assert!((0..=total as i64).contains(&kept));
            if percent != 100 && total > 1 && percent < 100 {
                prop_assert!(kept < total as i64);
            }
        }
    }
}
