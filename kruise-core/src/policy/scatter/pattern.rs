//! Where the members of a term go: arithmetic on counts.

/// How many members carry a term, among all or among those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// Those that carry it.
    pub(super) marked: usize,
    /// The others.
    pub(super) rest: usize,
}

/// The order that a term makes: `lead` of the rest, then `groups` times `marked` of the marked and `others` of the
/// rest, then what is left of the marked, then of the rest. The last marked one is not among them: it is the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) lead: usize,
    pub(super) groups: usize,
    pub(super) marked: usize,
    pub(super) others: usize,
}

impl Pattern {
    /// The pattern for a term; `None` if the order stays as it is, because there are too few to be kept apart.
    pub(super) fn of(waiting: Counts, all: Counts) -> Option<Self> {
        if waiting.marked <= 1 || waiting.rest <= 1 {
            return None;
        }
        // The last one is taken off. All hold those that wait, so at least one is left there too.
        let waiting = Counts {
            marked: waiting.marked - 1,
            ..waiting
        };
        let all = Counts {
            marked: all.marked.saturating_sub(1),
            ..all
        };
        // In single precision, as OpenKruise compares.
        let ratio = |counts: Counts| counts.rest as f32 / counts.marked as f32;
        if ratio(all) >= ratio(waiting) {
            let groups = waiting.marked.min(waiting.rest);
            return Some(Self {
                lead: 0,
                groups,
                marked: rounded(waiting.marked, groups),
                others: rounded(waiting.rest, groups),
            });
        }
        // What was updated had more of the marked than what waits: begin with what makes up for it.
        let whole = all.marked.min(all.rest).max(1);
        let (marked, others) = (rounded(all.marked, whole).max(1), rounded(all.rest, whole).max(1));
        let groups = (waiting.marked / marked).min(waiting.rest / others);
        Some(Self {
            lead: waiting.rest - groups * others,
            groups,
            marked,
            others,
        })
    }

    /// How many of `rest` others stand before the marked one at `index` (the last one of all not counted).
    pub(super) fn offset(&self, index: usize, rest: usize) -> usize {
        let group = (index / self.marked).min(self.groups);
        rest.min(self.lead + group * self.others)
    }
}

/// `a / b`, halves up.
fn rounded(a: usize, b: usize) -> usize {
    (2 * a + b) / (2 * b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(waiting: (usize, usize), all: (usize, usize)) -> Option<(usize, usize, usize, usize)> {
        let counts = |(marked, rest)| Counts { marked, rest };
        Pattern::of(counts(waiting), counts(all))
            .map(|pattern| (pattern.lead, pattern.groups, pattern.marked, pattern.others))
    }

    #[test]
    fn examples_s4_and_s5_lead_with_the_rest() {
        assert_eq!(pattern((2, 5), (4, 5)), Some((3, 1, 1, 2)));
        // 11 pods of which 4 carry it, 8 wait and 3 of those do.
        let Some((lead, ..)) = pattern((3, 5), (4, 7)) else {
            unreachable!("there is a pattern");
        };
        assert_eq!(lead, 1);
    }

    #[test]
    fn one_marked_or_one_other_changes_nothing() {
        assert_eq!(pattern((1, 5), (1, 5)), None);
        assert_eq!(pattern((5, 1), (5, 1)), None);
        assert_eq!(pattern((2, 2), (2, 2)), Some((0, 1, 1, 2)));
    }
}
