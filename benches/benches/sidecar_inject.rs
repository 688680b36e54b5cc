//! What injection costs: in process from the text of a pod of 2 kB to the text of its patch, as a whole review through the
//! router, and over HTTPS with the server on one core.
//!
//! Prints one JSON object. OpenKruise on this kind of machine: 115 µs with one set, 268 µs with ten of which one matches
//! (decode, inject, diff). An argument sets the seconds of each measurement (default 3).

mod support;

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use jiff::Timestamp;
use kruise_benches::sidecar::{pod, review, router, sets};
use kruise_sidecar::api::HashForm;
use kruise_sidecar::inject::{Injector, Moment, compile};
use serde_json::{Value, json};
use support::{Failed, Load, measure, runtime, serve};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

fn main() -> Result<(), Failed> {
    let seconds = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .next()
        .unwrap_or(3);
    let time = Duration::from_secs(seconds);
    let pod = pod().to_string();
    let mut other = kruise_benches::sidecar::pod();
    other["metadata"]["labels"]["app"] = json!("none");
    let mut report =
        json!({"pod_bytes": pod.len(), "review_bytes": review(&kruise_benches::sidecar::pod()).len()});
    for count in [1, 10, 100] {
        let name = format!("{count}_sets");
        report["engine_microseconds"][&name] = engine(count, &pod, time)?;
        report["engine_unmatched_microseconds"][&name] = engine(count, &other.to_string(), time)?;
        report["review_microseconds"][&name] = whole_review(count, time)?;
        report["https"][&name] = https(count, time)?;
    }
    println!("{report:#}");
    Ok(())
}

/// Microseconds of one run, the median of rounds: other work on the machine lengthens some of them.
fn median(time: Duration, mut run: impl FnMut() -> Result<(), Failed>) -> Result<Value, Failed> {
    const ROUND: u32 = 50;
    let (start, mut rounds) = (Instant::now(), Vec::new());
    while start.elapsed() < time {
        let round = Instant::now();
        for _ in 0..ROUND {
            run()?;
        }
        rounds.push(round.elapsed() / ROUND);
    }
    rounds.sort_unstable();
    let median = rounds.get(rounds.len() / 2).copied().unwrap_or_default();
    Ok(json!(median.as_nanos() as f64 / 1e3))
}

fn engine(count: usize, pod: &str, time: Duration) -> Result<Value, Failed> {
    let mut compiled = Vec::new();
    for set in sets(count)? {
        compiled.push(compile(&set, &[], HashForm::default())?.into());
    }
    let injector = Injector::new(compiled, Default::default());
    let moment = Moment::new(Timestamp::now()).namespace("shop");
    median(time, || {
        black_box(injector.inject(black_box(pod), &moment)?);
        Ok(())
    })
}

fn whole_review(count: usize, time: Duration) -> Result<Value, Failed> {
    let router = router(count)?;
    let body = Bytes::from(review(&kruise_benches::sidecar::pod()));
    let runtime = runtime()?;
    median(time, || {
        let request = http::Request::post("/mutate-pod").header("content-type", "application/json");
        let request = request.body(Full::new(body.clone()))?;
        black_box(runtime.block_on(router.clone().oneshot(request))?);
        Ok(())
    })
}

fn https(count: usize, time: Duration) -> Result<Value, Failed> {
    let router = router(count)?;
    let load = Load {
        path: "/mutate-pod",
        body: review(&kruise_benches::sidecar::pod()).into(),
        wanted: r#""patchType":"JSONPatch""#,
    };
    let (tell, told) = std::sync::mpsc::channel();
    let stop = CancellationToken::new();
    let token = stop.clone();
    let server = std::thread::spawn(move || serve(router, (tell, token)));
    let (address, authority) = told.recv()?;
    let mut report = json!({});
    for connections in [1, 16] {
        report[format!("{connections}_connections")] =
            measure(address, &authority, &load, connections, time)?;
    }
    stop.cancel();
    server.join().map_err(|_| "the server panicked")?;
    Ok(report)
}
