//! `kruise-docs book` builds the book, `kruise-docs reference` writes the pages that are generated.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use kruise_docs::{book, metrics, reference, repository};

/// Builds the documentation.
#[derive(Debug, Parser)]
#[command(version, about)]
enum Command {
    /// Check all links and build the book.
    Book {
        /// Folder for the result; it is made anew.
        #[arg(long, default_value = "target/book")]
        out: PathBuf,
    },
    /// Write docs/reference from the types.
    Reference,
}

fn main() -> Result<()> {
    let root = repository();
    match Command::parse() {
        Command::Book { out } => {
            let index = book::build(&root, &out)?;
            println!("{}", index.display());
        }
        Command::Reference => {
            let folder = root.join("docs/reference");
            std::fs::create_dir_all(&folder).context("making docs/reference")?;
            for page in reference::pages().into_iter().chain([metrics::page(&root)?]) {
                let path = folder.join(&page.file);
                std::fs::write(&path, page.text).with_context(|| format!("writing {}", path.display()))?;
                println!("{}", path.display());
            }
        }
    }
    Ok(())
}
