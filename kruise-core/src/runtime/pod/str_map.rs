//! A small map of strings in one piece of memory.

/// Digits of base 128 are ASCII, so that lengths can stand in front of the texts they are of.
const BASE_BITS: u32 = 7;
const COUNT_DIGITS: usize = 2;
const KEY_DIGITS: usize = 2;
const VALUE_DIGITS: usize = 4;
const PAIR_DIGITS: usize = KEY_DIGITS + VALUE_DIGITS;

/// A map of strings that is read often and never changed, in two words and one allocation; none if it is empty.
///
/// A look-up walks the lengths and compares only keys that are as long as the wanted one, so that it touches two or three
/// lines of the processor's cache where a map of separate strings touches one for each step. For labels, which are few, that
/// is what counts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StrMap(
    /// How many pairs; of each, by key, the lengths of key and value; then keys and values, one after the other.
    Box<str>,
);

impl StrMap {
    /// The value of a key.
    #[inline]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.find(key).map(|(_, value)| value)
    }

    /// The value of a key, looked for at the place `hint` first. The hint becomes the place where it is found.
    #[inline]
    pub(crate) fn get_near(&self, key: &str, hint: &mut usize) -> Option<&str> {
        let (lengths, mut start) = self.lengths();
        for (place, pair) in lengths
            .chunks_exact(PAIR_DIGITS)
            .enumerate()
            .take(hint.saturating_add(1))
        {
            let (key_length, value_length) = pair_lengths(pair);
            let middle = start + key_length;
            let here = place == *hint && key_length == key.len();
            if here && self.0.as_bytes().get(start..middle) == Some(key.as_bytes()) {
                return self.0.get(middle..middle + value_length);
            }
            start = middle + value_length;
        }
        let (place, value) = self.find(key)?;
        *hint = place;
        Some(value)
    }

    /// The place and the value of a key.
    #[inline]
    fn find(&self, key: &str) -> Option<(usize, &str)> {
        let (lengths, mut start) = self.lengths();
        for (place, pair) in lengths.chunks_exact(PAIR_DIGITS).enumerate() {
            let (key_length, value_length) = pair_lengths(pair);
            let middle = start + key_length;
            if key_length == key.len() && self.0.as_bytes().get(start..middle) == Some(key.as_bytes()) {
                return Some((place, self.0.get(middle..middle + value_length)?));
            }
            start = middle + value_length;
        }
        None
    }

    /// Whether the key is there.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let (lengths, mut start) = self.lengths();
        lengths.chunks_exact(PAIR_DIGITS).filter_map(move |pair| {
            let (key_length, value_length) = pair_lengths(pair);
            let middle = start + key_length;
            let pair = (
                self.0.get(start..middle)?,
                self.0.get(middle..middle + value_length)?,
            );
            start = middle + value_length;
            Some(pair)
        })
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.0.as_bytes().get(..COUNT_DIGITS).map_or(0, number)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The digits of all lengths, and where the texts begin.
    #[inline]
    fn lengths(&self) -> (&[u8], usize) {
        let end = COUNT_DIGITS + self.len() * PAIR_DIGITS;
        (self.0.as_bytes().get(COUNT_DIGITS..end).unwrap_or_default(), end)
    }
}

#[inline]
fn pair_lengths(digits: &[u8]) -> (usize, usize) {
    digits
        .split_at_checked(KEY_DIGITS)
        .map_or((0, 0), |(key, value)| (number(key), number(value)))
}

#[inline]
fn number(digits: &[u8]) -> usize {
    digits
        .iter()
        .rev()
        .fold(0, |number, digit| (number << BASE_BITS) | usize::from(*digit))
}

fn push_number(text: &mut String, mut number: usize, digits: usize) {
    for _ in 0..digits {
        text.push(char::from((number & 127) as u8));
        number >>= BASE_BITS;
    }
}

fn fits(length: usize, digits: usize) -> bool {
    length < 1 << (BASE_BITS as usize * digits)
}

impl std::fmt::Debug for StrMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for StrMap {
    /// Of several values of one key, the last counts. What no server sends is left out: keys of 16 KiB and more, values of
    /// 256 MiB and more, all after 16,383 pairs.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut pairs: Vec<(K, V)> = pairs.into_iter().collect();
        pairs.retain(|(key, value)| {
            fits(key.as_ref().len(), KEY_DIGITS) && fits(value.as_ref().len(), VALUE_DIGITS)
        });
        pairs.reverse();
        pairs.sort_by(|left, right| left.0.as_ref().cmp(right.0.as_ref()));
        pairs.dedup_by(|later, earlier| later.0.as_ref() == earlier.0.as_ref());
        pairs.truncate((1 << (BASE_BITS as usize * COUNT_DIGITS)) - 1);
        if pairs.is_empty() {
            return Self::default();
        }
        let texts: usize = pairs
            .iter()
            .map(|(key, value)| key.as_ref().len() + value.as_ref().len())
            .sum();
        let mut text = String::with_capacity(COUNT_DIGITS + PAIR_DIGITS * pairs.len() + texts);
        push_number(&mut text, pairs.len(), COUNT_DIGITS);
        for (key, value) in &pairs {
            push_number(&mut text, key.as_ref().len(), KEY_DIGITS);
            push_number(&mut text, value.as_ref().len(), VALUE_DIGITS);
        }
        for (key, value) in &pairs {
            text.push_str(key.as_ref());
            text.push_str(value.as_ref());
        }
        Self(text.into_boxed_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn long_values_are_held_whole() {
        let value = "v".repeat(300_000);
        let map: StrMap = [("a", value.as_str()), ("b", "2")].into_iter().collect();
        assert_eq!(map.get("a"), Some(value.as_str()));
        assert_eq!(map.get("b"), Some("2"));
    }

    proptest! {
        #[test]
        fn it_holds_what_a_tree_holds(pairs in proptest::collection::vec(("[abä/.]{0,4}", "[xyß]{0,3}"), 0..12), key in "[abä/.]{0,4}") {
            let map: StrMap = pairs.iter().cloned().collect();
            let model: BTreeMap<String, String> = pairs.into_iter().collect();
            prop_assert_eq!(map.get(&key), model.get(&key).map(String::as_str));
            prop_assert_eq!(map.contains_key(&key), model.contains_key(&key));
            prop_assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
            let all: Vec<(&str, &str)> = map.iter().collect();
            prop_assert_eq!(all, model.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>());
        }
    }
}
