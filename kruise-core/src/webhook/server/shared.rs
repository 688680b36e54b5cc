//! A certificate that replicas make once and share through a Secret.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::certificates::Certificates;
use super::error::CertificateError;
use super::material::{self, Material};
use super::secret::{SecretData, SecretError, SecretStore};
use crate::runtime::{Clock, ConfigError, RunError, Runnable};

/// How often a race for the Secret is run before it counts as an error.
const ATTEMPTS: usize = 5;

/// Settings of [`SharedCertificates`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SharedConfig {
    /// DNS names and IP addresses under which the server is called. At least one; `localhost` is added.
    pub hosts: Vec<String>,
    /// How long before its end a certificate is replaced. Default: 180 days.
    pub renew_before: Duration,
    /// How long new certificates are valid. Default: 3650 days; longer than `renew_before`, at most 36500 days.
    pub validity: Duration,
    /// How often the Secret is read. Default: 60 s; at least 1 s.
    pub interval: Duration,
    /// How long a new authority is announced before the first certificate under it is served, if the old certificate
    /// is still good. Default: 5 minutes; must be more than the time that all replicas need to see a new Secret and
    /// write the configurations, which is twice `interval`.
    pub overlap: Duration,
}

impl SharedConfig {
    /// The defaults for these hosts.
    pub fn new(hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let day = Duration::from_secs(24 * 3600);
        Self {
            hosts: hosts.into_iter().map(Into::into).collect(),
            renew_before: day * 180,
            validity: day * 3650,
            interval: Duration::from_secs(60),
            overlap: Duration::from_secs(300),
        }
    }

    /// Checks that every setting can be used; the error names the one that cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.hosts.is_empty() || self.hosts.iter().any(|host| material::server_name(host).is_err()) {
            return Err(ConfigError::new(
                "hosts",
                "must be DNS names or IP addresses, at least one",
            ));
        }
        let day = Duration::from_secs(24 * 3600);
        if self.validity <= self.renew_before + day || self.validity > day * 36500 {
            let problem = "must be more than a day above renew_before, and at most 36500 days";
            return Err(ConfigError::new("validity", problem));
        }
        if self.interval < Duration::from_secs(1) {
            return Err(ConfigError::new("interval", "must be at least 1 s"));
        }
        Ok(())
    }
}

/// Keeps the certificate of a [`Certificates`] in step with a Secret, and the Secret valid.
///
/// The entries are `ca-key.pem`, `ca-cert.pem` (the newest authority first, then older ones), `key.pem`, `cert.pem`, and
/// `tls.key`, `tls.crt` with the same content as the last two. Whoever finds the Secret missing, not for the hosts, or near its end
/// writes a new one; all others take over what was written.
pub struct SharedCertificates<S> {
    store: S,
    config: SharedConfig,
    certificates: Certificates,
    clock: Arc<dyn Clock>,
    /// Seen last in the Secret.
    known: Option<Material>,
    /// To be served once its authority has been announced for long enough.
    pending: Option<(Material, Instant)>,
}

impl<S: SecretStore> SharedCertificates<S> {
    /// Fails if a setting cannot be used.
    pub fn new(
        store: S,
        certificates: &Certificates,
        clock: Arc<dyn Clock>,
        config: SharedConfig,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            store,
            config,
            certificates: certificates.clone(),
            clock,
            known: None,
            pending: None,
        })
    }

    /// One round: reads the Secret, writes it if need be, and serves what is in it. Done by the run loop; call it
    /// to have a certificate before the start, or to learn what fails.
    ///
    /// Cancellation safe: at worst the Secret is written and not yet served.
    pub async fn refresh(&mut self) -> Result<(), CertificateError> {
        let material = self.agree().await?;
        self.adopt(material)
    }

    /// What the replicas agree on.
    async fn agree(&mut self) -> Result<Material, CertificateError> {
        for _ in 0..ATTEMPTS {
            let now = self.clock.now();
            let stored = self.store.read().await?;
            let found = stored.as_ref().map(|stored| from_data(&stored.data));
            let provider = self.certificates.provider();
            let SharedConfig {
                hosts,
                renew_before,
                validity,
                ..
            } = &self.config;
            let holds = |material: &Material| material.holds(hosts, now, *renew_before, provider);
            let reason = match found.as_ref().map(holds) {
                Some(Ok(true)) => {
                    self.known.clone_from(&found);
                    return found.ok_or(CertificateError::Contended);
                }
                Some(Ok(false)) => "authority ends soon".to_owned(),
                Some(Err(error)) => error.to_string(),
                None => "missing".to_owned(),
            };
            // One without an authority (deleted, emptied) gets back what was known, so that no client has to learn
            // a new authority.
            let usable = |material: &&Material| material::certificates("authority", &material.ca).is_ok();
            let material = match (found.as_ref().filter(usable), &self.known) {
                (None, Some(known)) if holds(known).unwrap_or(false) => known.clone(),
                (found, known) => {
                    let existing = found.or(known.as_ref());
                    material::renew(existing, hosts, now, *validity, provider)?
                }
            };
            tracing::info!(reason, "writing the secret with the webhook certificates");
            let data = to_data(&material);
            let written = match stored {
                None => self.store.create(data).await,
                Some(stored) => self.store.update(data, stored.resource_version).await,
            };
            match written {
                Ok(()) => {
                    self.known = Some(material.clone());
                    return Ok(material);
                }
                Err(SecretError::Raced) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CertificateError::Contended)
    }

    /// Serves it, at once if that breaks no client.
    fn adopt(&mut self, material: Material) -> Result<(), CertificateError> {
        let now = self.clock.now();
        let hosts = &self.config.hosts;
        let Some(served) = self.certificates.served() else {
            return self.certificates.serve(material);
        };
        if served.key == material.key && served.chain == material.chain {
            self.pending = None;
            self.certificates.announce(&material.ca);
            return Ok(());
        }
        let still_good = self.certificates.is_announced(&served, hosts, now);
        let ripe = match &self.pending {
            Some((pending, at)) if *pending == material => Instant::now() >= *at,
            _ => false,
        };
        let unknown = !self.certificates.is_announced(&material, hosts, now);
        if !still_good || ripe || (self.pending.is_none() && !unknown) {
            self.pending = None;
            return self.certificates.serve(material);
        }
        if self
            .pending
            .as_ref()
            .is_none_or(|(pending, _)| *pending != material)
        {
            let announced = self.certificates.authority().unwrap_or_default();
            self.certificates
                .announce(&material::bundle(&material.ca, &announced, now)?);
            self.pending = Some((material, Instant::now() + self.config.overlap));
        }
        Ok(())
    }

    async fn run_until(mut self, cancel: CancellationToken) {
        let mut failures = 0u32;
        loop {
            let wait = match cancel.run_until_cancelled(self.refresh()).await {
                None => return,
                Some(Ok(())) => {
                    failures = 0;
                    let ripe = self
                        .pending
                        .as_ref()
                        .map(|(_, at)| at.duration_since(Instant::now()));
                    ripe.map_or(self.config.interval, |ripe| ripe.min(self.config.interval))
                }
                Some(Err(error)) => {
                    failures += 1;
                    tracing::warn!(
                        error = %crate::runtime::Causes(&error),
                        "webhook certificates not refreshed"
                    );
                    super::back_off(failures, self.config.interval)
                }
            };
            if cancel
                .run_until_cancelled(tokio::time::sleep(wait))
                .await
                .is_none()
            {
                return;
            }
        }
    }
}

impl<S: SecretStore> Runnable for SharedCertificates<S> {
    fn name(&self) -> &str {
        "webhook certificates"
    }

    fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
        self.run_until(cancel).map(Ok).boxed()
    }
}

impl<S> fmt::Debug for SharedCertificates<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCertificates")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// What is missing is empty, and so does not hold.
fn from_data(data: &SecretData) -> Material {
    let text = |key: &str| {
        data.get(key)
            .and_then(|bytes| String::from_utf8(bytes.clone()).ok())
    };
    Material {
        ca_key: text("ca-key.pem").unwrap_or_default(),
        ca: text("ca-cert.pem").unwrap_or_default(),
        key: text("key.pem").or_else(|| text("tls.key")).unwrap_or_default(),
        chain: text("cert.pem").or_else(|| text("tls.crt")).unwrap_or_default(),
    }
}

fn to_data(material: &Material) -> SecretData {
    let entries = [
        ("ca-key.pem", &material.ca_key),
        ("ca-cert.pem", &material.ca),
        ("key.pem", &material.key),
        ("cert.pem", &material.chain),
        ("tls.key", &material.key),
        ("tls.crt", &material.chain),
    ];
    entries
        .into_iter()
        .map(|(key, text)| (key.to_owned(), text.clone().into_bytes()))
        .collect()
}
