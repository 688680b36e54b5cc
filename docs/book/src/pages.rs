//! The pages of the book, as `docs/SUMMARY.md` lists them.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::links;

/// Where the list of pages lies, from the root of the repository.
pub const SUMMARY: &str = "docs/SUMMARY.md";

/// Pages by their path in the repository, each with its path in the book.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pages(BTreeMap<PathBuf, PathBuf>);

impl Pages {
    /// Reads the list of pages of the checkout at `root`.
    ///
    /// # Errors
    /// Names the page that does not exist, or that is listed twice.
    pub fn read(root: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(root.join(SUMMARY)).with_context(|| format!("reading {SUMMARY}"))?;
        let pages = Self::parse(&text)?;
        for page in pages.0.keys() {
            if !root.join(page).is_file() {
                bail!("{SUMMARY} lists {}, which does not exist", page.display());
            }
        }
        Ok(pages)
    }

    /// Takes the pages from the text of the list.
    ///
    /// # Errors
    /// Names the page that is listed twice.
    pub fn parse(summary: &str) -> Result<Self> {
        let mut pages = BTreeMap::new();
        for link in links::links(summary) {
            let source = normal(&Path::new("docs").join(&link.target));
            let Some(place) = place(&source) else {
                bail!("{SUMMARY}: {} is not a page of this repository", link.target);
            };
            if pages.insert(source, place).is_some() {
                bail!("{SUMMARY} lists {} twice", link.target);
            }
        }
        Ok(Self(pages))
    }

    /// Returns where the page at `source` in the repository lies in the book.
    pub fn place(&self, source: &Path) -> Option<&Path> {
        self.0.get(source).map(PathBuf::as_path)
    }

    /// Each page: path in the repository, path in the book.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Path)> {
        self.0
            .iter()
            .map(|(source, place)| (source.as_path(), place.as_path()))
    }
}

/// Pages of `docs` keep their path; `examples/own-manager/README.md` becomes `examples/own-manager.md`.
fn place(source: &Path) -> Option<PathBuf> {
    if source.extension()? != "md" {
        return None;
    }
    if let Ok(inside) = source.strip_prefix("docs") {
        return Some(inside.to_owned());
    }
    let name = source.file_stem()?;
    let folder = source.parent()?;
    if name == "README" && folder.file_name().is_some() {
        return Some(folder.with_extension("md"));
    }
    Some(source.to_owned())
}

/// The path without `.` and `..`, as far as it does not leave the repository.
pub fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !out.pop() {
                    out.push("..");
                }
            }
            part => out.push(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_docs_keep_their_path_and_readmes_take_the_name_of_their_folder() {
        let pages = Pages::parse(
            "# Summary\n[Start](README.md)\n- [A](a.md)\n  - [B](design/b.md)\n- [Own](../examples/own/README.md)\n",
        )
        .unwrap();
        let places: Vec<_> = pages
            .iter()
            .map(|(source, place)| (source.to_str().unwrap(), place.to_str().unwrap()))
            .collect();
        assert_eq!(
            places,
            [
                ("docs/README.md", "README.md"),
                ("docs/a.md", "a.md"),
                ("docs/design/b.md", "design/b.md"),
                ("examples/own/README.md", "examples/own.md"),
            ]
        );
    }

    #[test]
    fn a_page_that_is_listed_twice_is_refused() {
        let error = Pages::parse("[A](a.md)\n[B](a.md)\n").unwrap_err();
        assert_eq!(error.to_string(), "docs/SUMMARY.md lists a.md twice");
    }
}
