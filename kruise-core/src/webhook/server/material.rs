//! A certificate with its key and authority: read, checked, made.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;

use super::der;
use super::error::CertificateError;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Older authorities kept in the bundle besides the newest.
const MAX_OLD_AUTHORITIES: usize = 2;

/// PEM texts, as they are in the Secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Material {
    /// Key of the first authority. Empty if not ours.
    pub(crate) ca_key: String,
    /// The authorities, the newest first. Empty if not known.
    pub(crate) ca: String,
    pub(crate) key: String,
    /// The certificate, and those between it and the authority.
    pub(crate) chain: String,
}

impl Material {
    /// What rustls serves. Fails if key and certificate do not belong together.
    pub(crate) fn certified(&self, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .map_err(|source| CertificateError::Pem { what: "key", source })?;
        let chain = certificates("certificate", &self.chain)?;
        CertifiedKey::from_der(chain, key, provider).map_err(CertificateError::Key)
    }

    /// The end of the certificate's validity.
    pub(crate) fn not_after(&self) -> Result<Timestamp, CertificateError> {
        first_end("certificate", &self.chain)
    }

    /// Checks that clients that trust `authorities` accept the certificate for all hosts at that time.
    pub(crate) fn verify(
        &self,
        authorities: &[CertificateDer<'static>],
        hosts: &[String],
        at: Timestamp,
        provider: &Arc<CryptoProvider>,
    ) -> Result<(), CertificateError> {
        let chain = certificates("certificate", &self.chain)?;
        let Some((leaf, between)) = chain.split_first() else {
            return Err(CertificateError::Empty("certificate"));
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(roots(authorities)?, provider.clone())
            .build()
            .map_err(|error| CertificateError::Authority(rustls::Error::General(error.to_string())))?;
        let seconds = u64::try_from(at.as_second()).unwrap_or(0);
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        for host in hosts {
            let name = server_name(host)?;
            verifier
                .verify_server_cert(leaf, between, &name, &[], time)
                .map_err(|source| CertificateError::Unfit {
                    host: host.clone(),
                    source,
                })?;
        }
        Ok(())
    }

    /// Whether it needs no renewal for that long: key fits, valid for all hosts under the newest authority.
    pub(crate) fn holds(
        &self,
        hosts: &[String],
        now: Timestamp,
        renew_before: Duration,
        provider: &Arc<CryptoProvider>,
    ) -> Result<bool, CertificateError> {
        let later = after(now, renew_before);
        let newest = certificates("authority", &self.ca)?
            .into_iter()
            .take(1)
            .collect::<Vec<_>>();
        self.certified(provider)?;
        self.verify(&newest, hosts, now, provider)?;
        self.verify(&newest, hosts, later, provider)?;
        Ok(first_end("authority", &self.ca)? > later)
    }
}

/// A name or address as rustls wants it.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, CertificateError> {
    ServerName::try_from(host.to_owned()).map_err(|_| CertificateError::Host(host.to_owned()))
}

/// All certificates of a PEM text, at least one.
pub(crate) fn certificates(
    what: &'static str,
    pem: &str,
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let all = all.map_err(|source| CertificateError::Pem { what, source })?;
    if all.is_empty() {
        return Err(CertificateError::Empty(what));
    }
    Ok(all)
}

pub(crate) fn roots(authorities: &[CertificateDer<'static>]) -> Result<Arc<RootCertStore>, CertificateError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(authority.clone())
            .map_err(CertificateError::Authority)?;
    }
    Ok(Arc::new(roots))
}

fn first_end(what: &'static str, pem: &str) -> Result<Timestamp, CertificateError> {
    let all = certificates(what, pem)?;
    all.first()
        .and_then(|first| der::not_after(first))
        .ok_or(CertificateError::Validity)
}

/// Certificates of both texts in PEM, each once, without those that ended before `now`; of `older` at most a few.
pub(crate) fn bundle(newer: &str, older: &str, now: Timestamp) -> Result<String, CertificateError> {
    let mut all = certificates("authority", newer)?;
    let valid = |certificate: &CertificateDer<'_>| der::not_after(certificate).is_some_and(|end| end > now);
    let older = certificates("authority", older).unwrap_or_default();
    let older: Vec<_> = older
        .into_iter()
        .filter(|old| valid(old) && !all.contains(old))
        .collect();
    all.extend(older.into_iter().take(MAX_OLD_AUTHORITIES));
    Ok(all.iter().map(|certificate| to_pem(certificate)).collect())
}

fn to_pem(certificate: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = next;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// New material: under the authority at hand if that is ours and valid for a year more, else under a new one, with the
/// old one kept in the bundle.
pub(crate) fn renew(
    existing: Option<&Material>,
    hosts: &[String],
    now: Timestamp,
    validity: Duration,
    provider: &Arc<CryptoProvider>,
) -> Result<Material, CertificateError> {
    if let Some(existing) = existing {
        let year = after(now, DAY * 365);
        let end = first_end("authority", &existing.ca)
            .ok()
            .filter(|end| *end > year);
        if let (Some(end), Ok(ca_key)) = (end, KeyPair::from_pem(&existing.ca_key)) {
            let end = end.min(after(now, validity));
            let (chain, key) = leaf(&authority(now, end), &ca_key, hosts, now, end)?;
            let ca = bundle(&existing.ca, "", now)?;
            let material = Material {
                ca_key: existing.ca_key.clone(),
                ca,
                key,
                chain,
            };
            // An authority that somebody else made has another name or key, and then this fails.
            if material
                .holds(hosts, now, Duration::ZERO, provider)
                .unwrap_or(false)
            {
                return Ok(material);
            }
        }
    }
    let end = after(now, validity);
    let params = authority(now, end);
    let ca_key = KeyPair::generate()?;
    let ca = params.self_signed(&ca_key)?;
    let (chain, key) = leaf(&params, &ca_key, hosts, now, end)?;
    Ok(Material {
        ca: bundle(&ca.pem(), existing.map_or("", |existing| &existing.ca), now)?,
        ca_key: ca_key.serialize_pem(),
        key,
        chain,
    })
}

fn authority(now: Timestamp, end: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    set_validity(&mut params, now, end);
    params.distinguished_name = named("webhook-cert-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn leaf(
    authority: &CertificateParams,
    ca_key: &KeyPair,
    hosts: &[String],
    now: Timestamp,
    end: Timestamp,
) -> Result<(String, String), CertificateError> {
    let mut names = hosts.to_vec();
    if !names.iter().any(|name| name == "localhost") {
        names.push("localhost".to_owned());
    }
    let mut params = CertificateParams::new(names)?;
    set_validity(&mut params, now, end);
    params.distinguished_name = named(hosts.first().map_or("localhost", String::as_str));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &Issuer::from_params(authority, ca_key))?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// A common name longer than 64 characters is not allowed, and names are read from the alternatives anyway.
fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    distinguished
}

pub(crate) fn after(time: Timestamp, by: Duration) -> Timestamp {
    let sum = SignedDuration::try_from(by)
        .ok()
        .and_then(|by| time.checked_add(by).ok());
    sum.unwrap_or(Timestamp::MAX)
}

fn before(time: Timestamp, by: Duration) -> Timestamp {
    let difference = SignedDuration::try_from(by)
        .ok()
        .and_then(|by| time.checked_sub(by).ok());
    difference.unwrap_or(Timestamp::MIN)
}

/// Sets the validity, in whole days: from the midnight a day before `now`, for clocks that are behind.
fn set_validity(params: &mut CertificateParams, now: Timestamp, end: Timestamp) {
    let (year, month, day) = date(before(now, DAY));
    params.not_before = rcgen::date_time_ymd(year, month, day);
    let (year, month, day) = date(end);
    params.not_after = rcgen::date_time_ymd(year, month, day);
}

fn date(time: Timestamp) -> (i32, u8, u8) {
    let date = time.to_zoned(TimeZone::UTC).date();
    (
        date.year().into(),
        date.month().unsigned_abs(),
        date.day().unsigned_abs(),
    )
}
