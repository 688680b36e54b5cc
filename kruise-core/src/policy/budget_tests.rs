use proptest::prelude::*;

use super::*;
use crate::api::IntOrPercent;
use crate::policy::rounding::{Amount, Baseline};

/// One line of the table: pods in order, `U` updated and ok, `u` updated and not ok, `o` old and ok, `x` old and not ok, `.` old
/// and not a candidate. Unready pods come first, as ranked.
struct Case {
    id: &'static str,
    pods: String,
    partition: &'static str,
    max_unavailable: &'static str,
    old: &'static [u32],
    latest: &'static [u32],
}

fn value(text: &str, default: i32) -> IntOrPercent {
    match text {
        "" => IntOrPercent::Int(default),
        text => text
            .parse()
            .unwrap_or_else(|_| IntOrPercent::Int(text.parse().unwrap())),
    }
}

fn updated(case: &Case, baseline: Baseline) -> Vec<u32> {
    let pods = case.pods.as_bytes();
    let indices = |kind: u8| (0..pods.len() as u32).filter(move |index| pods[*index as usize] == kind);
    let waiting: Vec<u32> = indices(b'x').chain(indices(b'o')).collect();
    let keep = Amount::SidecarSetPartition.of(value(case.partition, 0), pods.len(), baseline);
    let limit = Amount::SidecarSetMaxUnavailable.of(value(case.max_unavailable, 1), pods.len(), baseline);
    let bad = indices(b'u').count();
    let decisions = plan(&waiting, keep, Budget::new(limit, bad), |index| {
        pods[index as usize] == b'o'
    });
    decisions
        .iter()
        .filter(|decision| decision.verdict.is_update())
        .map(|decision| decision.index)
        .collect()
}

#[test]
fn the_worked_examples_of_sidecarsets() {
    let case = |id, pods: &str, partition, max_unavailable, old, latest| Case {
        id,
        pods: pods.to_owned(),
        partition,
        max_unavailable,
        old,
        latest,
    };
    let ten = "oooooooooo";
    const ALL: &[u32] = &[0, 1, 2, 3, 4, 5, 6, 7];
    let cases = [
        case("P-1", ten, "", "", &[0], &[0]),
        case("P-2", ten, "8", "3", &[0, 1], &[0, 1]),
        case("P-3", ten, "10", "3", &[], &[]),
        case("P-3", ten, "12", "3", &[], &[]),
        case("P-4", ten, "35%", "50%", &[0, 1, 2, 3, 4], &[0, 1, 2, 3, 4]),
        case("P-5", "oooooo", "", "10%", &[], &[0]),
        case("P-6", "oooooooo", "95%", "8", &[0], &[0]),
        case("P-7", "oooooooo", "2%", "8", ALL, &[0, 1, 2, 3, 4, 5, 6]),
        case("P-8", "oooooooo", "100%", "8", &[], &[]),
        case("P-9", "ooooooo", "50%", "30%", &[0, 1], &[0, 1, 2]),
        case("P-10", "UUuuoooooo", "", "3", &[4], &[4]),
        case("P-11", "Uuuuoooooo", "", "3", &[], &[]),
        case("P-12", "Uuuuooxoox", "", "3", &[6, 9], &[6, 9]),
        case("P-13", "ooooooxoox", "", "1", &[6, 9, 0], &[6, 9, 0]),
        case("P-14", "ooooooxooo", "", "0", &[6], &[6]),
        case("P-15", "ooooooxoox", "7", "1", &[6, 9, 0], &[6, 9, 0]),
        case("P-16", "..o..o..o.", "", "2", &[2, 5], &[2, 5]),
        case("P-19", "....oooooo", "3", "10", &[4, 5, 6], &[4, 5, 6]),
    ];
    for case in cases {
        assert_eq!(updated(&case, Baseline::V0_8), case.old, "{} of 0.8", case.id);
        assert_eq!(
            updated(&case, Baseline::Latest),
            case.latest,
            "{} of later versions",
            case.id
        );
    }
    let many = |kinds: &[(usize, &str)]| {
        kinds
            .iter()
            .map(|(count, kind)| kind.repeat(*count))
            .collect::<String>()
    };
    let large =
        |id, kinds: &[(usize, &str)], partition, limit| case(id, &many(kinds), partition, limit, &[], &[]);
    for baseline in [Baseline::V0_8, Baseline::Latest] {
        let p20 = large("P-20", &[(34, "U"), (6, "u"), (60, "o")], "", "10");
        assert_eq!(updated(&p20, baseline), [40, 41, 42, 43]);
        let p21 = large("P-21", &[(230, "U"), (20, "u"), (150, "o")], "30%", "40");
        assert_eq!(updated(&p21, baseline).len(), 20);
        let p22 = large("P-22", &[(40, "U"), (20, "u"), (140, "o")], "", "10%");
        assert_eq!(updated(&p22, baseline), [] as [u32; 0]);
    }
}

#[test]
fn a_guarded_budget_stops_a_broken_revision_though_the_old_one_is_broken_too() {
    let taken = |new: usize, old: &str, limit, guard: bool| {
        let old = old.as_bytes();
        let down = new + old.iter().filter(|kind| **kind == b'x').count();
        let budget = Budget::new(limit, down);
        let budget = if guard { budget.guarded(new) } else { budget };
        let waiting: Vec<u32> = (0..old.len() as u32).collect();
        let all = plan(&waiting, 0, budget, |index| old[index as usize] == b'o');
        all.iter().filter(|decision| decision.verdict.is_update()).count()
    };
    // C22, C23 and C25 of the CloneSet examples: version 0.8, then later ones.
    assert_eq!((taken(0, "xxxoo", 2, false), taken(0, "xxxoo", 2, true)), (3, 2));
    assert_eq!((taken(0, "xxxxx", 2, false), taken(0, "xxxxx", 2, true)), (5, 2));
    assert_eq!((taken(2, "xxxx", 2, false), taken(2, "xxxx", 2, true)), (4, 0));
}

proptest! {
    #[test]
    fn what_is_updated_is_a_prefix_and_never_exceeds_the_budget(
        available in proptest::collection::vec(any::<bool>(), 0..40),
        keep in -3..45i64, limit in 0..10i64, down in 0..12usize, guard in proptest::option::of(0..12usize),
    ) {
        let waiting: Vec<u32> = (0..available.len() as u32).rev().collect();
        let is_available = |index: u32| available[index as usize];
        let budget = Budget::new(limit, down);
        let budget = guard.map_or(budget, |new| budget.guarded(new));
        let decisions = plan(&waiting, keep, budget, is_available);
        prop_assert_eq!(decisions.iter().map(|decision| decision.index).collect::<Vec<_>>(), waiting.clone());
        let updates = decisions.iter().take_while(|decision| decision.verdict.is_update()).count();
        prop_assert_eq!(decisions.iter().filter(|decision| decision.verdict.is_update()).count(), updates);
        let (taken, left) = waiting.split_at(updates);
        let disturbed = taken.iter().filter(|index| is_available(**index)).count();
        prop_assert!(disturbed == 0 || (disturbed + down) as i64 <= limit);
        prop_assert!(left.len() as i64 >= keep.min(waiting.len() as i64));
        // Nothing waits without need.
        if let Some(next) = left.first() && left.len() as i64 > keep.max(0) {
            let full = is_available(*next) && (disturbed + down) as i64 >= limit;
            let guarded = guard.is_some_and(|new| (new + updates) as i64 >= limit);
            prop_assert!(full || guarded);
        }
    }
}
