//! Staging and rendering of the book.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mdbook_driver::MDBook;

use crate::links;
use crate::pages::{Pages, SUMMARY};

/// How the book is rendered.
const CONFIG: &str = include_str!("../book.toml");

/// Builds the book of the checkout at `root` in the folder `out`, which is made anew. Returns its first page.
///
/// # Errors
/// Tells every link that leads nowhere, one a line.
pub fn build(root: &Path, out: &Path) -> Result<PathBuf> {
    let pages = Pages::read(root)?;
    if out.exists() {
        std::fs::remove_dir_all(out).with_context(|| format!("removing {}", out.display()))?;
    }
    let source = out.join("src");
    let mut broken = Vec::new();
    for (page, place) in pages.iter() {
        let text = std::fs::read_to_string(root.join(page))
            .with_context(|| format!("reading {}", page.display()))?;
        broken.extend(links::broken(root, page, &text));
        write(&source.join(place), &links::rewrite(&pages, page, &text))?;
        copy_pictures(root, page, &text, &source.join(place))?;
    }
    if !broken.is_empty() {
        let lines: Vec<_> = broken.iter().map(ToString::to_string).collect();
        bail!("links that lead nowhere:\n{}", lines.join("\n"));
    }
    let summary =
        std::fs::read_to_string(root.join(SUMMARY)).with_context(|| format!("reading {SUMMARY}"))?;
    write(
        &source.join("SUMMARY.md"),
        &links::rewrite(&pages, Path::new(SUMMARY), &summary),
    )?;
    write(&out.join("book.toml"), CONFIG)?;
    MDBook::load(out)
        .and_then(|book| book.build())
        .context("rendering the book")?;
    Ok(out.join("book/index.html"))
}

fn copy_pictures(root: &Path, page: &Path, text: &str, place: &Path) -> Result<()> {
    for link in links::links(text) {
        let target = Path::new(&link.target);
        if link.target.contains("://") || !links::is_picture(target) {
            continue;
        }
        let from = root.join(page).with_file_name("").join(target);
        let to = place.with_file_name("").join(target);
        if from.is_file() {
            std::fs::create_dir_all(to.with_file_name("")).context("making a folder for pictures")?;
            std::fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::create_dir_all(path.with_file_name(""))
        .with_context(|| format!("making the folder of {}", path.display()))?;
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
