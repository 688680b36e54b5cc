//! Watches: each reads the window of changes at its own pace, so none holds more than the window does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::kinds::Version;
use super::list::{invalid_options, parse_number, parse_revision};
use super::route::Query;
use super::select::Selection;
use super::server::Inner;
use super::status::{ApiError, Cause};
use super::store::{Change, Compacted, with_revision};
use super::view::View;

/// How long before its end a watch sends a last bookmark.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct WatchRequest {
    pub(crate) view: View,
    namespace: Option<String>,
    selection: Selection,
    /// `None` begins with the present objects.
    after: Option<u64>,
    bookmarks: bool,
    /// Whether a bookmark marks the end of the present objects.
    streaming_list: bool,
    timeout: Duration,
}

impl WatchRequest {
    pub(crate) fn parse(
        inner: &Inner,
        view: View,
        version: &Version,
        namespace: Option<&str>,
        query: &Query,
    ) -> Result<Self, ApiError> {
        let selection = Selection::new(
            &view.kind,
            version,
            query.get("labelSelector"),
            query.get("fieldSelector"),
        )?;
        let streaming_list = query.flag("sendInitialEvents");
        let mode = query.get("resourceVersionMatch");
        if streaming_list && !inner.config.streaming_lists {
            let why = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
            let cause = Cause::forbidden("sendInitialEvents", why);
            return Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", vec![cause]));
        }
        if streaming_list && mode != Some("NotOlderThan") {
            return Err(invalid_options(
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        if !streaming_list && mode.is_some() {
            return Err(invalid_options(
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        let revision = parse_revision(query)?.filter(|revision| *revision > 0);
        Ok(Self {
            view,
            namespace: namespace.map(str::to_owned),
            selection,
            after: revision.filter(|_| !streaming_list),
            bookmarks: query.flag("allowWatchBookmarks"),
            streaming_list,
            timeout: parse_number(query, "timeoutSeconds")?
                .filter(|seconds| *seconds > 0)
                .map_or(inner.config.watch_timeout, Duration::from_secs),
        })
    }

    /// The event of a change for those who see only the selected objects.
    fn event(&self, change: &Change) -> Option<Value> {
        if self
            .namespace
            .as_ref()
            .is_some_and(|namespace| *namespace != change.key.namespace)
        {
            return None;
        }
        let selected = |object: &&Arc<Value>| self.selection.matches(object);
        let old = change.old.as_ref().filter(selected);
        let new = change.new.as_ref().filter(selected);
        match (old, new) {
            (None, None) => None,
            (None, Some(new)) => Some(self.line("ADDED", new)),
            (Some(_), Some(new)) => Some(self.line("MODIFIED", new)),
            (Some(old), None) => Some(self.line("DELETED", &with_revision(old, change.revision))),
        }
    }

    fn line(&self, kind: &str, object: &Value) -> Value {
        json!({ "type": kind, "object": self.view.show(object) })
    }

    fn bookmark(&self, revision: u64, ends_list: bool) -> Value {
        let mut metadata = json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
        if ends_list {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        self.line("BOOKMARK", &json!({ "metadata": metadata }))
    }
}

/// Where a watch is.
struct Cursor {
    inner: Arc<Inner>,
    request: WatchRequest,
    revision: u64,
    changed: watch::Receiver<u64>,
    ready: VecDeque<Value>,
    end: Instant,
    next_bookmark: Instant,
    ended: bool,
}

/// The body of a watch: one JSON document a line.
pub(crate) fn stream(inner: Arc<Inner>, request: WatchRequest) -> impl Stream<Item = Bytes> + Send + 'static {
    let changed = inner.changed.subscribe();
    let now = Instant::now();
    let mut ready = VecDeque::new();
    let revision = match request.after {
        Some(revision) => revision,
        None => {
            let state = inner.state.lock();
            let objects = state.store.list(&request.view.kind.resource);
            for (key, object) in objects {
                let wanted = request.namespace.as_ref().is_none_or(|ns| *ns == key.namespace);
                if wanted && request.selection.matches(object) {
                    ready.push_back(request.line("ADDED", object));
                }
            }
            if request.streaming_list && request.bookmarks {
                ready.push_back(request.bookmark(state.store.revision(), true));
            }
            state.store.revision()
        }
    };
    let cursor = Cursor {
        revision,
        changed,
        ready,
        end: now + request.timeout,
        next_bookmark: next_bookmark(&inner, now, now + request.timeout),
        inner,
        request,
        ended: false,
    };
    futures::stream::unfold(cursor, |mut cursor| async move {
        let line = cursor.next().await?;
        let mut bytes = line.to_string().into_bytes();
        bytes.push(b'\n');
        Some((Bytes::from(bytes), cursor))
    })
}

impl Cursor {
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            self.changed.mark_unchanged();
            if self.read() {
                continue;
            }
            self.wait().await;
        }
    }

    /// Takes over what changed. False if nothing did.
    fn read(&mut self) -> bool {
        let inner = self.inner.clone();
        let state = inner.state.lock();
        let resource = &self.request.view.kind.resource;
        let gone = !state.kinds.iter().any(|kind| kind.resource == *resource);
        match state.store.changes_after(resource, self.revision) {
            Ok(changes) => {
                self.ready
                    .extend(changes.filter_map(|change| self.request.event(change)));
                self.revision = self.revision.max(state.store.revision());
            }
            Err(Compacted) => {
                let message = format!(
                    "too old resource version: {} ({})",
                    self.revision,
                    state.store.compacted()
                );
                let status = ApiError::expired(message).to_value();
                self.ready.push_back(json!({ "type": "ERROR", "object": status }));
                self.ended = true;
            }
        }
        // A kind that is no longer served ends its watches.
        self.ended |= gone;
        self.ended || !self.ready.is_empty()
    }

    async fn wait(&mut self) {
        let bookmark = if self.request.bookmarks {
            self.next_bookmark
        } else {
            self.end
        };
        tokio::select! {
            biased;
            changed = self.changed.changed() => {
                // The sender lives as long as `inner` does.
                self.ended |= changed.is_err();
            }
            () = tokio::time::sleep_until(self.end) => self.ended = true,
            () = tokio::time::sleep_until(bookmark), if bookmark < self.end => {
                self.ready.push_back(self.request.bookmark(self.revision, false));
                self.next_bookmark = next_bookmark(&self.inner, Instant::now(), self.end);
            }
        }
    }
}

/// When the bookmark after `now` is due; at the end of the watch for none.
fn next_bookmark(inner: &Inner, now: Instant, end: Instant) -> Instant {
    let last = end.checked_sub(LAST_BOOKMARK).unwrap_or(end);
    if now < last {
        last.min(now + inner.config.bookmark_interval.max(Duration::from_millis(1)))
    } else {
        end
    }
}
