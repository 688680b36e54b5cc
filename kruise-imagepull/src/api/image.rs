//! The key under which a NodeImage holds the task of an image.

use kruise_cri::{ParseReferenceError, Reference};

/// Why an image can not be read.
pub type ImageKeyError = ParseReferenceError;

/// Familiar image name and tag or digest, such as (`nginx`, `1.9`) or (`ghcr.io/a/b`, `sha256:…`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageKey {
    /// Key of `spec.images`.
    pub name: String,
    /// The `tag` of the task.
    pub tag: String,
}

impl ImageKey {
    /// Reads an image as a user writes it. Without tag and digest it means `latest`; beside a digest a tag is ignored.
    ///
    /// # Errors
    /// The text is no image reference.
    pub fn parse(image: &str) -> Result<Self, ImageKeyError> {
        let reference = Reference::parse(image)?;
        Ok(Self {
            name: reference.familiar_name(),
            tag: reference.tag_or_digest().to_owned(),
        })
    }

    /// Makes the key of an entry of a NodeImage, whatever it holds.
    pub fn from_parts(name: &str, tag: &str) -> Self {
        Self {
            name: name.to_owned(),
            tag: tag.to_owned(),
        }
    }

    /// Returns the reference in full form (`docker.io/library/nginx:1.9`, `ghcr.io/a/b@sha256:…`). Runtimes need not guess
    /// what a short name means then, and digests are joined with `@` (kruise#2534).
    ///
    /// # Errors
    /// Name and tag make no image reference; possible in entries that users write.
    pub fn reference(&self) -> Result<Reference, ImageKeyError> {
        let separator = if self.tag.contains(':') { '@' } else { ':' };
        Reference::parse(&format!("{}{separator}{}", self.name, self.tag))
    }
}
