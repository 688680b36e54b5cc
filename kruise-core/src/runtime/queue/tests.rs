//! The book-keeping against a simple list that is searched from end to end.

use std::cmp::Reverse;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::state::{Slot, State};
use super::{Priority, QueueConfig, Verdict};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    Ready(u64),
    Delayed(u64, u64),
    Running(Option<(i32, u64)>),
}

#[derive(Clone, Debug)]
struct Line {
    key: u8,
    priority: i32,
    failures: u32,
    place: Where,
}

/// Times are milliseconds since the start.
#[derive(Default)]
struct Model {
    lines: Vec<Line>,
    seq: u64,
    overtakes: u32,
    fairness: u32,
}

impl Model {
    fn place(&mut self, due: u64, now: u64) -> Where {
        self.seq += 1;
        if due <= now {
            Where::Ready(self.seq)
        } else {
            Where::Delayed(due, self.seq)
        }
    }

    fn add(&mut self, key: u8, priority: i32, due: u64, now: u64) {
        let Some(at) = self.lines.iter().position(|line| line.key == key) else {
            let place = self.place(due, now);
            self.lines.push(Line {
                key,
                priority,
                failures: 0,
                place,
            });
            return;
        };
        match self.lines[at].place {
            Where::Running(again) => {
                let (p, d) = again.unwrap_or((priority, due));
                self.lines[at].place = Where::Running(Some((p.max(priority), d.min(due))));
                return;
            }
            Where::Delayed(old, _) if due < old => self.lines[at].place = self.place(due, now),
            _ => {}
        }
        self.lines[at].priority = self.lines[at].priority.max(priority);
    }

    fn promote(&mut self, now: u64) {
        loop {
            let next = (0..self.lines.len())
                .filter_map(|at| match self.lines[at].place {
                    Where::Delayed(due, seq) if due <= now => Some((due, seq, at)),
                    _ => None,
                })
                .min();
            let Some((due, _, at)) = next else { return };
            self.lines[at].place = self.place(due, now);
        }
    }

    fn take(&mut self, now: u64) -> Option<(u8, i32, u32)> {
        self.promote(now);
        let ready = |line: &&mut Line| matches!(line.place, Where::Ready(_));
        let seq = |line: &Line| match line.place {
            Where::Ready(seq) => seq,
            _ => unreachable!(),
        };
        let oldest = self.lines.iter_mut().filter(ready).map(|line| seq(line)).min()?;
        let best = self
            .lines
            .iter_mut()
            .filter(ready)
            .min_by_key(|line| (Reverse(line.priority), seq(line)))?;
        let overtaking = seq(best) != oldest;
        let next = if !overtaking || (self.fairness > 0 && self.overtakes >= self.fairness) {
            self.overtakes = 0;
            oldest
        } else {
            self.overtakes += 1;
            seq(best)
        };
        let line = self
            .lines
            .iter_mut()
            .filter(ready)
            .find(|line| seq(line) == next)?;
        line.place = Where::Running(None);
        Some((line.key, line.priority, line.failures))
    }

    fn finish(&mut self, key: u8, delay: Option<u64>, failed: bool, now: u64) {
        let at = self.lines.iter().position(|line| line.key == key).unwrap();
        let Where::Running(again) = self.lines[at].place else {
            panic!("not running")
        };
        let own = delay.map(|delay| (self.lines[at].priority, now + delay));
        let next = match (own, again) {
            (Some(own), Some(again)) => Some((own.0.max(again.0), own.1.min(again.1))),
            (own, again) => own.or(again),
        };
        let mut line = self.lines.remove(at);
        line.failures = if failed { line.failures + 1 } else { 0 };
        if let Some((priority, due)) = next {
            line.priority = priority;
            line.place = self.place(due, now);
            self.lines.push(line);
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Add { key: u8, priority: i32, after: u64 },
    Advance(u64),
    Take,
    Finish { which: usize, how: u8, delay: u64 },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let delay = prop_oneof![3 => Just(0_u64), 2 => 1_u64..60];
    let op = prop_oneof![
        4 => (0..12_u8, -2..3_i32, delay.clone()).prop_map(|(key, priority, after)| Op::Add { key, priority, after }),
        2 => (0..40_u64).prop_map(Op::Advance),
        4 => Just(Op::Take),
        3 => (any::<usize>(), 0..4_u8, delay).prop_map(|(which, how, delay)| Op::Finish { which, how, delay }),
    ];
    prop::collection::vec(op, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_queue_hands_out_what_a_searched_list_would(ops in ops(), fairness in 0..4_u32) {
        let config = QueueConfig { fairness, ..QueueConfig::default() };
        let mut state = State::new(config.clone());
        let mut model = Model { fairness, ..Model::default() };
        let start = Instant::now();
        let mut now = 0;
        let mut running: Vec<(u8, u32, Slot)> = Vec::new();
        let at = |ms: u64| start + Duration::from_millis(ms);
        for op in ops {
            match op {
                Op::Add { key, priority, after } => {
                    state.add(key, Priority(priority), at(now + after), at(now));
                    model.add(key, priority, now + after, now);
                }
                Op::Advance(by) => now += by,
                Op::Take => {
                    let taken = state.take(at(now));
                    let told = taken.as_ref().map(|t| (t.key, t.priority.0, t.failures));
                    prop_assert_eq!(told, model.take(now));
                    if let Some(taken) = taken {
                        prop_assert!(running.iter().all(|(other, ..)| *other != taken.key));
                        running.push((taken.key, taken.failures, taken.slot));
                    }
                }
                Op::Finish { which, how, delay } => {
                    if running.is_empty() {
                        continue;
                    }
                    let (key, failures, slot) = running.remove(which % running.len());
                    let backoff = 5 << failures.min(17);
                    let (verdict, delay, failed) = match how {
                        0 => (Verdict::Done, None, false),
                        1 => (Verdict::After(Duration::from_millis(delay)), Some(delay), false),
                        2 => (Verdict::RetryAfter(Duration::from_millis(delay)), Some(delay), true),
                        _ => (Verdict::Retry, Some(backoff), true),
                    };
                    state.finish(slot, verdict, true, at(now));
                    model.finish(key, delay, failed, now);
                }
            }
            state.promote(at(now));
            model.promote(now);
            let count = |of: fn(&Where) -> bool| model.lines.iter().filter(|line| of(&line.place)).count();
            prop_assert_eq!(state.ready(), count(|place| matches!(place, Where::Ready(_))));
            prop_assert_eq!(state.delayed(), count(|place| matches!(place, Where::Delayed(..))));
            prop_assert_eq!(state.running(), running.len());
            prop_assert_eq!(state.known(), state.ready() + state.delayed() + state.running());
        }
    }
}

#[test]
fn a_finished_key_leaves_nothing_behind() {
    let now = Instant::now();
    let mut state = State::new(QueueConfig::default());
    for key in 0..1000 {
        state.add(key, Priority::NORMAL, now, now);
        let taken = state.take(now).unwrap();
        state.finish(taken.slot, Verdict::Done, true, now);
    }
    assert_eq!(
        (state.ready(), state.delayed(), state.running(), state.known()),
        (0, 0, 0, 0)
    );
}

#[test]
fn low_priority_gets_one_turn_in_fairness_plus_one() {
    let now = Instant::now();
    let mut state = State::new(QueueConfig {
        fairness: 4,
        ..QueueConfig::default()
    });
    state.add(0, Priority::LOW, now, now);
    state.add(1, Priority::LOW, now, now);
    for key in 100..200 {
        state.add(key, Priority::NORMAL, now, now);
    }
    let order: Vec<u32> = std::iter::from_fn(|| state.take(now))
        .map(|taken| taken.key)
        .take(10)
        .collect();
    assert_eq!(order, [100, 101, 102, 103, 0, 104, 105, 106, 107, 1]);
}

#[test]
fn without_fairness_low_priority_waits_for_all_others() {
    let now = Instant::now();
    let mut state = State::new(QueueConfig {
        fairness: 0,
        ..QueueConfig::default()
    });
    state.add(0, Priority::LOW, now, now);
    for key in 1..=50 {
        state.add(key, Priority::HIGH, now, now);
    }
    let order: Vec<u32> = std::iter::from_fn(|| state.take(now))
        .map(|taken| taken.key)
        .collect();
    assert_eq!(order.last(), Some(&0));
    assert!(order[..50].is_sorted());
}
