//! Free space of the node, looked at before a pull.
//!
//! The container runtime interface tells how much images use, not how much is left. So the agent asks it only where the
//! images lie, and asks the operating system for the free space there, through [`DiskSpace`].

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use kruise_cri::FilesystemUsage;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::activity::Bytes;

/// Most folders that are remembered as not visible, so that each is logged once.
const MAX_UNSEEN: usize = 16;

/// Size of a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub capacity: u64,
    /// Bytes that processes without privileges may still write, which is what the kubelet goes by.
    pub available: u64,
}

/// Tells how full a filesystem is.
#[async_trait]
pub trait DiskSpace: Send + Sync {
    /// Returns the size of the filesystem that holds `folder`, as the container runtime names it. Must be cancel safe.
    ///
    /// # Errors
    /// The folder can not be seen from here; the pull goes on without the check.
    async fn space(&self, folder: &str) -> io::Result<Space>;
}

/// How much has to be free for a pull to begin. A pull under way is never stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct DiskLimits {
    /// Percent of the filesystem, 0 to 99; 0 is no such limit. Default 15: below that the kubelet deletes unused
    /// images, which ours are, and evicts pods, so a pull would only make it worse.
    pub min_free_percent: u8,
    /// Bytes; 0 is no such limit. Default 0.
    pub min_free_bytes: u64,
}

impl Default for DiskLimits {
    fn default() -> Self {
        Self {
            min_free_percent: 15,
            min_free_bytes: 0,
        }
    }
}

impl DiskLimits {
    /// Returns why no pull may begin, if so.
    fn refusal(&self, space: Space) -> Option<String> {
        let Space { capacity, available } = space;
        let percent = u128::from(available) * 100 / u128::from(capacity.max(1));
        let wanted = if percent < self.min_free_percent.into() {
            format!("{} %", self.min_free_percent)
        } else if available < self.min_free_bytes {
            Bytes(self.min_free_bytes).to_string()
        } else {
            return None;
        };
        let free = Bytes(available);
        Some(format!(
            "waiting for disk space: {free} ({percent} %) free, pulls start from {wanted}"
        ))
    }
}

/// The check before a pull.
#[derive(Clone)]
pub(super) struct DiskGuard {
    pub(super) limits: DiskLimits,
    pub(super) space: Option<Arc<dyn DiskSpace>>,
    unseen: Arc<Mutex<HashSet<String>>>,
}

impl fmt::Debug for DiskGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskGuard")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl DiskGuard {
    pub(super) fn new(limits: DiskLimits, space: Option<Arc<dyn DiskSpace>>) -> Self {
        Self {
            limits,
            space,
            unseen: Arc::default(),
        }
    }

    /// Returns why no pull may begin now, if so. A filesystem that can not be seen is logged once and holds nothing back.
    pub(super) async fn refusal(&self, filesystems: &[FilesystemUsage]) -> Option<String> {
        let space = self.space.as_ref()?;
        if self.limits.min_free_percent == 0 && self.limits.min_free_bytes == 0 {
            return None;
        }
        for filesystem in filesystems
            .iter()
            .filter(|filesystem| !filesystem.mountpoint.is_empty())
        {
            match space.space(&filesystem.mountpoint).await {
                // Some pseudo filesystems tell no size.
                Ok(Space { capacity: 0, .. }) => {}
                Ok(space) => {
                    if let Some(refusal) = self.limits.refusal(space) {
                        return Some(refusal);
                    }
                }
                Err(error) => self.not_seen(&filesystem.mountpoint, &error),
            }
        }
        None
    }

    fn not_seen(&self, folder: &str, error: &io::Error) {
        let mut unseen = self.unseen.lock();
        if unseen.len() < MAX_UNSEEN && unseen.insert(folder.to_owned()) {
            tracing::info!(
                folder,
                %error,
                "free space is not checked: the folder of images can not be seen from here"
            );
        }
    }
}

/// Asks the operating system. In a container, the folder has to be mounted: at the same path, or below a root.
#[cfg(all(unix, feature = "statvfs"))]
#[derive(Clone, Debug, Default)]
pub struct Statvfs {
    root: std::path::PathBuf,
}

#[cfg(all(unix, feature = "statvfs"))]
impl Statvfs {
    /// Makes one that finds the node's `/some/folder` at `root/some/folder`. An empty root or `/` changes no path.
    pub fn below(root: impl Into<std::path::PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

#[cfg(all(unix, feature = "statvfs"))]
#[async_trait]
impl DiskSpace for Statvfs {
    async fn space(&self, folder: &str) -> io::Result<Space> {
        let path = if self.root.as_os_str().is_empty() {
            folder.into()
        } else {
            self.root.join(folder.trim_start_matches('/'))
        };
        // The call may hang with the disk; the task that asks must not.
        let asked = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&path)).await;
        let found = asked.map_err(io::Error::other)??;
        Ok(Space {
            capacity: found.f_blocks.saturating_mul(found.f_frsize),
            available: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(percent: u8, bytes: u64, capacity: u64, available: u64) -> Option<String> {
        let limits = DiskLimits {
            min_free_percent: percent,
            min_free_bytes: bytes,
        };
        limits.refusal(Space { capacity, available })
    }

    #[test]
    fn a_pull_begins_only_above_both_limits() {
        assert_eq!(refusal(20, 0, 1000, 200), None);
        assert_eq!(refusal(0, 200, 1000, 200), None);
        assert_eq!(refusal(0, 0, 1000, 0), None);
        assert_eq!(
            refusal(20, 0, 100 << 30, 19 << 30).as_deref(),
            Some("waiting for disk space: 19.0 GiB (19 %) free, pulls start from 20 %")
        );
        assert_eq!(
            refusal(5, 50 << 30, 100 << 30, 19 << 30).as_deref(),
            Some("waiting for disk space: 19.0 GiB (19 %) free, pulls start from 50.0 GiB")
        );
        assert_eq!(refusal(99, 0, u64::MAX, u64::MAX), None, "no overflow");
    }

    #[cfg(all(unix, feature = "statvfs"))]
    #[tokio::test]
    async fn the_operating_system_tells_the_size_below_a_root() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("images")).expect("made");
        let space = Statvfs::below(folder.path())
            .space("/images")
            .await
            .expect("seen");
        assert!(
            space.capacity > 0 && space.available <= space.capacity,
            "{space:?}"
        );
        assert!(Statvfs::below(folder.path()).space("/elsewhere").await.is_err());
        assert!(Statvfs::default().space("/").await.is_ok());
    }
}
