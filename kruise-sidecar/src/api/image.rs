//! Image references, as far as sidecars need them: tags, digests, and whether two texts mean the same image.

/// A reference taken apart, short names filled in as Docker means them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImageRef<'i> {
    /// `docker.io`, `ghcr.io`, `localhost:5000`.
    registry: &'i str,
    /// Whether the name stands in Docker's own library: `nginx` for `library/nginx`.
    library: bool,
    /// The rest of the name.
    path: &'i str,
    /// The tag; none beside a digest unless it is written.
    pub(crate) tag: Option<&'i str>,
    /// The digest, as `sha256:…`.
    pub(crate) digest: Option<&'i str>,
}

const DOCKER: &str = "docker.io";
const DOCKER_ALIASES: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];
const LIBRARY: &str = "library/";
const LATEST: &str = "latest";

impl<'i> ImageRef<'i> {
    /// Takes a reference apart; any text is one. What stands before `://`, as nodes report it, is ignored.
    pub(crate) fn parse(text: &'i str) -> Self {
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            _ => (DOCKER, name),
        };
        let registry = if DOCKER_ALIASES.contains(&registry) {
            DOCKER
        } else {
            registry
        };
        let short = path.strip_prefix(LIBRARY).unwrap_or(path);
        let library = registry == DOCKER && !short.contains('/');
        Self {
            registry,
            library,
            path: if library { short } else { path },
            tag: tag.or(digest.is_none().then_some(LATEST)),
            digest,
        }
    }

    /// Whether both mean the same image: of the same repository, the same digest, or without digests the same tag.
    pub(crate) fn same_image(&self, other: &Self) -> bool {
        let named = |of: &Self| (of.digest, of.digest.is_none().then_some(of.tag));
        self.same_repository(other) && named(self) == named(other)
    }

    /// Whether both are of the same repository.
    pub(crate) fn same_repository(&self, other: &Self) -> bool {
        (self.registry, self.library, self.path) == (other.registry, other.library, other.path)
    }
}

/// Whether a reference means the tag `latest`; one with a digest alone has no tag.
pub(crate) fn is_latest(image: &str) -> bool {
    !image.is_empty() && ImageRef::parse(image).tag == Some(LATEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_the_same_image_are_equal() {
        for (one, other, same) in [
            ("nginx", "docker.io/library/nginx:latest", true),
            ("nginx:alpine", "index.docker.io/library/nginx:alpine", true),
            (
                "docker-pullable://nginx@sha256:1",
                "docker.io/library/nginx@sha256:1",
                true,
            ),
            ("nginx:1@sha256:1", "nginx@sha256:1", true),
            ("library/nginx:1", "nginx:1", true),
            ("team/nginx:1", "nginx:1", false),
            ("nginx:1", "nginx:2", false),
            ("nginx@sha256:1", "nginx@sha256:2", false),
            ("ghcr.io/library/nginx:1", "ghcr.io/nginx:1", false),
            ("localhost:5000/a:1", "localhost:5000/a:1", true),
            ("localhost:5000/a", "a", false),
            ("localhost/a:1", "a:1", false),
        ] {
            let equal = ImageRef::parse(one).same_image(&ImageRef::parse(other));
            assert_eq!(equal, same, "{one} and {other}");
        }
    }

    #[test]
    fn latest_is_what_is_pulled_without_tag_and_digest() {
        for (image, latest) in [
            ("a", true),
            ("a:latest", true),
            ("a:1", false),
            ("a@sha256:1", false),
            ("a:latest@sha256:1", true),
            ("localhost:5000/a", true),
            ("localhost:5000/a:1", false),
            ("", false),
        ] {
            assert_eq!(is_latest(image), latest, "{image}");
        }
    }
}
