//! The certificate that is served now, and the authority that is announced for it.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use super::error::CertificateError;
use super::material::{self, Material};
use crate::webhook::WebhookMetrics;

struct Served {
    material: Material,
    certified: Arc<CertifiedKey>,
}

/// Holds the served certificate; written by [`SharedCertificates`](super::SharedCertificates) or
/// [`FolderCertificates`](super::FolderCertificates), read by the [`Server`](super::Server) at each handshake without a
/// lock. Clones are handles of the same.
#[derive(Clone)]
pub struct Certificates(Arc<Inner>);

struct Inner {
    provider: Arc<CryptoProvider>,
    metrics: WebhookMetrics,
    served: ArcSwapOption<Served>,
    /// What clients should trust, in PEM. `None` until known.
    authority: watch::Sender<Option<Arc<str>>>,
}

impl Certificates {
    /// Without a certificate: handshakes fail until there is one.
    pub fn new(provider: Arc<CryptoProvider>) -> Self {
        Self::with_metrics(provider, &WebhookMetrics::default())
    }

    /// The same, and shows the end of the served certificate.
    pub fn with_metrics(provider: Arc<CryptoProvider>, metrics: &WebhookMetrics) -> Self {
        Self(Arc::new(Inner {
            provider,
            metrics: metrics.clone(),
            served: ArcSwapOption::empty(),
            authority: watch::Sender::new(None),
        }))
    }

    /// What clients must trust, in PEM: more than one authority while they are being replaced.
    pub fn authority(&self) -> Option<Arc<str>> {
        self.0.authority.borrow().clone()
    }

    /// The end of the served certificate.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.0
            .served
            .load()
            .as_ref()
            .and_then(|served| served.material.not_after().ok())
    }

    /// Waits until there is a certificate.
    pub async fn ready(&self) {
        let mut authority = self.0.authority.subscribe();
        // The sender lives as long as this handle.
        let _ = authority.wait_for(|_| self.0.served.load().is_some()).await;
    }

    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.0.provider
    }

    pub(crate) fn watch_authority(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.0.authority.subscribe()
    }

    pub(crate) fn served(&self) -> Option<Material> {
        self.0
            .served
            .load()
            .as_ref()
            .map(|served| served.material.clone())
    }

    /// Serves the certificate from the next handshake on, and announces its authority.
    pub(crate) fn serve(&self, material: Material) -> Result<(), CertificateError> {
        let certified = Arc::new(material.certified(&self.0.provider)?);
        let end = material.not_after()?;
        let authority = material.ca.clone();
        self.0
            .served
            .store(Some(Arc::new(Served { material, certified })));
        self.0.metrics.expiry.set(end.as_second());
        // Also when unchanged: `ready` waits for this.
        self.0.authority.send_if_modified(|_| true);
        self.announce(&authority);
        tracing::info!(%end, "serving a new webhook certificate");
        Ok(())
    }

    /// Announces authorities without changing what is served.
    pub(crate) fn announce(&self, authority: &str) {
        let new = (!authority.is_empty()).then(|| Arc::<str>::from(authority));
        self.0.authority.send_if_modified(|current| {
            let changed = *current != new;
            *current = new;
            changed
        });
    }

    /// Whether clients that trust what is announced now would accept `material`.
    pub(crate) fn is_announced(&self, material: &Material, hosts: &[String], now: Timestamp) -> bool {
        let Some(authority) = self.authority() else {
            return false;
        };
        material::certificates("authority", &authority)
            .and_then(|authorities| material.verify(&authorities, hosts, now, &self.0.provider))
            .is_ok()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0
            .served
            .load()
            .as_ref()
            .map(|served| served.certified.clone())
    }
}

impl fmt::Debug for Certificates {
    /// Shows no keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("not_after", &self.not_after())
            .finish()
    }
}
