//! Every page of the repository: links lead somewhere, and the book has all pages of `docs`.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use kruise_docs::pages::Pages;
use kruise_docs::{links, repository};

fn markdown(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            markdown(&path, into);
        } else if name.ends_with(".md") {
            into.push(path);
        }
    }
}

fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    markdown(&repository(), &mut found);
    found.sort();
    found
        .iter()
        .map(|path| path.strip_prefix(repository()).unwrap().to_owned())
        .collect()
}

#[test]
fn no_link_of_the_repository_leads_nowhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(repository().join(&page)).unwrap();
        broken.extend(
            links::broken(&repository(), &page, &text)
                .iter()
                .map(ToString::to_string),
        );
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_book_has_every_page_of_docs() {
    let listed = Pages::read(&repository()).unwrap();
    let missing: Vec<_> = pages()
        .into_iter()
        .filter(|page| {
            page.starts_with("docs") && !page.ends_with("SUMMARY.md") && listed.place(page).is_none()
        })
        .collect();
    assert!(missing.is_empty(), "docs/SUMMARY.md does not list {missing:?}");
}
