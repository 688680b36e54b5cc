//! A container runtime that answers as it is told. Works with paused time, unlike one behind a socket.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kruise_cri::{Error, ErrorKind, FilesystemUsage, Image, ImageService, PullRequest};
use parking_lot::Mutex;
use tokio::time::Instant;

#[derive(Default)]
pub struct ScriptedRuntime {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    present: BTreeSet<String>,
    /// What the next pulls answer; when there is none left, pulls succeed.
    script: VecDeque<Answer>,
    away: bool,
    filesystems: Vec<FilesystemUsage>,
    pull_time: Duration,
    pulls: Vec<(Instant, PullRequest)>,
    running: usize,
    most_running: usize,
    dropped: usize,
}

#[derive(Clone, Copy)]
pub enum Answer {
    Fail(ErrorKind),
    Hang,
}

impl ScriptedRuntime {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn taking(pull_time: Duration) -> Arc<Self> {
        let runtime = Self::new();
        runtime.state.lock().pull_time = pull_time;
        runtime
    }

    pub fn add(&self, image: &str) {
        self.state.lock().present.insert(image.to_owned());
    }

    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.lock().script.extend(answers);
    }

    pub fn set_away(&self, away: bool) {
        self.state.lock().away = away;
    }

    /// Images lie in `/images` and use so many bytes; before the first call the runtime tells nothing of filesystems.
    pub fn set_used(&self, used_bytes: u64) {
        self.state.lock().filesystems = vec![FilesystemUsage {
            mountpoint: "/images".to_owned(),
            used_bytes,
            used_inodes: 1,
        }];
    }

    pub fn pulls(&self) -> Vec<(Instant, PullRequest)> {
        self.state.lock().pulls.clone()
    }

    pub fn most_running(&self) -> usize {
        self.state.lock().most_running
    }

    /// Pulls that were given up by their caller.
    pub fn dropped(&self) -> usize {
        self.state.lock().dropped
    }

    fn check(&self) -> Result<(), Error> {
        if self.state.lock().away {
            Err(error("ImageStatus", ErrorKind::RuntimeUnavailable))
        } else {
            Ok(())
        }
    }
}

pub fn error(call: &'static str, kind: ErrorKind) -> Error {
    Error {
        call,
        kind,
        message: "scripted".to_owned(),
    }
}

struct Running<'a> {
    state: &'a Mutex<State>,
    ended: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        state.running -= 1;
        state.dropped += usize::from(!self.ended);
    }
}

#[async_trait]
impl ImageService for ScriptedRuntime {
    async fn list_images(&self, _: Option<&str>) -> Result<Vec<Image>, Error> {
        self.check().map(|()| Vec::new())
    }

    async fn image_status(&self, image: &str) -> Result<Option<Image>, Error> {
        self.check()?;
        let present = self.state.lock().present.contains(image);
        Ok(present.then(|| Image {
            id: format!("id-of-{image}"),
            size: 10,
            ..Image::default()
        }))
    }

    async fn pull_image(&self, request: PullRequest) -> Result<String, Error> {
        self.check()?;
        let (answer, pull_time) = {
            let mut state = self.state.lock();
            state.pulls.push((Instant::now(), request.clone()));
            state.running += 1;
            state.most_running = state.most_running.max(state.running);
            (state.script.pop_front(), state.pull_time)
        };
        let mut running = Running {
            state: &self.state,
            ended: false,
        };
        tokio::time::sleep(pull_time).await;
        let result = match answer {
            Some(Answer::Fail(kind)) => Err(error("PullImage", kind)),
            Some(Answer::Hang) => std::future::pending().await,
            None => {
                self.state.lock().present.insert(request.image.clone());
                Ok(format!("{}@sha256:0", request.image))
            }
        };
        running.ended = true;
        result
    }

    async fn remove_image(&self, _: &str) -> Result<(), Error> {
        self.check()
    }

    async fn image_fs_info(&self) -> Result<Vec<FilesystemUsage>, Error> {
        self.check().map(|()| self.state.lock().filesystems.clone())
    }
}
