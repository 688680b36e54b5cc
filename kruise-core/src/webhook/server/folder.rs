//! A certificate that somebody else keeps in files, such as cert-manager in a mounted Secret.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::certificates::Certificates;
use super::error::CertificateError;
use super::material::Material;
use crate::runtime::{RunError, Runnable};

/// Longer files are no certificates.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Where the authority stands; the first that is there counts.
const AUTHORITY_FILES: [&str; 2] = ["ca.crt", "ca-cert.pem"];

/// Serves `tls.crt` and `tls.key` of a folder and takes over changes. Nothing is written.
///
/// `ca.crt` (cert-manager's name), else `ca-cert.pem` (OpenKruise's), if there is one, is the authority that is announced. A pair that does not fit together, as it may be
/// seen in the middle of a change, is passed over until the next look.
#[derive(Debug)]
pub struct FolderCertificates {
    folder: PathBuf,
    certificates: Certificates,
    interval: Duration,
}

impl FolderCertificates {
    /// Looks at the folder every ten seconds.
    pub fn new(folder: impl Into<PathBuf>, certificates: &Certificates) -> Self {
        Self {
            folder: folder.into(),
            certificates: certificates.clone(),
            interval: Duration::from_secs(10),
        }
    }

    /// Looks as often as this; at least every 10 ms.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_millis(10));
        self
    }

    /// One look. Whether a new certificate is served.
    pub async fn refresh(&self) -> Result<bool, CertificateError> {
        let folder = self.folder.clone();
        let read = tokio::task::spawn_blocking(move || read(&folder)).await;
        let material = read.map_err(|error| CertificateError::File {
            file: "tls.crt",
            source: std::io::Error::other(error),
        })??;
        if self.certificates.served().as_ref() == Some(&material) {
            return Ok(false);
        }
        self.certificates.serve(material)?;
        Ok(true)
    }

    async fn run_until(self, cancel: CancellationToken) {
        loop {
            match cancel.run_until_cancelled(self.refresh()).await {
                None => return,
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "webhook certificates not read");
                }
            }
            if cancel
                .run_until_cancelled(tokio::time::sleep(self.interval))
                .await
                .is_none()
            {
                return;
            }
        }
    }
}

impl Runnable for FolderCertificates {
    fn name(&self) -> &str {
        "webhook certificates"
    }

    fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
        self.run_until(cancel).map(Ok).boxed()
    }
}

fn read(folder: &Path) -> Result<Material, CertificateError> {
    let file = |file: &'static str| {
        let text = || {
            let mut text = String::new();
            std::fs::File::open(folder.join(file))?
                .take(MAX_FILE_BYTES)
                .read_to_string(&mut text)?;
            Ok(text)
        };
        text().map_err(|source| CertificateError::File { file, source })
    };
    let mut ca = None;
    for name in AUTHORITY_FILES {
        match file(name) {
            Ok(text) => {
                ca = Some(text);
                break;
            }
            Err(CertificateError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Material {
        ca_key: String::new(),
        ca: ca.unwrap_or_default(),
        key: file("tls.key")?,
        chain: file("tls.crt")?,
    })
}
