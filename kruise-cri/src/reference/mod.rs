//! Image references as people write them and as runtimes want them.
//!
//! The grammar and the normal form are those of Docker's distribution: a missing domain is `docker.io`, a single path
//! component there is below `library/`, a missing tag is `latest`, and a digest makes a tag beside it meaningless.

mod grammar;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use grammar::{is_digest, is_domain, is_path, is_tag};

const DOCKER: &str = "docker.io";
const DOCKER_OLD: &str = "index.docker.io";
const LIBRARY: &str = "library/";
/// Longest domain plus path, in bytes.
const MAX_NAME: usize = 255;

/// A parsed image reference in normal form.
///
/// ```
/// use kruise_cri::Reference;
/// let nginx = Reference::parse("nginx")?;
/// assert_eq!(nginx.full(), "docker.io/library/nginx:latest");
/// assert_eq!(nginx.familiar_name(), "nginx");
/// assert_eq!(Reference::parse("docker.io/library/nginx:latest")?, nginx);
/// # Ok::<(), kruise_cri::ParseReferenceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    pin: Pin,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Pin {
    Tag(String),
    Digest(String),
}

/// Why a text is no image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseReferenceError {
    /// Nothing is there.
    #[error("the image is empty")]
    Empty,
    /// `http://` or the like stands in front.
    #[error("image `{0}` has a scheme; write the registry host without it")]
    Scheme(String),
    /// 64 hexadecimal digits are an image id.
    #[error("image `{0}` is an image id; write a name, with a tag or a digest")]
    ImageId(String),
    /// The part before the first slash is no host.
    #[error("`{domain}` in image `{image}` is no registry host")]
    Domain {
        /// The whole text.
        image: String,
        /// The part that is wrong.
        domain: String,
    },
    /// Upper-case letters in the name.
    #[error("the name in image `{0}` has upper-case letters; only tags may")]
    UpperCase(String),
    /// The path has characters or separators that are not allowed.
    #[error(
        "`{path}` in image `{image}` is no repository name: lower-case letters and digits, joined by `.`, `_`, `__` or `-`"
    )]
    Path {
        /// The whole text.
        image: String,
        /// The part that is wrong.
        path: String,
    },
    /// The name is longer than 255 bytes.
    #[error("the name in image `{0}` is longer than {MAX_NAME} characters")]
    TooLong(String),
    /// The tag is empty, too long or has other characters.
    #[error(
        "`{tag}` in image `{image}` is no tag: up to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`"
    )]
    Tag {
        /// The whole text.
        image: String,
        /// The part that is wrong.
        tag: String,
    },
    /// The digest is malformed.
    #[error(
        "`{digest}` in image `{image}` is no digest such as sha256: and 64 lower-case hexadecimal digits"
    )]
    Digest {
        /// The whole text.
        image: String,
        /// The part that is wrong.
        digest: String,
    },
}

impl Reference {
    /// Parses and normalises a reference. Linear in its length.
    ///
    /// # Errors
    /// Says which part is wrong, and what it should look like.
    pub fn parse(image: &str) -> Result<Self, ParseReferenceError> {
        use ParseReferenceError as E;
        let whole = || image.to_owned();
        if image.is_empty() {
            return Err(E::Empty);
        }
        if image.contains("://") {
            return Err(E::Scheme(whole()));
        }
        if image.len() == 64 && image.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(E::ImageId(whole()));
        }
        let (rest, digest) = match image.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (image, None),
        };
        if let Some(digest) = digest.filter(|digest| !is_digest(digest)) {
            return Err(E::Digest {
                image: whole(),
                digest: digest.to_owned(),
            });
        }
        let (domain, rest) = split_domain(rest);
        // A colon after the last slash begins the tag; one in front of it would be a port.
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(E::Tag {
                image: whole(),
                tag: tag.to_owned(),
            });
        }
        let domain = match domain {
            None | Some(DOCKER_OLD) => DOCKER,
            Some(domain) if is_domain(domain) => domain,
            Some(domain) => {
                return Err(E::Domain {
                    image: whole(),
                    domain: domain.to_owned(),
                });
            }
        };
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(E::UpperCase(whole()));
        }
        if !is_path(path) {
            return Err(E::Path {
                image: whole(),
                path: path.to_owned(),
            });
        }
        let library = if domain == DOCKER && !path.contains('/') {
            LIBRARY
        } else {
            ""
        };
        if domain.len() + 1 + library.len() + path.len() > MAX_NAME {
            return Err(E::TooLong(whole()));
        }
        let pin = match (digest, tag) {
            (Some(digest), _) => Pin::Digest(digest.to_owned()),
            (None, tag) => Pin::Tag(tag.unwrap_or("latest").to_owned()),
        };
        Ok(Self {
            domain: domain.to_owned(),
            path: format!("{library}{path}"),
            pin,
        })
    }

    /// The registry host, with its port if one was given: `docker.io`, `reg:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry: `library/nginx`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Registry and repository: `docker.io/library/nginx`. What credentials are looked up by.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The short name that people use: `nginx`, `foo/bar`, `ghcr.io/a/b`. Where the short form would be read as another
    /// image (`docker.io/a.b/c`: its `a.b` looks like a host), it is the full name.
    pub fn familiar_name(&self) -> String {
        if self.domain != DOCKER {
            return self.name();
        }
        let short = match self.path.strip_prefix(LIBRARY) {
            // `library/foo/bar` keeps its prefix: only a path of exactly two components is an official image.
            Some(short) if !short.contains('/') => short,
            _ => &self.path,
        };
        match split_domain(short) {
            (Some(_), _) => self.name(),
            (None, _) => short.to_owned(),
        }
    }

    /// The tag, unless a digest pins the image.
    pub fn tag(&self) -> Option<&str> {
        match &self.pin {
            Pin::Tag(tag) => Some(tag),
            Pin::Digest(_) => None,
        }
    }

    /// The digest, such as `sha256:…`.
    pub fn digest(&self) -> Option<&str> {
        match &self.pin {
            Pin::Digest(digest) => Some(digest),
            Pin::Tag(_) => None,
        }
    }

    /// The tag, or the whole digest.
    pub fn tag_or_digest(&self) -> &str {
        match &self.pin {
            Pin::Tag(text) | Pin::Digest(text) => text,
        }
    }

    /// The full form that every runtime understands alike: `docker.io/library/nginx:1.9`, `ghcr.io/a/b@sha256:…`.
    pub fn full(&self) -> String {
        self.to_string()
    }
}

/// The part before the first slash is a host if it has a dot or a colon, or is `localhost`.
fn split_domain(rest: &str) -> (Option<&str>, &str) {
    match rest.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), path),
        _ => (None, rest),
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (separator, pin) = match &self.pin {
            Pin::Tag(tag) => (':', tag),
            Pin::Digest(digest) => ('@', digest),
        };
        write!(f, "{}/{}{separator}{pin}", self.domain, self.path)
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(image: &str) -> Result<Self, Self::Err> {
        Self::parse(image)
    }
}
