//! Numbers that follow from a seed and nothing else.

/// A small generator (SplitMix64). The same seed gives the same numbers on every machine; not for secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random(u64);

impl Random {
    /// A generator that begins at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own, so that one user's draws do not shift another's. The same `stream` of the same generator
    /// gives the same one.
    #[must_use]
    pub fn stream(&self, stream: u64) -> Self {
        let mut other = Self(self.0 ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        other.bits();
        other
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.bits()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    /// True with a probability of `share` (0.0 to 1.0). Draws once in any case.
    pub fn chance(&mut self, share: f64) -> bool {
        let drawn = self.bits() >> 11;
        (drawn as f64) < share * (1_u64 << 53) as f64
    }

    /// A time of up to `longest`, in whole milliseconds.
    pub fn duration(&mut self, longest: std::time::Duration) -> std::time::Duration {
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX - 1);
        std::time::Duration::from_millis(self.below(longest + 1))
    }

    /// One of them; `None` of nothing.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        let index = usize::try_from(self.below(choices.len() as u64)).ok()?;
        choices.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_seed_always_gives_the_same_numbers() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..5).map(|_| random.below(100)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_eq!(Random::new(1).stream(2), Random::new(1).stream(2));
    }

    #[test]
    fn draws_stay_in_their_bounds_and_reach_them() {
        let mut random = Random::new(1);
        let drawn: std::collections::BTreeSet<_> = (0..200).map(|_| random.below(4)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(random.below(0), 0);
        assert!((0..100).all(|_| random.chance(1.0)) && !(0..100).any(|_| random.chance(0.0)));
        let hits = (0..10_000).filter(|_| random.chance(0.25)).count();
        assert!((2200..2800).contains(&hits), "{hits}");
        assert!(random.duration(Duration::from_secs(1)) <= Duration::from_secs(1));
        assert_eq!(random.pick::<u8>(&[]), None);
    }
}
