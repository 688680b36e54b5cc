//! What happens to the events of a watch. Each chunk of the server's body is one event.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::StreamExt;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::watch;

use super::config::FaultConfig;
use super::layer::Reset;
use crate::testing::apiserver::{AnswerBody, ApiError};
use crate::testing::random::Random;

type Error = Box<dyn std::error::Error + Send + Sync>;

struct Body<C> {
    inner: futures::stream::BoxStream<'static, Result<Bytes, Error>>,
    config: FaultConfig,
    random: Random,
    calm: C,
    still: Still,
    /// What follows the event that was passed on.
    next: Option<Next>,
}

/// Which watches stand still, and of what this one is.
pub(super) struct Still {
    pub(super) held: watch::Receiver<BTreeSet<String>>,
    pub(super) resource: String,
}

enum Next {
    Again(Bytes),
    Cut,
    End,
}

/// The same body with faults, as long as it is not calm.
pub(super) fn faulty(
    body: AnswerBody,
    config: FaultConfig,
    random: Random,
    calm: impl Fn() -> bool + Send + 'static,
    still: Still,
) -> impl http_body::Body<Data = Bytes, Error = Error> + Send + 'static {
    let body = Body {
        inner: Box::pin(body.into_data_stream()),
        config,
        random,
        calm,
        still,
        next: None,
    };
    let frames = futures::stream::unfold(body, |mut body| async move {
        let chunk = body.next().await?;
        Some((chunk.map(Frame::data), body))
    });
    StreamBody::new(frames)
}

impl<C: Fn() -> bool> Body<C> {
    async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        match self.next.take() {
            Some(Next::Again(event)) => return Some(Ok(event)),
            Some(Next::Cut) => {
                self.next = Some(Next::End);
                return Some(Err(Reset.into()));
            }
            Some(Next::End) => {
                self.next = Some(Next::End);
                return None;
            }
            None => {}
        }
        let event = match self.inner.next().await? {
            Ok(event) => event,
            Err(error) => return Some(Err(error)),
        };
        let Still { held, resource } = &mut self.still;
        // The layer is gone, and whoever could release it.
        if held.wait_for(|held| !held.contains(resource)).await.is_err() {
            return None;
        }
        let config = &self.config;
        let [late, lost, cut, twice] = [
            config.watch_late,
            config.watch_lost,
            config.watch_cut,
            config.watch_twice,
        ]
        .map(|share| self.random.chance(share));
        let delay = self.random.duration(config.slowest);
        if (self.calm)() {
            return Some(Ok(event));
        }
        if late {
            tokio::time::sleep(delay).await;
        }
        if lost {
            self.next = Some(Next::End);
            let status = ApiError::expired("too old resource version: injected").to_value();
            let line = format!("{}\n", serde_json::json!({ "type": "ERROR", "object": status }));
            return Some(Ok(Bytes::from(line)));
        }
        if cut {
            // In the middle of the next line.
            self.next = Some(Next::Cut);
        } else if twice {
            self.next = Some(Next::Again(event.clone()));
        }
        Some(Ok(event))
    }
}
