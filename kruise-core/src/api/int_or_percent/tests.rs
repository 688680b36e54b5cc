use proptest::prelude::*;

use super::*;

fn text(value: &str) -> IntOrString {
    IntOrString::String(value.to_owned())
}

fn scaled(quantity: Quantity, mode: Mode, value: &str, total: usize) -> usize {
    let value = value.parse().expect("a percentage");
    quantity.rule(mode).scale(Some(value), total)
}

#[test]
fn numbers_and_percentages_are_read() {
    let read = |field| IntOrPercent::try_from(&field);
    assert_eq!(read(IntOrString::Int(7)), Ok(IntOrPercent::int(7)));
    assert_eq!(read(text("25%")), Ok(IntOrPercent::percent(25)));
    assert_eq!(read(text("150%")), Ok(IntOrPercent::percent(150)));
    assert_eq!(read(text("025.0%")), Ok(IntOrPercent::percent(25)));
    assert_eq!(
        read(text("12.5%")).map(|value| value.scale(8, Rounding::Down)),
        Ok(1)
    );
}

#[test]
fn what_is_neither_a_number_nor_a_percentage_is_refused() {
    let read = |field| IntOrPercent::try_from(&field);
    assert_eq!(read(IntOrString::Int(-1)), Err(IntOrPercentError::Negative));
    assert_eq!(read(text("-1%")), Err(IntOrPercentError::Negative));
    for wrong in [
        "", "%", "10", "ten%", "1 %", "+1%", "1%%", ".5%", "5.%", "1e2%", "٣%",
    ] {
        let error = Err(IntOrPercentError::NotAPercentage(wrong.to_owned()));
        assert_eq!(read(text(wrong)), error, "{wrong}");
        assert_eq!(IntOrPercent::or_zero(&text(wrong)), IntOrPercent::int(0));
    }
    for long in ["4294967296%", "0.0000001%"] {
        let error = Err(IntOrPercentError::TooPrecise(long.to_owned()));
        assert_eq!(read(text(long)), error, "{long}");
    }
}

#[test]
fn clone_set_partition_examples() {
    use Mode::{Current, V0_8};
    use Quantity::CloneSetPartition as Partition;
    assert_eq!(scaled(Partition, V0_8, "99%", 3), 3);
    assert_eq!(scaled(Partition, V0_8, "1%", 3), 1);
    assert_eq!(scaled(Partition, Current, "99%", 3), 2);
    assert_eq!(scaled(Partition, Current, "99%", 1), 1);
    assert_eq!(scaled(Partition, Current, "100%", 3), 3);
    assert_eq!(scaled(Partition, Current, "1%", 3), 1);
    let int = |value| Partition.rule(Current).scale(Some(IntOrPercent::int(value)), 3);
    assert_eq!(int(5), 3);
    assert_eq!(int(3), 3);
    assert_eq!(IntOrPercent::or_zero(&IntOrString::Int(-1)), IntOrPercent::int(0));
    // More than 100 % of nothing, and of one.
    assert_eq!(scaled(Partition, Current, "99%", 0), 0);
    assert_eq!(scaled(Partition, Current, "150%", 8), 8);
}

#[test]
fn sidecar_set_rounds_down_in_0_8_and_up_now() {
    use Mode::{Current, V0_8};
    use Quantity::{SidecarSetMaxUnavailable as Limit, SidecarSetPartition as Partition};
    for (value, total, then, now) in [
        ("35%", 10, 3, 4),
        ("95%", 8, 7, 7),
        ("2%", 8, 0, 1),
        ("50%", 7, 3, 4),
    ] {
        assert_eq!(scaled(Partition, V0_8, value, total), then, "{value} of {total}");
        assert_eq!(
            scaled(Partition, Current, value, total),
            now,
            "{value} of {total}"
        );
    }
    assert_eq!(scaled(Limit, V0_8, "10%", 6), 0);
    assert_eq!(scaled(Limit, Current, "10%", 6), 1);
    assert_eq!(Limit.rule(Current).scale(None, 6), 1);
}

#[test]
fn the_other_rows_of_the_table() {
    use Quantity::*;
    let now = |quantity, value: &str, total| scaled(quantity, Mode::Current, value, total);
    assert_eq!(now(CloneSetMaxSurge, "30%", 7), 3);
    assert_eq!(now(CloneSetMaxUnavailable, "25%", 10), 3);
    assert_eq!(now(CloneSetMaxUnavailableBesideSurge, "25%", 10), 2);
    assert_eq!(CloneSetMaxUnavailable.rule(Mode::Current).scale(None, 11), 3);
    assert_eq!(
        CloneSetScaleMaxUnavailable.rule(Mode::Current).scale(None, 5),
        i32::MAX as usize
    );
    assert_eq!(now(StatefulSetMaxUnavailable, "10%", 5), 1, "at least one");
    assert_eq!(now(StatefulSetMaxUnavailable, "50%", 5), 2, "down");
    assert_eq!(now(StatefulSetScaleMaxUnavailable, "1%", 5), 1);
    assert_eq!(now(DaemonSetMaxUnavailable, "1%", 5), 1);
    assert_eq!(now(DaemonSetMaxSurge, "21%", 5), 2);
    assert_eq!(now(DaemonSetPartition, "99%", 5), 4);
    assert_eq!(now(DaemonSetBurstReplicas, "50%", 5), 2);
    assert_eq!(DaemonSetBurstReplicas.rule(Mode::Current).scale(None, 5), 250);
    assert_eq!(now(BroadcastJobParallelism, "1%", 5), 1);
    assert_eq!(now(UnitedDeploymentSubsetReplicas, "50%", 5), 3, "half up");
    assert_eq!(now(UnitedDeploymentSubsetReplicas, "49%", 5), 2);
    assert_eq!(now(PodUnavailableBudgetMaxUnavailable, "1%", 5), 1);
    assert_eq!(now(PodUnavailableBudgetMinAvailable, "61%", 5), 4);
}

/// kruise#926, #953: a percentage below 100 lets at least one of several objects move.
#[test]
fn kruise_926_a_partition_below_all_moves_at_least_one() {
    for total in 2..200 {
        for percent in 0..100 {
            let value = Some(IntOrPercent::percent(percent));
            for partition in [Quantity::CloneSetPartition, Quantity::SidecarSetPartition] {
                assert!(partition.rule(Mode::Current).scale(value, total) < total);
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_displayed_is_read_back(parts in 0..=u64::from(u32::MAX) * PARTS_PER_PERCENT) {
        let value = IntOrPercent(Kind::Percent(parts));
        prop_assert_eq!(value.to_string().parse(), Ok(value));
    }

    #[test]
    fn up_and_down_enclose_the_exact_value(percent in 0..500_u32, total in 0..100_000_usize) {
        let value = IntOrPercent::percent(percent);
        let exact = percent as usize * total;
        let (down, half, up) = (
            value.scale(total, Rounding::Down),
            value.scale(total, Rounding::HalfUp),
            value.scale(total, Rounding::Up),
        );
        prop_assert!(down * 100 <= exact && exact < (down + 1) * 100);
        prop_assert!(up * 100 >= exact && exact + 100 > up * 100);
        prop_assert!(down <= half && half <= up);
        prop_assert!((half * 100).abs_diff(exact) <= 50);
    }

    /// Whole percentages that give a whole number are the same in every direction.
    #[test]
    fn whole_results_are_fixed_points(percent in 0..=100_u32, hundreds in 0..1000_usize) {
        let total = hundreds * 100;
        for rounding in [Rounding::Down, Rounding::Up, Rounding::HalfUp] {
            prop_assert_eq!(IntOrPercent::percent(percent).scale(total, rounding), percent as usize * hundreds);
        }
    }

    #[test]
    fn scaling_never_panics_and_grows_with_the_value(a: u32, b: u32, total: usize) {
        for rounding in [Rounding::Down, Rounding::Up, Rounding::HalfUp] {
            let (low, high) = (IntOrPercent::percent(a.min(b)), IntOrPercent::percent(a.max(b)));
            prop_assert!(low.scale(total, rounding) <= high.scale(total, rounding));
        }
    }
}
