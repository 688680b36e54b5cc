//! Hashes in sixteen bytes.

use std::fmt;

use sha2::{Digest, Sha256};

/// A short stand-in for the text of a hash: equal texts have equal ones, and others, but for one in 2¹²⁸, do not.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of a text; `None` if it is empty.
    pub fn of(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let digest = Sha256::digest(text.as_bytes());
        let mut start = [0; 16];
        start.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Some(Self(start))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
