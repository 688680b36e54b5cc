//! A small map of strings in one piece of memory.

/// Digits of base 128 are ASCII, so that numbers can stand in front of the texts they are about.
const BASE_BITS: u32 = 7;
const COUNT_DIGITS: usize = 2;
const KEY_DIGITS: usize = 2;
const END_DIGITS: usize = 4;
const PAIR_DIGITS: usize = KEY_DIGITS + END_DIGITS;

/// A map of strings that is read often and never changed, in two words and one allocation; none if it is empty.
///
/// A look-up walks the lengths and compares only keys that are as long as the wanted one, so that it touches two or three
/// lines of the processor's cache where a map of separate strings touches one for each step. For labels, which are few, that
/// is what counts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StrMap(
    /// How many pairs; of each, by key, the length of the key and where the value ends, counted from the first text; then keys
    /// and values, one after the other.
    Box<str>,
);

type Pair = [u8; PAIR_DIGITS];

impl StrMap {
    /// The value of a key.
    #[inline]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.find(key).map(|(_, value)| value)
    }

    /// The value of a key, looked for at the place `hint` first. The hint becomes the place where it is found.
    #[inline]
    pub(crate) fn get_near(&self, key: &str, hint: &mut usize) -> Option<&str> {
        let (pairs, texts) = self.parts();
        if let Some(value) = value_at(pairs, texts, *hint, key) {
            return Some(value);
        }
        let (place, value) = self.find(key)?;
        *hint = place;
        Some(value)
    }

    /// Whether the key is there.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let (pairs, texts) = self.parts();
        let mut start = 0;
        pairs.iter().filter_map(move |pair| {
            let (begin, middle, end) = (start, start + key_length(pair), value_end(pair));
            start = end;
            Some((texts.get(begin..middle)?, texts.get(middle..end)?))
        })
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.parts().0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The place and the value of a key.
    #[inline]
    fn find(&self, key: &str) -> Option<(usize, &str)> {
        let (pairs, texts) = self.parts();
        let long = pairs
            .iter()
            .enumerate()
            .filter(|(_, pair)| key_length(pair) == key.len());
        long.map(|(place, _)| place)
            .find_map(|place| Some((place, value_at(pairs, texts, place, key)?)))
    }

    /// The numbers, and the texts they are about.
    #[inline]
    fn parts(&self) -> (&[Pair], &str) {
        let Some((&[low, high], rest)) = self.0.as_bytes().split_first_chunk::<COUNT_DIGITS>() else {
            return (&[], "");
        };
        let count = usize::from(low) | usize::from(high) << BASE_BITS;
        let (pairs, _) = rest.as_chunks::<PAIR_DIGITS>();
        let texts = self.0.get(COUNT_DIGITS + count * PAIR_DIGITS..);
        (pairs.get(..count).unwrap_or_default(), texts.unwrap_or_default())
    }
}

/// The value at a place, if the key is there.
#[inline]
fn value_at<'a>(pairs: &[Pair], texts: &'a str, place: usize, key: &str) -> Option<&'a str> {
    let pair = pairs.get(place)?;
    let start = match place.checked_sub(1) {
        Some(before) => value_end(pairs.get(before)?),
        None => 0,
    };
    let middle = start + key.len();
    let here = key_length(pair) == key.len() && texts.as_bytes().get(start..middle) == Some(key.as_bytes());
    if here {
        texts.get(middle..value_end(pair))
    } else {
        None
    }
}

#[inline]
fn key_length(&[low, high, ..]: &Pair) -> usize {
    usize::from(low) | usize::from(high) << BASE_BITS
}

#[inline]
fn value_end(&[_, _, a, b, c, d]: &Pair) -> usize {
    usize::from(a)
        | usize::from(b) << BASE_BITS
        | usize::from(c) << (2 * BASE_BITS)
        | usize::from(d) << (3 * BASE_BITS)
}

fn push_number(text: &mut String, mut number: usize, digits: usize) {
    for _ in 0..digits {
        text.push(char::from((number & 127) as u8));
        number >>= BASE_BITS;
    }
}

/// One more than the largest number of so many digits.
const fn limit(digits: usize) -> usize {
    1 << (BASE_BITS as usize * digits)
}

impl std::fmt::Debug for StrMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for StrMap {
    /// Of several values of one key, the last counts. What no server sends is left out: keys of 16 KiB and more, all after
    /// 16,383 pairs, and what goes beyond 256 MiB together.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut pairs: Vec<(K, V)> = pairs.into_iter().collect();
        pairs.reverse();
        pairs.sort_by(|left, right| left.0.as_ref().cmp(right.0.as_ref()));
        pairs.dedup_by(|later, earlier| later.0.as_ref() == earlier.0.as_ref());
        let mut texts = 0;
        pairs.retain(|(key, value)| {
            let (key, value) = (key.as_ref().len(), value.as_ref().len());
            let fits = key < limit(KEY_DIGITS) && texts + key + value < limit(END_DIGITS);
            texts += if fits { key + value } else { 0 };
            fits
        });
        pairs.truncate(limit(COUNT_DIGITS) - 1);
        if pairs.is_empty() {
            return Self::default();
        }
        let mut text = String::with_capacity(COUNT_DIGITS + PAIR_DIGITS * pairs.len() + texts);
        push_number(&mut text, pairs.len(), COUNT_DIGITS);
        let mut end = 0;
        for (key, value) in &pairs {
            end += key.as_ref().len() + value.as_ref().len();
            push_number(&mut text, key.as_ref().len(), KEY_DIGITS);
            push_number(&mut text, end, END_DIGITS);
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
