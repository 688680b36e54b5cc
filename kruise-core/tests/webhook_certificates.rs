//! Who makes certificates, who takes them over, and what clients see of it.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail that way")]

mod webhook_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use http::StatusCode;
use kruise_core::runtime::{Clock, Runnable, Tasks};
use kruise_core::webhook::server::*;
use webhook_support::api::*;
use webhook_support::https::*;
use webhook_support::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn count(pem: &str) -> usize {
    pem.matches("BEGIN CERTIFICATE").count()
}

#[tokio::test]
async fn two_replicas_end_with_the_same_authority() {
    let (secret, clock) = (FakeSecret::default(), clock());
    let (one, _a) = shared(&secret, &clock).await;
    let (two, _b) = shared(&secret, &clock).await;
    assert_eq!(one.authority(), two.authority());
    assert_eq!(secret.writes(), 1);
    let keys: Vec<_> = secret.data().into_keys().collect();
    assert_eq!(
        keys,
        [
            "ca-cert.pem",
            "ca-key.pem",
            "cert.pem",
            "key.pem",
            "tls.crt",
            "tls.key"
        ]
    );
}

#[tokio::test]
async fn the_loser_of_a_race_takes_over_what_the_winner_wrote() {
    let clock = clock();
    let winner = FakeSecret::default();
    let (won, _a) = shared(&winner, &clock).await;
    let secret = FakeSecret::default();
    secret.race(winner.data());
    let (lost, _b) = shared(&secret, &clock).await;
    assert_eq!(lost.authority(), won.authority());
    assert_eq!(secret.writes(), 0);
}

#[tokio::test]
async fn a_certificate_for_another_host_is_replaced_under_the_same_authority() {
    let (secret, clock) = (FakeSecret::default(), clock());
    let (first, _a) = shared(&secret, &clock).await;
    let certificates = Certificates::new(provider());
    let config = SharedConfig::new(["other.example.svc", "192.0.2.7", "2001:db8::7"]);
    let mut other = SharedCertificates::new(secret.clone(), &certificates, clock, config).unwrap();
    other.refresh().await.unwrap();
    assert_eq!(certificates.authority(), first.authority());
    assert_eq!(secret.writes(), 2);
    let tasks = Tasks::new();
    let address = serve(router(), &certificates, &tasks).await;
    let authority = certificates.authority().unwrap();
    for host in ["other.example.svc", "192.0.2.7", "2001:db8::7", "localhost"] {
        assert!(connect(address, host, &authority).await.is_ok(), "{host}");
    }
}

#[tokio::test]
async fn nothing_is_written_until_180_days_before_the_end() {
    let (secret, clock) = (FakeSecret::default(), clock());
    let (certificates, mut shared) = shared(&secret, &clock).await;
    clock.advance(DAY * (3650 - 182));
    shared.refresh().await.unwrap();
    assert_eq!(secret.writes(), 1);
    let end = certificates.not_after().unwrap();
    clock.advance(DAY * 3);
    shared.refresh().await.unwrap();
    assert_eq!(secret.writes(), 2);
    // Its authority ends with it, so that one is new too, and the old one is kept beside it.
    assert_eq!(count(&secret.text("ca-cert.pem")), 2);
    assert_eq!(certificates.not_after().unwrap(), end);
}

#[tokio::test]
async fn a_broken_or_incomplete_secret_is_made_anew() {
    let clock = clock();
    for broken in ["key.pem", "cert.pem", "ca-cert.pem", "ca-key.pem"] {
        let secret = FakeSecret::default();
        let _first = shared(&secret, &clock).await;
        let mut data = secret.data();
        data.insert(broken.to_owned(), b"nonsense".to_vec());
        data.insert("own".to_owned(), b"kept".to_vec());
        secret.put(data);
        let (certificates, _again) = shared(&secret, &clock).await;
        // The key of the authority is needed only to make the next certificate.
        let written = usize::from(broken != "ca-key.pem");
        assert_eq!(secret.writes(), 1 + written, "{broken}");
        assert_eq!(secret.text("own"), "kept");
        assert!(certificates.authority().is_some());
    }
}

#[tokio::test]
async fn a_key_of_another_certificate_is_noticed() {
    let clock = clock();
    let (one, two) = (FakeSecret::default(), FakeSecret::default());
    let _a = shared(&one, &clock).await;
    let _b = shared(&two, &clock).await;
    let mut mixed = one.data();
    mixed.insert("key.pem".to_owned(), two.data()["key.pem"].clone());
    one.put(mixed);
    shared(&one, &clock).await;
    assert_eq!(one.writes(), 2);
}

#[tokio::test]
async fn a_deleted_secret_comes_back_as_it_was() {
    let (secret, clock) = (FakeSecret::default(), clock());
    let (_certificates, mut shared) = shared(&secret, &clock).await;
    let before = secret.data();
    secret.delete();
    shared.refresh().await.unwrap();
    assert_eq!(secret.data(), before);
}

#[tokio::test]
async fn a_secret_of_a_cluster_is_made_once_and_patched_only_in_the_state_that_was_read() {
    let api = FakeApi::default();
    let secret = KubeSecret::new(kube_client::Api::namespaced(api.client(), "example"), "certs");
    let data = |value: &str| SecretData::from([("key.pem".to_owned(), value.as_bytes().to_vec())]);
    let raced = |result| matches!(result, Err(SecretError::Raced));
    assert_eq!(secret.read().await.unwrap(), None);
    secret.create(data("one")).await.unwrap();
    assert!(raced(secret.create(data("two")).await));
    let read = secret.read().await.unwrap().unwrap();
    assert_eq!(read.data, data("one"));
    api.change("namespaces/example/secrets/certs", |object| {
        object["data"]["own"] = "YQ==".into()
    });
    assert!(raced(secret.update(data("two"), read.resource_version).await));
    let read = secret.read().await.unwrap().unwrap();
    secret.update(data("two"), read.resource_version).await.unwrap();
    let read = secret.read().await.unwrap().unwrap();
    assert_eq!(read.data["key.pem"], b"two");
    assert_eq!(read.data["own"], b"a");
    api.delete("namespaces/example/secrets/certs");
    assert!(raced(secret.update(data("three"), read.resource_version).await));
    api.refuse(true);
    assert!(matches!(secret.read().await, Err(SecretError::Store(_))));
}

#[tokio::test]
async fn a_secret_that_others_change_all_the_time_is_an_error() {
    #[derive(Clone)]
    struct Contended;
    impl SecretStore for Contended {
        fn read(&self) -> futures::future::BoxFuture<'_, Result<Option<StoredSecret>, SecretError>> {
            Box::pin(async { Ok(None) })
        }
        fn create(&self, _: SecretData) -> futures::future::BoxFuture<'_, Result<(), SecretError>> {
            Box::pin(async { Err(SecretError::Raced) })
        }
        fn update(
            &self,
            _: SecretData,
            _: String,
        ) -> futures::future::BoxFuture<'_, Result<(), SecretError>> {
            Box::pin(async { Err(SecretError::Raced) })
        }
    }
    let certificates = Certificates::new(provider());
    let config = SharedConfig::new([HOST]);
    let mut shared = SharedCertificates::new(Contended, &certificates, clock(), config).unwrap();
    assert!(matches!(shared.refresh().await, Err(CertificateError::Contended)));
}

#[tokio::test]
async fn rotation_of_the_authority_fails_none_of_two_hundred_requests_a_second() {
    let (secret, clock) = (FakeSecret::default(), clock());
    // Clients look at the real time, so the certificate is an old one from the start.
    let today = clock.now();
    clock.set(today - jiff::SignedDuration::try_from(DAY * (3650 - 179)).unwrap());
    let certificates = Certificates::new(provider());
    let mut config = SharedConfig::new([HOST]);
    config.overlap = Duration::from_millis(100);
    let mut shared = SharedCertificates::new(secret.clone(), &certificates, clock.clone(), config).unwrap();
    shared.refresh().await.unwrap();
    let old = certificates.authority().unwrap();
    let tasks = Tasks::new();
    let address = serve(router(), &certificates, &tasks).await;

    // Two hundred a second, each on a connection of its own. The client is behind: it trusts what was announced one request
    // ago.
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    let (seen, stopped, source) = (asked.clone(), stop.clone(), certificates.clone());
    let client = async move {
        let body = review(order("nothing")).to_string().into_bytes();
        let mut trusted = source.authority().unwrap();
        let mut next = tokio::time::interval(Duration::from_millis(5));
        let mut open = futures::stream::FuturesUnordered::new();
        while !(stopped.load(Ordering::SeqCst) && open.is_empty()) {
            tokio::select! {
                _ = next.tick(), if !stopped.load(Ordering::SeqCst) => {
                    let announced = std::mem::replace(&mut trusted, source.authority().unwrap());
                    let body = &body;
                    open.push(async move { post(address, &announced, "/validate", "application/json", body).await });
                }
                Some(answer) = open.next() => {
                    assert_eq!(answer.unwrap().0, StatusCode::OK);
                    seen.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    };
    let rotate = async {
        let more = async |count: usize| {
            let start = asked.load(Ordering::SeqCst);
            while asked.load(Ordering::SeqCst) < start + count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        more(60).await;
        clock.set(today);
        shared.refresh().await.unwrap();
        let both = certificates.authority().unwrap();
        assert!(both.contains(&*old) && count(&both) == 2);
        more(60).await;
        // Until the overlap is over the old certificate is served.
        assert!(connect(address, HOST, &old).await.is_ok());
        tokio::time::sleep(Duration::from_millis(110)).await;
        shared.refresh().await.unwrap();
        assert!(connect(address, HOST, &old).await.is_err());
        more(60).await;
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(client, rotate);
}

#[tokio::test]
async fn rotation_of_the_certificate_alone_is_served_at_once() {
    let (secret, clock) = (FakeSecret::default(), clock());
    let (certificates, mut shared) = shared(&secret, &clock).await;
    let authority = certificates.authority().unwrap();
    // Another replica made a new one under the same authority.
    let mut data = secret.data();
    data.remove("cert.pem");
    data.remove("tls.crt");
    secret.put(data);
    let old = secret.text("key.pem");
    shared.refresh().await.unwrap();
    assert_ne!(secret.text("key.pem"), old);
    assert_eq!(certificates.authority().unwrap(), authority);
}

#[tokio::test]
async fn files_of_a_folder_are_served_and_changes_are_taken_over() {
    let folder = Folder::new("take-over");
    let clock = clock();
    let (one, two) = (FakeSecret::default(), FakeSecret::default());
    let _a = shared(&one, &clock).await;
    let _b = shared(&two, &clock).await;
    let certificates = Certificates::new(provider());
    let source = FolderCertificates::new(&folder.0, &certificates);
    assert!(matches!(
        source.refresh().await,
        Err(CertificateError::File { .. })
    ));

    folder.write("tls.crt", &one.text("tls.crt"));
    folder.write("tls.key", &one.text("tls.key"));
    folder.write("ca.crt", &one.text("ca-cert.pem"));
    assert!(source.refresh().await.unwrap());
    assert!(!source.refresh().await.unwrap());
    let tasks = Tasks::new();
    let address = serve(router(), &certificates, &tasks).await;
    assert!(connect(address, HOST, &one.text("ca-cert.pem")).await.is_ok());

    // In the middle of a change the pair does not fit, and the old one stays.
    folder.write("tls.crt", &two.text("tls.crt"));
    assert!(matches!(source.refresh().await, Err(CertificateError::Key(_))));
    assert!(connect(address, HOST, &one.text("ca-cert.pem")).await.is_ok());
    folder.write("tls.key", &two.text("tls.key"));
    folder.write("ca.crt", &two.text("ca-cert.pem"));
    let token = tasks.token();
    tasks.spawn(
        "folder",
        async move { Box::new(source).run(token).await.unwrap() },
    );
    while certificates.authority().as_deref() != Some(&*two.text("ca-cert.pem")) {
        tokio::task::yield_now().await;
    }
    assert!(connect(address, HOST, &two.text("ca-cert.pem")).await.is_ok());
    assert!(tasks.shutdown(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn the_authority_in_a_folder_has_cert_managers_name_or_openkruises() {
    let folder = Folder::new("authority");
    let secret = FakeSecret::default();
    let _shared = shared(&secret, &clock()).await;
    let certificates = Certificates::new(provider());
    let source = FolderCertificates::new(&folder.0, &certificates);
    for name in ["tls.crt", "tls.key", "ca-cert.pem"] {
        folder.write(name, &secret.text(name));
    }
    assert!(source.refresh().await.unwrap());
    let authority = certificates.authority();
    assert_eq!(authority.as_deref(), Some(&*secret.text("ca-cert.pem")));
}

/// A folder of the build's own, gone at the end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("webhook-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let field = |change: fn(&mut SharedConfig)| {
        let mut config = SharedConfig::new([HOST]);
        change(&mut config);
        config.validate().unwrap_err().field().to_owned()
    };
    assert_eq!(field(|config| config.hosts.clear()), "hosts");
    assert_eq!(field(|config| config.hosts.push("no host!".to_owned())), "hosts");
    assert_eq!(field(|config| config.validity = config.renew_before), "validity");
    assert_eq!(field(|config| config.interval = Duration::ZERO), "interval");
}
