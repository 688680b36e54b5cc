//! HTTPS for a [`Router`](super::Router): listener, certificates, and the configurations that tell the cluster of it.
//!
//! ```text
//!  Secret ◀──▶ SharedCertificates ─┐
//!                                  ├─▶ Certificates ──▶ Server (handshakes) ◀── API server
//!  folder ───▶ FolderCertificates ─┘        │                ▲
//!                                           │ authority      │ self-check
//!                                           ▼                │
//!                                  ConfigurationWriter ──────┘──▶ webhook configurations
//! ```
//! Each is a [`Runnable`](crate::runtime::Runnable), and each may be left out: with certificates and configurations kept
//! by others (cert-manager and its injector) only [`FolderCertificates`] and [`Server`] are needed.
//!
//! # Replacing the authority without an interruption
//! A new authority comes first in `ca-cert.pem`, the old one stays behind it. Both are announced at once, while the old
//! certificate is still served; the new one is served after [`SharedConfig::overlap`]. An old certificate that
//! clients refuse anyway is replaced at once. A new certificate under the same authority is served at once.

mod announce;
mod certificates;
mod check;
mod config;
mod definitions;
mod der;
mod error;
mod folder;
mod listener;
mod material;
mod others;
pub mod rbac;
mod secret;
mod shared;
mod writer;

use std::time::Duration;

pub use announce::Target;
pub use certificates::Certificates;
pub use config::WriterConfig;
pub use definitions::{Withdrawal, withdraw_converter};
pub use error::{CertificateError, ServerError, WriteError};
pub use folder::FolderCertificates;
pub use listener::{Server, ServerConfig};
pub use secret::{KubeSecret, SecretData, SecretError, SecretStore, StoredSecret};
pub use shared::{SharedCertificates, SharedConfig};
pub use writer::{ConfigurationWriter, WebhookReady};

/// One second after the first failure, then twice as long each time.
fn back_off(failures: u32, most: Duration) -> Duration {
    let factor = 2u32.saturating_pow(failures.saturating_sub(1).min(16));
    (Duration::from_secs(1) * factor).min(most)
}
