//! Where runtimes listen.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where sockets lie below the run folder, in the order in which they are tried: containerd, CRI-O, cri-dockerd.
pub const CANDIDATES: [&str; 6] = [
    "containerd.sock",
    "containerd/containerd.sock",
    "crio.sock",
    "crio/crio.sock",
    "cri-dockerd.sock",
    "cri-dockerd/cri-dockerd.sock",
];

/// A runtime's unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    path: PathBuf,
}

/// Why a text names no socket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Another scheme than `unix`.
    #[error("endpoint `{0}` has a scheme other than unix://; only unix sockets are supported")]
    Scheme(String),
    /// Not an absolute path.
    #[error(
        "endpoint `{0}` is no absolute path; write unix:///run/containerd/containerd.sock or the path alone"
    )]
    Relative(String),
}

impl Endpoint {
    /// Reads `unix:///path` or a bare absolute path.
    ///
    /// # Errors
    /// Another scheme, or a relative path.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let path = match text.split_once("://") {
            Some(("unix", path)) => path,
            Some(_) => return Err(EndpointError::Scheme(text.to_owned())),
            None => text,
        };
        if !path.starts_with('/') {
            return Err(EndpointError::Relative(text.to_owned()));
        }
        Ok(Self {
            path: PathBuf::from(path),
        })
    }

    /// All [`CANDIDATES`] below a run folder such as `/var/run`, or wherever the host's is mounted.
    pub fn candidates(run_folder: &Path) -> Vec<Self> {
        CANDIDATES
            .iter()
            .map(|name| Self {
                path: run_folder.join(name),
            })
            .collect()
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl From<PathBuf> for Endpoint {
    fn from(path: PathBuf) -> Self {
        Self { path }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix://{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_urls_and_bare_paths_name_the_same_socket() {
        let url = Endpoint::parse("unix:///run/x.sock").unwrap();
        assert_eq!(url, Endpoint::parse("/run/x.sock").unwrap());
        assert_eq!(url.to_string(), "unix:///run/x.sock");
    }

    #[test]
    fn containerd_is_tried_before_cri_o_and_cri_o_before_cri_dockerd() {
        let tried: Vec<_> = Endpoint::candidates(Path::new("/run"))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            tried,
            [
                "unix:///run/containerd.sock",
                "unix:///run/containerd/containerd.sock",
                "unix:///run/crio.sock",
                "unix:///run/crio/crio.sock",
                "unix:///run/cri-dockerd.sock",
                "unix:///run/cri-dockerd/cri-dockerd.sock",
            ]
        );
    }

    #[test]
    fn other_schemes_and_relative_paths_are_refused() {
        assert!(matches!(
            Endpoint::parse("tcp://127.0.0.1:1"),
            Err(EndpointError::Scheme(_))
        ));
        assert!(matches!(
            Endpoint::parse("run/x.sock"),
            Err(EndpointError::Relative(_))
        ));
        assert!(matches!(Endpoint::parse(""), Err(EndpointError::Relative(_))));
    }
}
