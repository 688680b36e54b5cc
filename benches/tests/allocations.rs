//! The policy engines allocate a few times for a whole list, and never for an object.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;

use kruise_core::api::strategy::{OrderTerm, PriorityStrategy, ScatterTerm};
use kruise_core::policy::budget::{Budget, plan};
use kruise_core::policy::priority::Priority;
use kruise_core::policy::rounding::Baseline;
use kruise_core::policy::scatter::Scatter;

/// Counts what the thread allocates.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

#[allow(unsafe_code, reason = "the only way to count what is allocated")]
// SAFETY: every call is passed on unchanged to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` allocates for so many objects.
fn allocations(objects: u32, work: impl Fn(&[BTreeMap<String, String>], &mut [u32])) -> usize {
    let object = |number: u32| BTreeMap::from([("zone".to_owned(), format!("z-{}", number % 3))]);
    let all: Vec<_> = (0..objects).map(object).collect();
    let mut waiting: Vec<u32> = (0..objects).collect();
    let before = COUNT.with(Cell::get);
    work(&all, &mut waiting);
    COUNT.with(Cell::get) - before
}

fn same_for_ten_and_ten_thousand(at_most: usize, work: impl Fn(&[BTreeMap<String, String>], &mut [u32])) {
    allocations(10, &work); // what is set up once in a process
    let (few, many) = (allocations(10, &work), allocations(10_000, &work));
    assert_eq!(few, many);
    assert!(many <= at_most, "{many} allocations");
}

fn term(value: &str) -> ScatterTerm {
    ScatterTerm {
        key: "zone".into(),
        value: value.into(),
    }
}

#[test]
fn scatter_allocates_for_terms_and_not_for_objects() {
    let scatter = Scatter::new(&[term("z-0"), term("z-1")]);
    same_for_ten_and_ten_thousand(24, |all, waiting| scatter.sort(all, waiting));
    let every = Scatter::with_wildcards(&[term("*")]);
    same_for_ten_and_ten_thousand(24, |all, waiting| every.sort(all, waiting));
}

#[test]
fn priorities_allocate_once() {
    let keys = vec![OrderTerm {
        ordered_key: "zone".into(),
    }];
    let priority = Priority::compile(&PriorityStrategy {
        order_priority: keys,
        ..Default::default()
    });
    same_for_ten_and_ten_thousand(2, |all, waiting| priority.sort(all, waiting, Baseline::Latest));
}

#[test]
fn a_plan_allocates_its_list_of_decisions() {
    same_for_ten_and_ten_thousand(1, |_, waiting| {
        drop(plan(waiting, 3, Budget::new(100, 0), |_| true))
    });
}
