//! Links of a page: found, followed to a file and a heading, rewritten for the book.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::pages::{Pages, normal};

/// Where files that are not in the book are shown.
pub const BROWSE: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main");

/// A link or an image of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What stands between the parentheses.
    pub target: String,
    /// Bytes of the target in the text of the page; empty if the target is written elsewhere (reference links).
    pub span: Range<usize>,
}

/// A link that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The page, from the root of the repository.
    pub page: PathBuf,
    /// The link as it is written.
    pub target: String,
    /// What is missing.
    pub why: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ({}): {}", self.page.display(), self.target, self.why)
    }
}

fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH)
}

/// Returns the links and images of a page, in order.
pub fn links(text: &str) -> Vec<Link> {
    parser(text)
        .into_offset_iter()
        .filter_map(|(event, range)| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                let whole = text.get(range.clone()).unwrap_or_default();
                let start = whole
                    .rfind(&format!("]({dest_url}"))
                    .map(|at| range.start + at + 2);
                let span = start.map_or(0..0, |start| start..start + dest_url.len());
                Some(Link {
                    target: dest_url.into_string(),
                    span,
                })
            }
            _ => None,
        })
        .collect()
}

/// Returns the anchors of a page's headings.
pub fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut out = BTreeSet::new();
    let mut heading: Option<(HeadingLevel, String)> = None;
    for event in parser(text) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => heading = Some((level, String::new())),
            Event::Text(part) | Event::Code(part) => {
                if let Some((_, text)) = &mut heading {
                    text.push_str(&part);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                if let Some((_, text)) = heading.take() {
                    let name = anchor(&text);
                    let count = seen.entry(name.clone()).or_default();
                    out.insert(if *count == 0 {
                        name
                    } else {
                        format!("{name}-{count}")
                    });
                    *count += 1;
                }
            }
            _ => {}
        }
    }
    out
}

fn anchor(heading: &str) -> String {
    heading
        .trim()
        .chars()
        .filter_map(|c| match c {
            c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_lowercase().next().unwrap_or(c)),
            c if c.is_whitespace() => Some('-'),
            _ => None,
        })
        .collect()
}

/// What a link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Goal {
    Web,
    File { path: PathBuf, fragment: Option<String> },
}

fn goal(page: &Path, target: &str) -> Goal {
    if target.contains("://") || target.starts_with("mailto:") {
        return Goal::Web;
    }
    let (path, fragment) = match target.split_once('#') {
        Some((path, fragment)) => (path, Some(fragment.to_owned())),
        None => (target, None),
    };
    let path = if path.is_empty() {
        page.to_owned()
    } else {
        normal(&page.parent().unwrap_or(Path::new("")).join(path))
    };
    Goal::File { path, fragment }
}

/// Follows the links of one page of the checkout at `root`.
pub fn broken(root: &Path, page: &Path, text: &str) -> Vec<Broken> {
    let say = |target: &str, why: String| Broken {
        page: page.to_owned(),
        target: target.to_owned(),
        why,
    };
    let mut out = Vec::new();
    for Link { target, .. } in links(text) {
        let Goal::File { path, fragment } = goal(page, &target) else {
            continue;
        };
        if path.starts_with("..") || !root.join(&path).exists() {
            out.push(say(&target, "no such file".into()));
            continue;
        }
        let Some(fragment) = fragment else { continue };
        if path.extension().is_none_or(|kind| kind != "md") {
            continue;
        }
        let there = std::fs::read_to_string(root.join(&path)).unwrap_or_default();
        if !anchors(&there).contains(&fragment) {
            out.push(say(&target, format!("no such heading in {}", path.display())));
        }
    }
    out
}

/// Returns the page's text for the book: links to other pages lead to their places, links to other files to where
/// the repository is shown.
pub fn rewrite(pages: &Pages, page: &Path, text: &str) -> String {
    let mut out = text.to_owned();
    let here = pages.place(page).unwrap_or(page);
    for Link { target, span } in links(text).into_iter().rev() {
        let Goal::File { path, fragment } = goal(page, &target) else {
            continue;
        };
        if span.is_empty() || target.starts_with('#') || is_picture(&path) {
            continue;
        }
        let fragment = fragment
            .map(|fragment| format!("#{fragment}"))
            .unwrap_or_default();
        let new = match pages.place(&path) {
            Some(place) => relative(here, place),
            None => format!("{BROWSE}/{}", path.display()),
        };
        out.replace_range(span, &format!("{new}{fragment}"));
    }
    out
}

/// Pictures lie beside the pages of `docs` and are copied with them.
pub fn is_picture(path: &Path) -> bool {
    path.extension()
        .is_some_and(|kind| kind == "svg" || kind == "png")
}

fn relative(from: &Path, to: &Path) -> String {
    let up = from.components().count().saturating_sub(1);
    format!("{}{}", "../".repeat(up), to.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_pictures_are_found_and_code_is_not() {
        let found: Vec<_> = links("[a](b.md) `[c](d.md)` ![e](f.svg)\n\n```\n[g](h.md)\n```\n")
            .into_iter()
            .map(|link| link.target)
            .collect();
        assert_eq!(found, ["b.md", "f.svg"]);
    }

    #[test]
    fn headings_get_the_anchors_that_browsers_know() {
        let text = "# One `two`\n## A, b & c\n## Again\n## Again\n";
        let names: Vec<_> = anchors(text).into_iter().collect();
        assert_eq!(names, ["a-b--c", "again", "again-1", "one-two"]);
    }

    #[test]
    fn links_lead_to_pages_of_the_book_or_to_the_repository() {
        let pages = Pages::parse("[A](a.md)\n[B](design/b.md)\n[C](../examples/c/README.md)\n").unwrap();
        let text = "[1](design/b.md#x) [2](../examples/c/README.md) [3](../Makefile) [4](https://e.org) [5](#y) ![6](p.svg)";
        assert_eq!(
            rewrite(&pages, Path::new("docs/a.md"), text),
            format!(
                "[1](design/b.md#x) [2](examples/c.md) [3]({BROWSE}/Makefile) [4](https://e.org) [5](#y) ![6](p.svg)"
            )
        );
        assert_eq!(
            rewrite(&pages, Path::new("docs/design/b.md"), "[a](../a.md)"),
            "[a](../a.md)"
        );
        assert_eq!(
            rewrite(&pages, Path::new("examples/c/README.md"), "[a](../../docs/a.md)"),
            "[a](../a.md)"
        );
    }

    #[test]
    fn links_that_lead_nowhere_are_told_with_the_page() {
        let root = crate::repository();
        let text = "[a](nothing.md) [b](README.md#nowhere) [c](../Makefile) [d](../../outside)";
        let told: Vec<_> = broken(&root, Path::new("docs/x.md"), text)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            told,
            [
                "docs/x.md: (nothing.md): no such file",
                "docs/x.md: (README.md#nowhere): no such heading in docs/README.md",
                "docs/x.md: (../../outside): no such file",
            ]
        );
    }
}
