//! A server in front of the open registry that can be told to fail: what real registries do only on bad days.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use kruise_core::runtime::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::{Cluster, PATIENCE};

/// How the server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mood {
    /// As the registry behind it.
    Well,
    /// With this status line, such as `429 Too Many Requests`.
    Refuses(&'static str),
    /// Never.
    Hangs,
    /// Manifests well, blobs never.
    HangsOnBlobs,
}

/// The server. Dropping it ends it.
#[derive(Debug)]
pub struct Front {
    /// Where it listens: `127.0.0.1:PORT`, the registry part of image names.
    pub host: String,
    mood: watch::Sender<Mood>,
    counts: Arc<Counts>,
    _tasks: Tasks,
}

#[derive(Debug, Default)]
struct Counts {
    manifests: AtomicUsize,
    blobs: AtomicUsize,
}

impl Front {
    /// Starts one, and tells the nodes' runtimes that it speaks plain HTTP.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let behind: SocketAddr = cluster.var("CLUSTER_REGISTRY")?.parse()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let host = listener.local_addr()?.to_string();
        let folder = std::path::Path::new(cluster.var("CLUSTER_STATE")?)
            .join("hosts")
            .join(&host);
        tokio::fs::create_dir_all(&folder).await?;
        let text = format!(
            "server = \"http://{host}\"\n[host.\"http://{host}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
        );
        tokio::fs::write(folder.join("hosts.toml"), text).await?;
        let (mood, moods) = watch::channel(Mood::Well);
        let counts = Arc::new(Counts::default());
        let tasks = Tasks::new();
        let counted = counts.clone();
        tasks.spawn("front", async move {
            let connections = Tasks::new();
            while let Ok((client, _)) = listener.accept().await {
                let (counts, moods) = (counted.clone(), moods.clone());
                connections.spawn("connection", async move {
                    // A client that goes away is its own business.
                    let _ = answer(client, behind, moods, &counts).await;
                });
            }
        });
        Ok(Self {
            host,
            mood,
            counts,
            _tasks: tasks,
        })
    }

    /// Answers like this from now on; what hangs goes on hanging until its client gives up.
    pub fn be(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Requests for manifests so far.
    pub fn manifests(&self) -> usize {
        self.counts.manifests.load(Ordering::SeqCst)
    }

    /// Requests for blobs so far.
    pub fn blobs(&self) -> usize {
        self.counts.blobs.load(Ordering::SeqCst)
    }

    /// Waits until more than so many blobs were asked for: a pull is under way.
    ///
    /// # Errors
    /// None was, for longer than [`PATIENCE`].
    pub async fn asked_for_blobs(&self, before: usize) -> Result<()> {
        let asked = async {
            while self.blobs() <= before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .context("no pull has begun: nobody asks for blobs")
    }

    /// A full image name here.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.host)
    }
}

/// One request per connection.
async fn answer(
    mut client: TcpStream,
    behind: SocketAddr,
    moods: watch::Receiver<Mood>,
    counts: &Counts,
) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
        anyhow::ensure!(head.len() < 64 << 10, "a head without end");
    }
    let mood = moods.borrow().clone();
    let head = String::from_utf8(head)?;
    let (line, rest) = head.split_once("\r\n").context("a request line")?;
    let is_blob = line.contains("/blobs/");
    if is_blob {
        counts.blobs.fetch_add(1, Ordering::SeqCst);
    } else if line.contains("/manifests/") {
        counts.manifests.fetch_add(1, Ordering::SeqCst);
    }
    match mood {
        Mood::Refuses(status) => {
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            client.write_all(answer.as_bytes()).await?;
        }
        Mood::Hangs => std::future::pending().await,
        Mood::HangsOnBlobs if is_blob => std::future::pending().await,
        Mood::Well | Mood::HangsOnBlobs => {
            let mut server = TcpStream::connect(behind).await?;
            server
                .write_all(format!("{line}\r\nConnection: close\r\n{rest}").as_bytes())
                .await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await?;
        }
    }
    Ok(())
}
