//! One term applied to one order.

/// Room for the two halves of a waiting list, used again for every term.
pub(super) struct Spread {
    with: Vec<u32>,
    others: Vec<u32>,
}

/// How the two halves are dealt out.
struct Turns {
    /// So many of the others come first.
    lead: usize,
    turns: usize,
    with: usize,
    others: usize,
}

impl Spread {
    pub(super) fn new(waiting: usize) -> Self {
        Self {
            with: vec![0; waiting],
            others: vec![0; waiting],
        }
    }

    /// `total_with` and `total_others` count all objects, waiting or not.
    pub(super) fn apply(
        &mut self,
        waiting: &mut [u32],
        has: impl Fn(u32) -> bool,
        total_with: usize,
        total_others: usize,
    ) {
        let (mut with, mut others) = (0, 0);
        for &index in waiting.iter() {
            // Written to both, so that there is no branch to be guessed wrongly; only one of the ends moves.
            let hit = has(index);
            if let Some(place) = self.with.get_mut(with) {
                *place = index;
            }
            if let Some(place) = self.others.get_mut(others) {
                *place = index;
            }
            with += usize::from(hit);
            others += usize::from(!hit);
        }
        let (Some(with), Some(others)) = (self.with.get(..with), self.others.get(..others)) else {
            return;
        };
        let (false, Some((last, with))) = (with.len() <= 1 || others.len() <= 1, with.split_last()) else {
            return;
        };
        let turns = turns(
            with.len(),
            others.len(),
            total_with.saturating_sub(1),
            total_others,
        );
        deal(waiting, &turns, with, others, *last);
    }
}

fn turns(with: usize, others: usize, total_with: usize, total_others: usize) -> Turns {
    // In single precision, as everybody else compares them.
    if total_others as f32 / total_with as f32 >= others as f32 / with as f32 {
        let turns = with.min(others);
        return Turns {
            lead: 0,
            turns,
            with: share(with, turns),
            others: share(others, turns),
        };
    }
    let least = total_with.min(total_others);
    let (of_with, of_others) = (share(total_with, least), share(total_others, least));
    let turns = (with / of_with).min(others / of_others);
    Turns {
        lead: others - turns * of_others,
        turns,
        with: of_with,
        others: of_others,
    }
}

/// `number / parts`, halves up; at least 1.
fn share(number: usize, parts: usize) -> usize {
    let parts = parts.max(1);
    ((2 * number + parts) / (2 * parts)).max(1)
}

fn deal(out: &mut [u32], turns: &Turns, mut with: &[u32], mut others: &[u32], last: u32) {
    let mut places = out.iter_mut();
    let mut put = |from: &mut &[u32], count: usize| {
        let (taken, rest) = from.split_at(count.min(from.len()));
        // In this order: a pair that is not complete costs an entry of the first.
        for (index, place) in taken.iter().zip(places.by_ref()) {
            *place = *index;
        }
        *from = rest;
    };
    put(&mut others, turns.lead);
    for _ in 0..turns.turns {
        put(&mut with, turns.with);
        put(&mut others, turns.others);
    }
    put(&mut with, usize::MAX);
    put(&mut others, usize::MAX);
    put(&mut [last].as_slice(), 1);
}
