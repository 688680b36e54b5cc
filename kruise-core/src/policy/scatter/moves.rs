//! Terms that few members carry, of which there may be very many (a `*` over node names): only the members of a term
//! are moved, in an order kept in chunks.

use super::classes::{Classes, Term};
use super::pattern::Pattern;

/// The least length of a chunk.
const LEAST: usize = 64;

/// An order that members can be taken out of and put into without touching all of it.
///
/// It holds slots: positions in the order as it was at first.
pub(super) struct Sequence {
    chunks: Vec<Vec<u32>>,
    /// The chunk of each slot.
    home: Vec<u32>,
    /// Which slots are being moved.
    moving: Vec<bool>,
    /// The length of a chunk when it is made; it may grow to four times that.
    target: usize,
    // Kept between terms, so that a term allocates nothing.
    touched: Vec<u32>,
    taken: Vec<u32>,
    spare: Vec<u32>,
}

impl Sequence {
    pub(super) fn new(len: usize) -> Self {
        let target = len.isqrt().max(LEAST);
        let mut sequence = Self {
            chunks: Vec::new(),
            home: vec![0; len],
            moving: vec![false; len],
            target,
            touched: Vec::new(),
            taken: Vec::new(),
            spare: Vec::new(),
        };
        sequence.rebuild((0..len as u32).collect());
        sequence
    }

    /// Applies terms to `waiting`.
    pub(super) fn run(mut self, classes: &Classes, terms: &[Term], waiting: &mut [u32]) {
        let slots = Slots::of(classes, terms, waiting);
        for (index, term) in terms.iter().enumerate() {
            self.apply(slots.of_term(index), term.pattern);
        }
        let before = waiting.to_vec();
        let after = self.chunks.iter().flatten();
        for (to, slot) in waiting.iter_mut().zip(after) {
            if let Some(at) = before.get(*slot as usize) {
                *to = *at;
            }
        }
    }

    fn apply(&mut self, marked: &[u32], pattern: Pattern) {
        let rest = self.home.len() - marked.len();
        self.take_out(marked);
        self.put_back(pattern, rest);
        if self.chunks.iter().any(|chunk| chunk.len() > 4 * self.target) {
            let order = self.chunks.iter().flatten().copied().collect();
            self.rebuild(order);
        }
    }

    fn rebuild(&mut self, order: Vec<u32>) {
        self.chunks = order.chunks(self.target).map(<[u32]>::to_vec).collect();
        for (number, chunk) in (0..).zip(&self.chunks) {
            set_home(&mut self.home, chunk, number);
        }
    }

    /// Moves slots from the chunks to `taken`, in their order.
    fn take_out(&mut self, marked: &[u32]) {
        self.touched.clear();
        for &slot in marked {
            if let (Some(moving), Some(home)) =
                (self.moving.get_mut(slot as usize), self.home.get(slot as usize))
            {
                *moving = true;
                self.touched.push(*home);
            }
        }
        self.touched.sort_unstable();
        self.touched.dedup();
        self.taken.clear();
        for &number in &self.touched {
            let Some(chunk) = self.chunks.get_mut(number as usize) else {
                continue;
            };
            chunk.retain(|&slot| {
                let moves = self.moving.get(slot as usize).is_some_and(|moving| *moving);
                if moves {
                    self.taken.push(slot);
                }
                !moves
            });
        }
        for &slot in marked {
            if let Some(moving) = self.moving.get_mut(slot as usize) {
                *moving = false;
            }
        }
    }

    /// Puts what was taken where the pattern wants it, among `rest` others.
    fn put_back(&mut self, pattern: Pattern, rest: usize) {
        let last = self.taken.len().saturating_sub(1);
        let offset = |index: usize| {
            if index < last {
                pattern.offset(index, rest)
            } else {
                rest
            }
        };
        let mut next = 0;
        let mut before = 0;
        for (number, chunk) in (0..).zip(&mut self.chunks) {
            let end = before + chunk.len();
            if next < self.taken.len() && offset(next) <= end {
                self.spare.clear();
                let mut copied = 0;
                while let Some(slot) = self.taken.get(next).filter(|_| offset(next) <= end) {
                    let until = offset(next) - before;
                    self.spare
                        .extend_from_slice(chunk.get(copied..until).unwrap_or_default());
                    copied = until;
                    self.spare.push(*slot);
                    if let Some(home) = self.home.get_mut(*slot as usize) {
                        *home = number;
                    }
                    next += 1;
                }
                self.spare
                    .extend_from_slice(chunk.get(copied..).unwrap_or_default());
                std::mem::swap(chunk, &mut self.spare);
            }
            before = end;
        }
    }
}

fn set_home(home: &mut [u32], chunk: &[u32], number: u32) {
    for &slot in chunk {
        if let Some(home) = home.get_mut(slot as usize) {
            *home = number;
        }
    }
}

/// The slots of each term, one after another.
struct Slots {
    /// Where the slots of each term begin; one entry more than terms.
    starts: Vec<usize>,
    slots: Vec<u32>,
}

impl Slots {
    fn of(classes: &Classes, terms: &[Term], waiting: &[u32]) -> Self {
        let mut term_of = vec![usize::MAX; classes.len()];
        let mut starts = vec![0];
        let mut total = 0;
        for (index, term) in terms.iter().enumerate() {
            if let Some(held) = term_of.get_mut(term.value as usize) {
                *held = index;
            }
            total += term.marked;
            starts.push(total);
        }
        let mut free = starts.clone();
        let mut slots = vec![0; total];
        for (slot, &at) in (0..).zip(waiting) {
            for value in classes.of_member(at) {
                let term = term_of.get(value as usize).copied().unwrap_or(usize::MAX);
                if let Some(place) = free.get_mut(term) {
                    if let Some(held) = slots.get_mut(*place) {
                        *held = slot;
                    }
                    *place += 1;
                }
            }
        }
        Self { starts, slots }
    }

    fn of_term(&self, index: usize) -> &[u32] {
        let bounds = self.starts.get(index).zip(self.starts.get(index + 1));
        bounds
            .and_then(|(start, end)| self.slots.get(*start..*end))
            .unwrap_or_default()
    }
}
