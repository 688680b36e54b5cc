//! The book: made from the pages that `docs/SUMMARY.md` lists, with links that are followed before it is built.
//!
//! * [`pages`] — which pages there are, and where each lies in the repository and in the book.
//! * [`links`] — the links of a page: found, followed, rewritten.
//! * [`metrics`] — the page of metrics, from the modules that register them.
//! * [`mod@reference`] — the pages of fields, generated from the CustomResourceDefinitions.
//! * [`charts`] — the charts of the page on performance.
//! * [`book`] — staging and rendering.

pub mod book;
pub mod charts;
pub mod links;
pub mod metrics;
pub mod pages;
pub mod reference;

use std::path::PathBuf;

/// Returns the folder of the checkout that this crate was built in.
pub fn repository() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map(PathBuf::from).unwrap_or(here)
}
