//! Image archives made by hand, for what no registry is needed for.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::process::Command;

/// Writes an OCI archive with so many tiny images, `big.example.com/image/NUMBER:1`. The user in the configuration of each
/// is that many bytes long.
pub async fn write(archive: &Path, images: usize, user_bytes: usize) -> Result<()> {
    let layout = tempfile::tempdir()?;
    let folder = layout.path();
    let blobs = folder.join("blobs/sha256");
    tokio::fs::create_dir_all(&blobs).await?;
    // Two empty blocks: a tar file without entries.
    let layer = blob(&blobs, "application/vnd.oci.image.layer.v1.tar", &[0; 1024]).await?;
    let mut manifests = Vec::new();
    for number in 0..images {
        let config = json!({"architecture": architecture(), "os": "linux",
            "config": {"User": format!("{number}{}", "u".repeat(user_bytes))},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}});
        let config = blob(
            &blobs,
            "application/vnd.oci.image.config.v1+json",
            config.to_string().as_bytes(),
        )
        .await?;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]});
        let mut entry = blob(&blobs, kind, manifest.to_string().as_bytes()).await?;
        entry["annotations"] =
            json!({"io.containerd.image.name": format!("big.example.com/image/{number}:1")});
        manifests.push(entry);
    }
    let index = json!({"schemaVersion": 2, "manifests": manifests});
    tokio::fs::write(folder.join("index.json"), index.to_string()).await?;
    tokio::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).await?;
    let done = Command::new("tar")
        .arg("-cf")
        .arg(archive)
        .arg("-C")
        .arg(folder)
        .arg(".")
        .status()
        .await?;
    ensure!(done.success(), "tar: {done}");
    Ok(())
}

/// Go's name of this machine's architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

async fn blob(blobs: &Path, media_type: &str, content: &[u8]) -> Result<Value> {
    let digest: String = Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    tokio::fs::write(blobs.join(&digest), content).await?;
    Ok(json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": content.len()}))
}
