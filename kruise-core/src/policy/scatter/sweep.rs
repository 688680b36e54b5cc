//! Terms that many members carry: each is one sweep over the order, which holds beside every position a bit for each
//! term, so that nothing is looked up.

use super::classes::{Classes, Term};
use super::pattern::Pattern;

/// How many terms are applied by sweeps: as many as there are bits beside a position.
pub(super) const SWEEPS: usize = 32;

/// So few are copied one by one, which is quicker than a call to copy them.
const SHORT: usize = 8;

/// The order while it is swept: position of a member in the lower half, terms that it carries in the upper.
pub(super) struct Sweep<'t> {
    terms: &'t [Term],
    order: Vec<u64>,
}

impl<'t> Sweep<'t> {
    pub(super) fn new(classes: &Classes, terms: &'t [Term], waiting: &[u32]) -> Self {
        // A slot more than there are values, for none.
        let mut bits = vec![0_u64; classes.len() + 1];
        let none = classes.len();
        for (bit, term) in (32..64).zip(terms) {
            if let Some(bits) = bits.get_mut(term.value as usize) {
                *bits = 1 << bit;
            }
        }
        let mut order: Vec<u64> = waiting.iter().map(|&at| u64::from(at)).collect();
        for column in classes.columns() {
            for (entry, &at) in order.iter_mut().zip(waiting) {
                let value = column.get(at as usize).map_or(none, |&value| value as usize);
                *entry |= bits.get(value.min(none)).copied().unwrap_or(0);
            }
        }
        Self { terms, order }
    }

    /// Applies the terms and writes the order back.
    pub(super) fn run(mut self, waiting: &mut [u32]) {
        let mut marked = vec![0; self.order.len()];
        let mut rest = vec![0; self.order.len()];
        for (bit, term) in (32..64).zip(self.terms) {
            let split = split(&self.order, bit, &mut marked, &mut rest);
            if let (Some(marked), Some(rest)) = (marked.get(..split), rest.get(..self.order.len() - split)) {
                weave(term.pattern, marked, rest, &mut self.order);
            }
        }
        for (to, from) in waiting.iter_mut().zip(&self.order) {
            *to = *from as u32;
        }
    }
}

/// Parts those with the bit from the others; returns how many have it.
fn split(order: &[u64], bit: u32, marked: &mut [u64], rest: &mut [u64]) -> usize {
    let mut count = 0;
    // Both are written each time and one is kept: there is no branch to mispredict.
    for (index, &entry) in order.iter().enumerate() {
        let has = (entry >> bit & 1) as usize;
        if let (Some(marked), Some(rest)) = (marked.get_mut(count), rest.get_mut(index - count)) {
            *marked = entry;
            *rest = entry;
        }
        count += has;
    }
    count
}

/// Puts both together again as the pattern tells. `order` is as long as both.
fn weave(pattern: Pattern, marked: &[u64], rest: &[u64], order: &mut Vec<u64>) {
    order.clear();
    let Some((last, mut marked)) = marked.split_last() else {
        order.extend_from_slice(rest);
        return;
    };
    let mut rest = rest;
    let mut next = |from: &mut &[u64], count: usize| {
        let (now, later) = from.split_at(count.min(from.len()));
        if now.len() <= SHORT {
            now.iter().for_each(|&entry| order.push(entry));
        } else {
            order.extend_from_slice(now);
        }
        *from = later;
    };
    next(&mut rest, pattern.lead);
    for _ in 0..pattern.groups {
        next(&mut marked, pattern.marked);
        next(&mut rest, pattern.others);
    }
    next(&mut marked, usize::MAX);
    next(&mut rest, usize::MAX);
    order.push(*last);
}
