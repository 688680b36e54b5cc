//! How many objects stay at the old revision.

/// Splits a waiting list into what may be updated and what the partition keeps: the last `keep` entries. A partition below
/// zero keeps none.
///
/// ```
/// use kruise_core::policy::partition::split;
/// assert_eq!(split(&[4, 7, 9], 1), (&[4, 7][..], &[9][..]));
/// assert_eq!(split(&[4, 7, 9], 5), (&[][..], &[4, 7, 9][..]));
/// ```
pub fn split(waiting: &[u32], keep: i64) -> (&[u32], &[u32]) {
    let keep = usize::try_from(keep.max(0)).unwrap_or(usize::MAX);
    waiting.split_at(waiting.len().saturating_sub(keep))
}
