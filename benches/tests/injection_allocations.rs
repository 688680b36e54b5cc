//! What injection allocates, beside OpenKruise's 759 allocations with one set and 1,514 with ten sets of which one matches.

mod support;

use bytes::Bytes;
use futures::FutureExt;
use http_body_util::Full;
use kruise_benches::sidecar::{pod, review, router, sets};
use kruise_sidecar::api::HashForm;
use kruise_sidecar::inject::{Injector, Moment, compile};
use serde_json::json;
use support::{Counting, allocations_of};
use tower::ServiceExt;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Of the engine, from text to text; of a pod that the first set selects if `selected`.
fn engine(count: usize, selected: bool) -> usize {
    let compiled = sets(count).expect("sets").into_iter();
    let compiled = compiled.map(|set| compile(&set, &[], HashForm::default()).expect("valid").into());
    let injector = Injector::new(compiled, Default::default());
    let mut pod = pod();
    if !selected {
        pod["metadata"]["labels"]["app"] = json!("none");
    }
    let pod = pod.to_string();
    let moment = Moment::new("2030-01-01T00:00:00Z".parse().expect("a time")).namespace("shop");
    allocations_of(|| {
        let done = injector.inject(&pod, &moment).expect("a pod");
        assert_eq!(done.patch.is_some(), selected);
    })
}

/// Of a whole review, from the body of the request to that of the answer.
fn whole_review(count: usize) -> usize {
    let router = router(count).expect("a router");
    let body = Bytes::from(review(&pod()));
    let ask = || {
        let request = http::Request::post("/mutate-pod").header("content-type", "application/json");
        let request = request.body(Full::new(body.clone())).expect("a request");
        let answer = router.clone().oneshot(request).now_or_never();
        assert_eq!(
            answer.expect("nothing to wait for").expect("an answer").status(),
            200
        );
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let _inside = runtime.enter();
    // The first makes the metrics.
    ask();
    allocations_of(ask)
}

#[test]
fn injection_allocates_a_fifth_of_what_openkruise_does() {
    let [one, ten, hundred] = [1, 10, 100].map(|count| engine(count, true));
    println!("engine: {one} {ten} {hundred}");
    assert!(one <= 759 / 5, "{one} allocations with one set");
    assert!(ten <= 1514 / 5, "{ten} allocations with ten sets");
    assert_eq!([ten, hundred], [one, one], "sets that do not match cost none");
}

#[test]
fn a_whole_review_does_too() {
    let [one, ten, hundred] = [1, 10, 100].map(whole_review);
    println!("review: {one} {ten} {hundred}");
    assert_eq!(hundred, one);
    assert!(one <= 759 / 5, "{one} allocations with one set");
    assert!(ten <= 1514 / 5, "{ten} allocations with ten sets");
}

#[test]
fn a_pod_that_no_set_selects_costs_next_to_nothing() {
    let few = [1, 100].map(|count| engine(count, false));
    assert!(few.iter().all(|count| *count <= 4), "{few:?} allocations");
}
