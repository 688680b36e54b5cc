//! `kruise-docs book` builds the book, the other commands write what is generated: `reference`, `measured`, `charts`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use kruise_docs::{book, charts, metrics, reference, repository};

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
    /// Draw docs/charts from the data beside them.
    Charts,
    /// Write what the benches have said to docs/charts/measured.json.
    Measured,
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
        Command::Charts => {
            let folder = root.join("docs/charts");
            for chart in charts::charts(&folder)? {
                std::fs::write(folder.join(chart.file), chart.text).context(chart.file)?;
            }
        }
        Command::Measured => {
            let text = charts::measured::collect(&root.join("target"))?;
            std::fs::write(root.join("docs/charts/measured.json"), text).context("measured.json")?;
        }
    }
    Ok(())
}
