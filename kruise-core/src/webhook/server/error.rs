//! What can go wrong with certificates, the listener and the configuration.

use super::secret::SecretError;
use crate::runtime::ConfigError;

/// A certificate, its key or its authority cannot be used or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Text that should be PEM is not.
    #[error("{what} is not valid PEM")]
    Pem {
        /// Which part.
        what: &'static str,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// There is no certificate in it.
    #[error("{0} holds no certificate")]
    Empty(&'static str),
    /// The encoding of a certificate is broken.
    #[error("certificate has no readable end of validity")]
    Validity,
    /// The certificate does not fit its key, its authority, the host or the time.
    #[error("certificate cannot be used for {host}")]
    Unfit {
        /// The name or address that was asked for.
        host: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The key cannot be used with the certificate.
    #[error("key cannot be used with the certificate")]
    Key(#[source] rustls::Error),
    /// The authority cannot be used.
    #[error("authority cannot be used")]
    Authority(#[source] rustls::Error),
    /// A host is neither a name nor an address.
    #[error("{0:?} is neither a DNS name nor an IP address")]
    Host(String),
    /// Making a certificate failed.
    #[error("certificate could not be made")]
    Issue(#[from] rcgen::Error),
    /// The Secret could not be read or written.
    #[error("secret with the certificates is out of reach")]
    Secret(#[from] SecretError),
    /// Others kept changing the Secret at the same time.
    #[error("secret with the certificates is changed by others all the time")]
    Contended,
    /// A file could not be read.
    #[error("file {file} cannot be read")]
    File {
        /// Its name in the folder.
        file: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The listener cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A setting cannot be used.
    #[error("server cannot be set up")]
    Config(#[from] ConfigError),
    /// The address is taken or not of this host.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The crypto provider lacks what TLS 1.2 and 1.3 need.
    #[error("crypto provider cannot be used")]
    Tls(#[source] rustls::Error),
}

/// The webhook configurations were not brought up to date.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// There is no certificate yet, or none with a known authority.
    #[error("no certificate authority to announce yet")]
    NoAuthority,
    /// It is not known yet which objects a hook is for.
    #[error("scopes of webhook {hook} are not known yet")]
    NoScopes {
        /// Its name.
        hook: String,
    },
    /// The authority cannot be used.
    #[error("authority cannot be announced")]
    Authority(#[from] CertificateError),
    /// The server did not answer over HTTPS under the authority that would be announced, so nothing was written.
    #[error("self-check of the webhook server failed")]
    SelfCheck(#[source] std::io::Error),
    /// The server answered the self-check with something else than 200.
    #[error("self-check of the webhook server was answered with {0:?}")]
    SelfCheckAnswer(String),
    /// A configuration could not be built.
    #[error("{name} could not be encoded")]
    Encode {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A converter can not be withdrawn: objects may be stored in a version that needs it.
    #[error(
        "objects of {name} may be stored as {version}, so their converter cannot be withdrawn without loss"
    )]
    StillStored {
        /// Name of the definition.
        name: String,
        /// The version.
        version: String,
    },
    /// The API server refused.
    #[error("{name} could not be {verb}")]
    Api {
        /// Its name.
        name: String,
        /// `read`, `created` or `patched`.
        verb: &'static str,
        /// Why.
        #[source]
        source: kube_client::Error,
    },
}

impl WriteError {
    /// The status code with which the API server refused.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Api {
                source: kube_client::Error::Api(status),
                ..
            } => Some(status.code),
            _ => None,
        }
    }
}
